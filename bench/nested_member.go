package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/collective"
	"github.com/gespann/gespann/dist/rpc"
	"github.com/gespann/gespann/dist/wire"
)

// A sumOrder is for a member: to join a group, and to sum.
type sumOrder struct {
	Listen        string // the first order: where to be reached, and nothing else
	Kind          string // "ring" or "nested"
	Gen, Rank     int
	Members       []wire.Member
	Length, Count int // of the vectors, and how many
}

// A sumAnswer is what came of an order.
type sumAnswer struct {
	Addresses []string
	Host      string
	Seconds   float64 // of a sum
	Err       string
}

// serveMember sums as it is told, until its input ends.
func serveMember(in io.Reader, out io.Writer) error {
	orders, answers := json.NewDecoder(in), json.NewEncoder(out)
	var first sumOrder
	if err := orders.Decode(&first); err != nil {
		return err
	}
	peers, err := rpc.NewPeers(rpc.PeerOptions{Coordinator: first.Listen, Listen: first.Listen, Trust: rpc.Trust{Insecure: true}})
	if err != nil {
		return err
	}
	defer peers.Close()
	var group collective.Summer // of the latest order: it is open until all have answered that
	defer func() {
		if group != nil {
			group.Close()
		}
	}()
	answer := sumAnswer{Addresses: peers.Addresses(), Host: peers.Host()}
	for {
		if err := answers.Encode(answer); err != nil {
			return err
		}
		var o sumOrder
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		answer = sumAnswer{}
		if group != nil {
			group.Close()
		}
		if group, err = o.connect(peers); err == nil {
			answer.Seconds, err = o.sum(group)
		}
		if err != nil {
			answer.Err = err.Error()
		}
	}
}

// connect joins the group.
func (o *sumOrder) connect(peers dist.Peers) (collective.Summer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	gen := dist.Generation{Job: "bench", Gen: o.Gen, Self: o.Members[o.Rank].ID, Secret: "bench"}
	if o.Kind == "nested" {
		g, err := collective.ConnectNested(ctx, peers, gen, o.Members, o.Rank, collective.Options{})
		if err != nil {
			return nil, err
		}
		return g, nil
	}
	g, err := collective.ConnectRing(ctx, peers, gen, o.Members, o.Rank, collective.Options{})
	if err != nil {
		return nil, err
	}
	return g, nil
}

// sum returns how long a sum takes.
func (o *sumOrder) sum(group collective.Summer) (float64, error) {
	v := make([]float32, o.Length)
	v[o.Length-1] = float32(o.Rank)
	if err := group.Sum(v); err != nil { // all are there
		return 0, err
	}
	if got, n := v[o.Length-1], len(o.Members); got != float32(n*(n-1)/2) {
		return 0, fmt.Errorf("got %v, want the sum of %d ranks", got, n)
	}
	clear(v)
	began := time.Now()
	for range o.Count {
		if err := group.Sum(v); err != nil {
			return 0, err
		}
	}
	return time.Since(began).Seconds() / float64(o.Count), nil
}

// onePrice prints what schedules cost on a network, as a table.
func onePrice(out io.Writer, net collective.Network, layouts [][2]int, bytes []int) {
	fmt.Fprintf(out, "| machines x members | bytes | ring | scattered ring | exchange | halving and doubling | nested | best |\n%s\n",
		"|"+strings.Repeat("---|", 8))
	for _, l := range layouts {
		machines := make([]int, l[0])
		for i := range machines {
			machines[i] = l[1]
		}
		for _, b := range bytes {
			c := net.Crew(machines, b)
			names := []string{"ring", "scattered ring", "exchange", "halving", "nested"}
			best, cells := 0, ""
			prices := []collective.Price{c.Ring(), c.Scattered(), c.Exchange(), c.Halving(), c.Nested()}
			for i, p := range prices {
				cells += fmt.Sprintf(" %.1f ms |", 1e3*p.Seconds)
				if p.Seconds < prices[best].Seconds {
					best = i
				}
			}
			fmt.Fprintf(out, "| %d x %d | %.1f MB |%s %s |\n", l[0], l[1], float64(b)/1e6, cells, names[best])
		}
	}
}
