//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A network is a bridge in a namespace of its own, where all processes run but the
// workers, each of which has a namespace with one link to it.
type network struct {
	prefix string
	nodes  map[string]bool // by the names of workers
}

const hubAddress = "10.87.0.1"

// newNetwork makes a network for so many workers. It needs root.
func newNetwork(workers int) (*network, error) {
	n := &network{prefix: fmt.Sprintf("gf%d", os.Getpid()), nodes: map[string]bool{}}
	hub := n.space("hub")
	steps := [][]string{
		{"ip", "netns", "add", hub},
		{"ip", "-n", hub, "link", "set", "lo", "up"},
		{"ip", "-n", hub, "link", "add", "br0", "type", "bridge"},
		{"ip", "-n", hub, "addr", "add", hubAddress + "/24", "dev", "br0"},
		{"ip", "-n", hub, "link", "set", "br0", "up"},
	}
	for i := range workers {
		name := fmt.Sprintf("worker-%d", i+1)
		n.nodes[name] = true
		node := n.space(name)
		steps = append(steps, [][]string{
			{"ip", "netns", "add", node},
			{"ip", "-n", node, "link", "set", "lo", "up"},
			{"ip", "-n", hub, "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", node},
			{"ip", "-n", hub, "link", "set", name, "master", "br0", "up"},
			{"ip", "-n", node, "addr", "add", fmt.Sprintf("10.87.0.%d/24", 10+i), "dev", "eth0"},
			{"ip", "-n", node, "link", "set", "eth0", "up"},
		}...)
	}
	for _, s := range steps {
		if err := command(s...); err != nil {
			return nil, errors.Join(err, n.remove())
		}
	}
	return n, nil
}

func (n *network) space(name string) string { return n.prefix + "-" + name }

// inside returns what starts a command where the process of that name belongs.
func (n *network) inside(name string) []string {
	if !n.nodes[name] {
		name = "hub"
	}
	return []string{"ip", "netns", "exec", n.space(name)}
}

// remove takes the namespaces away, and with them the links.
func (n *network) remove() error {
	var errs []error
	for name := range n.nodes {
		errs = append(errs, command("ip", "netns", "del", n.space(name)))
	}
	return errors.Join(append(errs, command("ip", "netns", "del", n.space("hub")))...)
}

func command(args ...string) error {
	if text, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, text)
	}
	return nil
}

// cutWorker cuts one of three workers off, so that nobody is told, and heals the
// network: odd trials take the link down, even ones drop all packets.
func cutWorker(t *trial) error {
	var err error
	if t.net, err = newNetwork(3); err != nil {
		return err
	}
	t.clean = append(t.clean, t.net.remove)
	t.certs = filepath.Join(t.dir, "certs")
	if _, err := t.output("certs", t.certs); err != nil {
		return err
	}
	s, driver, err := t.underway(3)
	if err != nil {
		return err
	}
	w := t.any(s)
	hub, node := t.net.space("hub"), t.net.space(w.name)
	cut, heal := [][]string{{"ip", "-n", hub, "link", "set", w.name, "down"}}, [][]string{{"ip", "-n", hub, "link", "set", w.name, "up"}}
	if t.n%2 == 0 {
		drop := func(verb, chain string) []string {
			return []string{"ip", "netns", "exec", node, "iptables", verb, chain, "-j", "DROP"}
		}
		cut, heal = [][]string{drop("-A", "INPUT"), drop("-A", "OUTPUT")}, [][]string{drop("-D", "INPUT"), drop("-D", "OUTPUT")}
	}
	all := func(steps [][]string) func() error {
		return func() error {
			for _, s := range steps {
				if err := command(s...); err != nil {
					return err
				}
			}
			return nil
		}
	}
	return t.away(driver, w, 6*time.Second+t.upTo(6*time.Second), all(cut), all(heal))
}
