package collective

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/gespann/gespann/dist"
)

// fillExchange writes to v what each rank says in a round, of which this one is own; what
// the others say is to come.
func fillExchange(v [][]float64, own, round int) (want [][]float64) {
	for rank := range v {
		x := make([]float64, len(v[rank]))
		for i := range x {
			x[i] = float64(1000*round+rank) + 1/float64(i+1)
		}
		want = append(want, x)
		if rank == own {
			copy(v[rank], x)
		}
	}
	return want
}

func same(got, want [][]float64) error {
	for rank := range want {
		if !slices.Equal(got[rank], want[rank]) {
			return fmt.Errorf("rank %d's vector has other bits than it sent", rank)
		}
	}
	return nil
}

// TestExchange checks that all get what each has, with links that read late what was sent,
// that hold nothing, and that copy little; and that sums in between are as ever.
func TestExchange(t *testing.T) {
	checkGoroutines(t)
	for name, network := range map[string]func() *lazyNetwork{
		"lazy":   func() *lazyNetwork { n := newNetwork(false); n.dawdle = true; return n },
		"strict": func() *lazyNetwork { return newNetwork(true) },
		"copies": func() *lazyNetwork {
			n := newNetwork(false)
			n.copies = []string{"w0", "w1", "w2", "w3", "w4"}
			return n
		},
	} {
		for _, n := range []int{1, 2, 3, 5} {
			all := equal(n)
			groups := connectOver(t, network(), all, func(p dist.Peers, g dist.Generation, rank int) (*Ring, error) {
				return ConnectRing(context.Background(), p, g, all, rank, Options{})
			})
			must(t, together(n, func(rank int) error {
				for round, length := range []int{1, 7, exchangePiece, 3*exchangePiece + 5, 3, 3, 9} {
					v := make([][]float64, n)
					for i := range v {
						v[i] = make([]float64, length)
					}
					want := fillExchange(v, rank, round)
					if err := groups[rank].Exchange(v); err != nil {
						return err
					}
					if err := same(v, want); err != nil {
						return fmt.Errorf("%s, %d members, %d elements: %w", name, n, length, err)
					}
					sum := []float32{float32(rank + 1)}
					if err := groups[rank].Sum(sum); err != nil || sum[0] != float32(n*(n+1)/2) {
						return fmt.Errorf("then a sum is %v, %v", sum, err)
					}
				}
				return nil
			}))
			for _, g := range groups {
				must(t, []error{g.Close()})
			}
		}
	}
}

// TestExchangeTree has members with vectors of different lengths, of which some take no
// part: others come in each round.
func TestExchangeTree(t *testing.T) {
	checkGoroutines(t)
	const n = 4
	rounds := [][]int{{3, 3, 0, 0}, {0, 5, 5, 10}, {0, 0, 0, 4}, {1, 0, 0, 1}, {2, 0, 0, 2}, {3, 0, 3, 3}, {40, 20, 20, 60}}
	network := newNetwork(false)
	network.dawdle = true
	all := equal(n)
	groups := connectOver(t, network, all, func(p dist.Peers, g dist.Generation, rank int) (*Tree, error) {
		return ConnectTree(context.Background(), p, g, all, rank, 8, Options{})
	})
	must(t, together(n, func(rank int) error {
		for round := range 10 * len(rounds) {
			lengths := rounds[round%len(rounds)]
			v := make([][]float64, n)
			for i := range v {
				v[i] = make([]float64, lengths[i])
			}
			want := fillExchange(v, rank, round)
			if err := groups[rank].Exchange(v); err != nil {
				return err
			}
			if lengths[rank] == 0 {
				continue
			}
			if err := same(v, want); err != nil {
				return fmt.Errorf("round %d: %w", round, err)
			}
		}
		return nil
	}))
	for _, g := range groups {
		must(t, []error{g.Close()})
	}
}

// TestExchangeLost checks that members learn who left in an exchange.
func TestExchangeLost(t *testing.T) {
	checkGoroutines(t)
	groups := rings(t, 2, Options{})
	_ = groups[1].Close()
	err := groups[0].Exchange([][]float64{{1}, {0}})
	var peer *PeerError
	if !errors.As(err, &peer) || peer.Peer != "w1" {
		t.Errorf("got %v, want an error of w1", err)
	}
	if err := groups[1].Exchange([][]float64{{1}, {0}}); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close got %v, want ErrClosed", err)
	}
	_ = groups[0].Close()
}
