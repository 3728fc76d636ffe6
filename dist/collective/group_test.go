package collective

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/wire"
)

// TestClose checks that Close ends sums that wait for others, and that the others
// learn who left.
func TestClose(t *testing.T) {
	checkGoroutines(t)
	for _, n := range []int{2, 3, 5} {
		groups := rings(t, n, Options{})
		var wg sync.WaitGroup
		errs := make([]error, n)
		for rank := 1; rank < n; rank++ { // rank 0 does not take part
			wg.Go(func() { errs[rank] = groups[rank].Sum(make([]float32, 5*chunk)) })
		}
		must(t, []error{groups[0].Close(), groups[0].Close()})
		for rank := 1; rank < n; rank++ {
			if rank == 1 || rank == n-1 {
				continue // neighbours, which see it
			}
			_ = groups[rank].Close()
		}
		wg.Wait()
		for _, rank := range []int{1, n - 1} {
			var peer *PeerError
			if !errors.As(errs[rank], &peer) {
				t.Errorf("%d members, rank %d: got %v, want a PeerError", n, rank, errs[rank])
				continue
			}
			if n == 2 && peer.Peer != "w0" || peer.Unwrap() == nil {
				t.Errorf("%d members, rank %d: got %v, want an error of w0", n, rank, peer)
			}
			if again := groups[rank].SumExact([]float32{1}); !errors.Is(again, peer) {
				t.Errorf("then got %v, want %v", again, peer)
			}
		}
		if err := groups[0].Sum(nil); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close got %v, want ErrClosed", err)
		}
		for _, g := range groups {
			_ = g.Close()
		}
	}
}

func TestCloseTree(t *testing.T) {
	checkGoroutines(t)
	groups := trees(t, equal(3), 4)
	errs := together(3, func(rank int) error {
		if rank == 1 {
			return groups[1].Close()
		}
		return groups[rank].SumExact(make([]float32, 5))
	})
	for _, rank := range []int{0, 2} {
		var peer *PeerError
		if !errors.As(errs[rank], &peer) {
			t.Errorf("rank %d: got %v, want a PeerError", rank, errs[rank])
		}
	}
	if errs[1] != nil {
		t.Error(errs[1])
	}
	for _, g := range groups {
		_ = g.Close()
	}
}

// TestStrict sums over links that hold nothing: whoever sends needs someone who
// receives.
func TestStrict(t *testing.T) {
	checkGoroutines(t)
	const leaves, length = 8, 3*chunk + 7
	for _, n := range []int{2, 3, 4} {
		all := equal(n)
		rings := connectOver(t, newNetwork(true), all, func(p dist.Peers, g dist.Generation, rank int) (*Ring, error) {
			return ConnectRing(context.Background(), p, g, all, rank, Options{})
		})
		trees := connectOver(t, newNetwork(true), all, func(p dist.Peers, g dist.Generation, rank int) (*Tree, error) {
			return ConnectTree(context.Background(), p, g, all, rank, leaves, Options{})
		})
		must(t, together(n, func(rank int) error {
			v, out := make([]float32, length), make([]float32, length)
			v[length-1] = 1
			lo, hi := leaves*rank/n, leaves*(rank+1)/n
			tree := folded(t, slices.Repeat([][]float32{v}, leaves), lo, hi)
			for range 3 {
				if err := trees[rank].Sum(out, tree.Nodes(), nil); err != nil {
					return err
				}
			}
			for range 3 {
				if err := rings[rank].Sum(v); err != nil {
					return err
				}
			}
			got, want := [2]float32{out[length-1], v[length-1]}, [2]float32{leaves, float32(n * n * n)}
			if got != want {
				return fmt.Errorf("got %v, want %v", got, want)
			}
			return nil
		}))
		for rank := range n {
			must(t, []error{rings[rank].Close(), trees[rank].Close()})
		}
	}
}

// TestDawdling changes vectors as soon as they are summed, while others have not
// yet read all that was sent.
func TestDawdling(t *testing.T) {
	checkGoroutines(t)
	const leaves, length, steps = 4, 200, 60
	network := newNetwork(false)
	network.dawdle = true
	for _, n := range []int{2, 3} {
		all := equal(n)
		rings := connectOver(t, network, all, func(p dist.Peers, g dist.Generation, rank int) (*Ring, error) {
			return ConnectRing(context.Background(), p, g, all, rank, Options{})
		})
		trees := connectOver(t, network, all, func(p dist.Peers, g dist.Generation, rank int) (*Tree, error) {
			return ConnectTree(context.Background(), p, g, all, rank, leaves, Options{})
		})
		sums := map[string]func(rank int, v []float32) error{
			"ring":  func(rank int, v []float32) error { return rings[rank].Sum(v) },
			"exact": func(rank int, v []float32) error { return rings[rank].SumExact(v) },
			"tree": func(rank int, v []float32) error {
				lo, hi := leaves*rank/n, leaves*(rank+1)/n
				mine := make([][]float32, leaves)
				mine[lo] = slices.Clone(v) // and nothing for the others
				return trees[rank].Sum(v, folded(t, mine, lo, hi).Nodes(), nil)
			},
		}
		for name, sum := range sums {
			must(t, together(n, func(rank int) error {
				v := make([]float32, length)
				for step := range steps {
					for i := range v {
						v[i] = float32(step + i)
					}
					if err := sum(rank, v); err != nil {
						return err
					}
					for i, got := range v {
						if want := float32(n * (step + i)); got != want {
							_, _ = rings[rank].Close(), trees[rank].Close() // the others would wait
							return fmt.Errorf("%s, step %d: [%d] is %v, want %v", name, step, i, got, want)
						}
					}
				}
				return nil
			}))
		}
		for rank := range n {
			must(t, []error{rings[rank].Close(), trees[rank].Close()})
		}
	}
}

// TestCloseBucketed closes a member that waits in vain for another, from outside.
func TestCloseBucketed(t *testing.T) {
	checkGoroutines(t)
	bs := buckets(t, 2, 100, Options{})
	v := make([]float32, 1000)
	var wg sync.WaitGroup
	wg.Go(func() {
		bs[0].Begin(v)
		for range 2 { // and the next step too
			if err := bs[0].Wait(nil); !errors.Is(err, ErrClosed) {
				t.Errorf("got %v, want ErrClosed", err)
			}
		}
	})
	for bs[0].ring.Traffic().Sent == 0 { // until it is at work
		if bs[0].ring.broken() != nil {
			break
		}
	}
	must(t, []error{bs[0].Close(), bs[0].Close(), bs[1].Close()})
	wg.Wait()
}

// TestLost has a link that ends in the middle of a step: the step fails for both,
// and all that follow.
func TestLost(t *testing.T) {
	checkGoroutines(t)
	bs := buckets(t, 2, 100, Options{})
	errs := together(2, func(rank int) error {
		b := bs[rank]
		b.Begin(make([]float32, 1000))
		if rank == 0 {
			_ = b.ring.(*Ring).right.link.Close()
		}
		first := b.Wait(make([]float32, 3))
		b.Begin(make([]float32, 1000))
		if again := b.Wait(nil); !errors.Is(again, first) {
			t.Errorf("rank %d: got %v, then %v", rank, first, again)
		}
		return first
	})
	for rank, err := range errs {
		var peer *PeerError
		if !errors.As(err, &peer) || peer.Peer != []string{"w1", "w0"}[rank] {
			t.Errorf("rank %d: got %v, want an error of the other", rank, err)
		}
	}
	must(t, []error{bs[0].Close(), bs[1].Close()})
}

// A refusal is a network where one member cannot be dialled.
type refusal struct {
	*lazyNetwork
	id string
}

var errRefused = errors.New("refused")

func (n refusal) Dial(ctx context.Context, g dist.Generation, to wire.Member) (dist.Link, error) {
	if to.ID == n.id {
		return nil, errRefused
	}
	return n.lazyNetwork.Dial(ctx, g, to)
}

func TestConnectErrors(t *testing.T) {
	checkGoroutines(t)
	network := newNetwork(false)
	all := equal(3)
	connect := func(ctx context.Context, rank int) error {
		gen := dist.Generation{Job: "job", Gen: 1, Self: "w0"}
		_, err := ConnectRing(ctx, refusal{network, "w1"}, gen, all, rank, Options{})
		return err
	}
	// Rank 0 dials w1, and gives up waiting for w2.
	err := connect(t.Context(), 0)
	var peer *PeerError
	if !errors.As(err, &peer) || peer.Peer != "w1" || !errors.Is(err, errRefused) {
		t.Errorf("got %v, want w1 refused", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := connect(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if err := connect(t.Context(), 3); err == nil || !strings.Contains(err.Error(), "got rank 3 in a group of 3") {
		t.Errorf("got %v, want an error about the rank", err)
	}
}
