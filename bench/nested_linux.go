package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/gespann/gespann/dist/collective"
	"github.com/gespann/gespann/dist/wire"
)

// nestedRate is that of the network between two machines. Its latency is that of veth.
const nestedRate = "1gbit"

// A summand is a member in a process of its own.
type summand struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	orders  *json.Encoder
	answers *json.Decoder
	member  wire.Member
	node    string
}

func (s *summand) order(o sumOrder) (a sumAnswer, err error) {
	if err = s.orders.Encode(o); err == nil {
		err = s.answers.Decode(&a)
	}
	if err == nil && a.Err != "" {
		err = errors.New(a.Err)
	}
	return a, err
}

// raceNested prints what schedules cost, and then times two of them, in turns, over two machines.
func raceNested(rounds int) error {
	fmt.Println(measureLoad(2))
	onePrice(os.Stdout, collective.UsualNetwork, [][2]int{{2, 2}, {4, 8}, {16, 8}, {125, 8}, {1000, 1}}, []int{4_000, 400_000, 10_000_000, 100_000_000})
	n, err := newNetwork(1, "node-a", "node-b")
	if err != nil {
		return err
	}
	defer n.remove()
	var all []*summand
	defer func() {
		for _, s := range all {
			s.in.Close()
			s.cmd.Wait()
		}
	}()
	for _, node := range []string{"node-a", "node-b"} {
		if err := command("tc", "-n", n.space(node), "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", nestedRate, "burst", "64kb", "latency", "50ms"); err != nil {
			return err
		}
		for range 2 {
			s, err := startSummand(n, node, len(all))
			if err != nil {
				return err
			}
			all = append(all, s)
		}
	}
	fmt.Printf("\nTwo machines, two members each, %s each way:\n\n| bytes | kind | ms, median of %d | MB from machine to machine, each way | model |\n|---|---|---|---|---|\n", nestedRate, rounds)
	gen := 0
	for _, length := range []int{1_000, 100_000, 2_500_000} {
		kinds := []string{"scattered ring", "ring", "nested"}
		crew := collective.UsualNetwork.Crew([]int{2, 2}, 4*length)
		model := []collective.Price{crew.Scattered(), crew.Ring(), crew.Nested()}
		times, moved := make([][]float64, len(kinds)), make([]float64, len(kinds))
		for range rounds {
			for k, kind := range kinds {
				gen++
				members := all
				if kind == "scattered ring" {
					members = []*summand{all[0], all[2], all[1], all[3]}
				}
				took, bytes, err := sumAll(n, members, gen, kind, length)
				if err != nil {
					return err
				}
				times[k], moved[k] = append(times[k], took), bytes
			}
		}
		for k, kind := range kinds {
			slices.Sort(times[k])
			fmt.Printf("| %d | %s | %.2f | %.2f | %.2f ms, %.2f MB |\n", 4*length, kind, 1e3*times[k][rounds/2], moved[k]/1e6, 1e3*model[k].Seconds, model[k].Busiest/1e6)
		}
	}
	return nil
}

// startSummand starts a member on a node.
func startSummand(n *network, node string, i int) (*summand, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	// Not ip netns exec, after which each process has a mount namespace of its own: processes of a
	// machine could not share a socket.
	line := []string{"nsenter", "--net=/run/netns/" + n.space(node), self, "-serve", "member"}
	s := &summand{cmd: exec.Command(line[0], line[1:]...), node: node}
	s.cmd.Stderr = os.Stderr
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	s.orders, s.answers = json.NewEncoder(s.in), json.NewDecoder(out)
	a, err := s.order(sumOrder{Listen: n.nodes[node] + ":" + strconv.Itoa(7100+i)})
	s.member = wire.Member{ID: fmt.Sprint("m", i), Peer: a.Addresses, Host: a.Host, Share: 1}
	return s, err
}

// sumAll has all members sum, and returns how long the slowest took for a sum, and how many bytes one
// machine sent to the other for each.
func sumAll(n *network, all []*summand, gen int, kind string, length int) (took, bytes float64, err error) {
	count := max(3, min(30, 3_000_000/length))
	o := sumOrder{Kind: kind, Gen: gen, Length: length, Count: count}
	for _, s := range all {
		o.Members = append(o.Members, s.member)
	}
	before, err := sentBy(n, "node-a")
	if err != nil {
		return 0, 0, err
	}
	answers, errs := make([]sumAnswer, len(all)), make([]error, len(all))
	var wg sync.WaitGroup
	for rank, s := range all {
		o := o
		o.Rank = rank
		wg.Go(func() { answers[rank], errs[rank] = s.order(o) })
	}
	wg.Wait()
	after, err := sentBy(n, "node-a")
	for rank, err := range errs {
		if err != nil {
			errs[rank] = fmt.Errorf("%s, rank %d: %w", all[rank].member.ID, rank, err)
		}
	}
	for _, a := range answers {
		took = max(took, a.Seconds)
	}
	return took, (after - before) / float64(count+1), errors.Join(append(errs, err)...)
}

// sentBy returns how many bytes a node has sent.
func sentBy(n *network, node string) (float64, error) {
	args := append(n.inside(node), "cat", filepath.Join("/sys/class/net/eth0/statistics/tx_bytes"))
	text, err := exec.Command(args[0], args[1:]...).Output()
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
}
