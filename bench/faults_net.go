//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A network is a bridge in a namespace of its own, the hub, and nodes: namespaces
// with one link to it. Processes run on the node of their name, or in the hub.
type network struct {
	prefix string
	nodes  map[string]string // addresses by names
}

const hubAddress = "10.87.0.1"

// newNetwork makes a network with a node for each name. It needs root.
func newNetwork(trial int, names ...string) (*network, error) {
	n := &network{prefix: fmt.Sprintf("faults%d-%d", os.Getpid(), trial), nodes: map[string]string{}}
	hub := n.space("hub")
	steps := [][]string{
		{"ip", "netns", "add", hub},
		{"ip", "-n", hub, "link", "set", "lo", "up"},
		{"ip", "-n", hub, "link", "add", "br0", "type", "bridge"},
		{"ip", "-n", hub, "addr", "add", hubAddress + "/24", "dev", "br0"},
		{"ip", "-n", hub, "link", "set", "br0", "up"},
	}
	for i, name := range names {
		n.nodes[name] = fmt.Sprintf("10.87.0.%d", 10+i)
		node := n.space(name)
		steps = append(steps, [][]string{
			{"ip", "netns", "add", node},
			{"ip", "-n", node, "link", "set", "lo", "up"},
			{"ip", "-n", hub, "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", node},
			{"ip", "-n", hub, "link", "set", name, "master", "br0", "up"},
			{"ip", "-n", node, "addr", "add", n.nodes[name] + "/24", "dev", "eth0"},
			{"ip", "-n", node, "link", "set", "eth0", "up"},
		}...)
	}
	if err := commands(steps); err != nil {
		return nil, errors.Join(err, n.remove())
	}
	return n, nil
}

func (n *network) space(name string) string { return n.prefix + "-" + name }

// inside returns what starts a command where the process of that name belongs.
func (n *network) inside(name string) []string {
	if n.nodes[name] == "" {
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

func commands(steps [][]string) error {
	for _, s := range steps {
		if err := command(s...); err != nil {
			return err
		}
	}
	return nil
}

// drop returns the functions that make a node's kernel drop packets to and from an
// address, or all if that is "", and stop doing so.
func (n *network) drop(name, address string) (cut, heal func() error) {
	rules := func(verb string) func() error {
		in, out := []string{}, []string{}
		if address != "" {
			in, out = []string{"-s", address}, []string{"-d", address}
		}
		tables := []string{"ip", "netns", "exec", n.space(name), "iptables", verb}
		return func() error {
			return commands([][]string{
				slices.Concat(tables, []string{"INPUT"}, in, []string{"-j", "DROP"}),
				slices.Concat(tables, []string{"OUTPUT"}, out, []string{"-j", "DROP"}),
			})
		}
	}
	return rules("-A"), rules("-D")
}

// unplug returns the functions that take the link of a node down and up, at the
// bridge.
func (n *network) unplug(name string) (cut, heal func() error) {
	set := func(state string) func() error {
		return func() error { return command("ip", "-n", n.space("hub"), "link", "set", name, state) }
	}
	return set("down"), set("up")
}

// cable makes a network for three workers and a driver, and certificates.
func (t *trial) cable() (err error) {
	if t.net, err = newNetwork(t.n, "worker-1", "worker-2", "worker-3", "driver"); err != nil {
		return err
	}
	t.clean = append(t.clean, t.net.remove)
	t.certs = filepath.Join(t.dir, "certs")
	_, err = t.output("certs", t.certs)
	return err
}

// apart returns how to cut a node off so that nobody is told, and how to heal the
// network: odd trials take the link down, even ones drop all packets.
func (t *trial) apart(name string) (cut, heal func() error) {
	if t.n%2 == 1 {
		return t.net.unplug(name)
	}
	return t.net.drop(name, "")
}

// someTime is how long a cut lasts: longer than anyone is missed.
func (t *trial) someTime() time.Duration { return 6*time.Second + t.upTo(6*time.Second) }

// cutWorker cuts one of three workers off for a while.
func cutWorker(t *trial) error {
	if err := t.cable(); err != nil {
		return err
	}
	s, driver, err := t.underway(3)
	if err != nil {
		return err
	}
	w := t.any(s)
	cut, heal := t.apart(w.name)
	return t.away(driver, w, t.someTime(), cut, heal)
}

// cutDriver cuts the driver off for a while. Workers wait for it then.
func cutDriver(t *trial) error {
	if err := t.cable(); err != nil {
		return err
	}
	_, driver, err := t.underway(3)
	if err != nil {
		return err
	}
	cut, heal := t.apart("driver")
	if err := cut(); err != nil {
		return err
	}
	if err := errors.Join(t.sleep(t.someTime()), heal()); err != nil {
		return err
	}
	t.strike()
	return t.finish(driver)
}

// cutLink cuts two workers off from each other, but not from the coordinator.
func cutLink(t *trial) error {
	if err := t.cable(); err != nil {
		return err
	}
	_, driver, err := t.underway(3)
	if err != nil {
		return err
	}
	one := t.rng.IntN(3)
	cut, heal := t.net.drop(fmt.Sprintf("worker-%d", one+1), t.net.nodes[fmt.Sprintf("worker-%d", (one+1)%3+1)])
	t.strike()
	if err := cut(); err != nil {
		return err
	}
	if err := errors.Join(t.sleep(10*time.Second+t.someTime()), heal()); err != nil {
		return err
	}
	return t.finish(driver)
}
