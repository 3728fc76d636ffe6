package collective

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/numtest"
)

// on returns members on machines with so many each.
func on(machines ...int) []wire.Member {
	var all []wire.Member
	for i, n := range machines {
		for range n {
			all = append(all, wire.Member{ID: fmt.Sprint("w", len(all)), Host: fmt.Sprint("h", i), Share: 1})
		}
	}
	return all
}

func nestedOver(t testing.TB, network dist.Peers, all []wire.Member, o Options) []*Nested {
	t.Helper()
	return connectOver(t, network, all, func(p dist.Peers, g dist.Generation, rank int) (*Nested, error) {
		return ConnectNested(context.Background(), p, g, all, rank, o)
	})
}

var layouts = [][]int{{1, 1}, {2, 2}, {1, 3}, {3, 1, 2}, {4}, {1}, {2, 2, 2, 2}, {8, 1}}

// TestNested sums over machines of all kinds, in buckets and exactly, again and again, and checks
// that all members have the same bits, close to the sum, also where links read late.
func TestNested(t *testing.T) {
	checkGoroutines(t)
	for _, layout := range layouts {
		for _, o := range []Options{{}, {BF16: true}} {
			for _, strict := range []bool{false, true} {
				network := newNetwork(strict)
				network.dawdle = !strict
				all := on(layout...)
				n, groups := len(all), []*Bucketed{}
				for _, g := range nestedOver(t, network, all, o) {
					groups = append(groups, NewBucketed(g, 1000))
				}
				for round, length := range []int{1, 2*chunk + 3, 100} {
					r := rand.New(rand.NewPCG(uint64(round), uint64(n)))
					in, want, size := make([][]float32, n), make([]float64, length), make([]float64, length)
					for rank := range in {
						in[rank] = make([]float32, length)
						for i := range in[rank] {
							in[rank][i] = float32(r.NormFloat64())
							want[i] += float64(in[rank][i])
							size[i] += max(float64(in[rank][i]), -float64(in[rank][i]))
						}
					}
					tails := make([][]float32, n)
					must(t, together(n, func(rank int) error {
						b := groups[rank]
						b.Begin(in[rank])
						b.Ready(length / 2)
						tails[rank] = make([]float32, n+2)
						tails[rank][rank] = float32(rank) + 0.1
						tails[rank][n] = 1
						return b.Wait(tails[rank])
					}))
					for rank := 1; rank < n; rank++ {
						if i, ok := sameBits(in[0], in[rank]); !ok {
							t.Fatalf("%v, %d elements: members 0 and %d differ at %d", layout, length, rank, i)
						}
					}
					// n float32 additions, and with BF16 rounding to 8 bits whenever one of the heads sends.
					unit := float64(n) * 0x1p-24
					if o.BF16 {
						unit += float64(len(layout)+1) * 0x1p-8
					}
					bound := make([]float64, length)
					for i := range bound {
						bound[i] = unit * size[i]
					}
					numtest.Within(t, in[0], want, bound, fmt.Sprintf("%v: additions in float32, and roundings on the wire", layout))
					for rank, tail := range tails {
						for i, got := range tail[:n] {
							if got != float32(i)+0.1 {
								t.Fatalf("%v: tail %d of member %d is %v, want %v", layout, i, rank, got, float32(i)+0.1)
							}
						}
						if tail[n] != float32(n) {
							t.Fatalf("%v: member %d counts %v, want %d", layout, rank, tail[n], n)
						}
					}
				}
				for _, g := range groups {
					_ = g.Close()
				}
			}
		}
	}
}

// TestNestedFaults ends a member in the middle of sums, whichever it is, and checks that all others
// see it, that the error is a member's, and that it stays.
func TestNestedFaults(t *testing.T) {
	checkGoroutines(t)
	for _, layout := range [][]int{{2, 2}, {3, 1, 2}, {4, 2}} {
		all := on(layout...)
		for lost := range all {
			groups := nestedOver(t, newNetwork(false), all, Options{})
			errs := together(len(all), func(rank int) error {
				v := make([]float32, 3*chunk)
				for round := 0; ; round++ {
					if rank == lost && round == 3 {
						return groups[rank].Close()
					}
					if err := groups[rank].Sum(v); err != nil {
						if again := groups[rank].SumExact([]float32{1}); !errors.Is(again, err) {
							return fmt.Errorf("got %v, then %v", err, again)
						}
						_ = groups[rank].Close() // as a worker does that cannot go on
						return err
					}
				}
			})
			for rank, err := range errs {
				var peer *PeerError
				if rank != lost && !errors.As(err, &peer) {
					t.Errorf("%v without %d, rank %d: got %v, want a PeerError", layout, lost, rank, err)
				}
			}
		}
	}
}

// A counter counts the elements that go over links, by sender and receiver.
type counter struct {
	*lazyNetwork
	mu   sync.Mutex
	sent map[[2]string]*tally
}

type tally struct{ messages, bytes int }

type countedLink struct {
	dist.Link
	c        *counter
	from, to string
}

func (l countedLink) Send(b []byte) error {
	if len(b) <= 8 { // that nothing is to be read any more; which nodes there are
		return l.Link.Send(b)
	}
	l.c.mu.Lock()
	key := [2]string{l.from, l.to}
	if l.c.sent[key] == nil {
		l.c.sent[key] = &tally{}
	}
	l.c.sent[key].messages++
	l.c.sent[key].bytes += len(b)
	l.c.mu.Unlock()
	return l.Link.Send(b)
}

func (c *counter) Dial(ctx context.Context, g dist.Generation, to wire.Member) (dist.Link, error) {
	l, err := c.lazyNetwork.Dial(ctx, g, to)
	return countedLink{l, c, g.Self, to.ID}, err
}

func (c *counter) Accept(ctx context.Context, g dist.Generation, from string) (dist.Link, error) {
	l, err := c.lazyNetwork.Accept(ctx, g, from)
	return countedLink{l, c, g.Self, from}, err
}

// total returns what was sent in all, between machines, and by the machine that sent most to others.
func (c *counter) total(members []wire.Member) (messages, bytes, between, busiest int) {
	host := map[string]string{}
	for _, m := range members {
		host[m.ID] = m.Host
	}
	out := map[string]int{}
	for key, n := range c.sent {
		messages, bytes = messages+n.messages, bytes+n.bytes
		if from := host[key[0]]; from != host[key[1]] {
			between += n.bytes
			out[from] += n.bytes
			busiest = max(busiest, out[from])
		}
	}
	return messages, bytes, between, busiest
}

// TestPrices compares what schedules are said to send with what real sums send, for up to 32 members.
func TestPrices(t *testing.T) {
	scattered := func(machines, each int) []wire.Member {
		all := on(slices.Repeat([]int{each}, machines)...)
		for i := range all {
			all[i].Host = fmt.Sprint("h", i%machines)
		}
		return all
	}
	for _, layout := range [][]int{{2, 2}, {1, 1}, {4}, {8, 8}, {4, 4, 4, 4}, {3, 1, 2}, slices.Repeat([]int{1}, 32), slices.Repeat([]int{8}, 4)} {
		all := on(layout...)
		n := len(all)
		length := 16 * n * len(layout) * 15 // is cut into equal pieces, and one chunk
		crew := UsualNetwork.Crew(layout, 4*length)
		equalSize := slices.Max(layout) == slices.Min(layout)
		for name, c := range map[string]struct {
			members []wire.Member
			price   Price
			run     func(c *counter, all []wire.Member)
		}{
			"ring":      {all, crew.Ring(), sumRing(t, length)},
			"scattered": {scattered(len(layout), layout[0]), crew.Scattered(), sumRing(t, length)},
			"nested": {all, crew.Nested(), func(c *counter, all []wire.Member) {
				groups := nestedOver(t, c, all, Options{})
				must(t, together(n, func(rank int) error { return groups[rank].Sum(make([]float32, length)) }))
			}},
			"exchange": {all, crew.Exchange(), func(c *counter, all []wire.Member) {
				trees := connectOver(t, c, all, func(p dist.Peers, g dist.Generation, rank int) (*Tree, error) {
					return ConnectTree(context.Background(), p, g, all, rank, n, Options{})
				})
				must(t, together(n, func(rank int) error {
					leaves := slices.Repeat([][]float32{make([]float32, length)}, n)
					return trees[rank].Sum(make([]float32, length), folded(t, leaves, rank, rank+1).Nodes(), nil)
				}))
			}},
		} {
			if name == "scattered" && (!equalSize || len(layout) < 2) || name == "exchange" && n&(n-1) != 0 { // shards are a power of two
				continue
			}
			count := &counter{lazyNetwork: newNetwork(false), sent: map[[2]string]*tally{}}
			c.run(count, c.members)
			messages, bytes, between, busiest := count.total(c.members)
			got := Price{Bytes: float64(bytes), Between: float64(between), Busiest: float64(busiest)}
			want := Price{Bytes: c.price.Bytes, Between: c.price.Between, Busiest: c.price.Busiest}
			if got != want {
				t.Errorf("%s on %v: sent %+v, want %+v", name, layout, got, want)
			}
			// Those of a round are under way together: every member sends one, or in an exchange one to each.
			most := map[string]int{"ring": n * c.price.Rounds, "scattered": n * c.price.Rounds, "exchange": 2 * n * (n - 1),
				"nested": 2*(n-len(layout)) + 2*len(layout)*(len(layout)-1)}[name]
			if messages != most {
				t.Errorf("%s on %v: sent %d messages, want %d", name, layout, messages, most)
			}
		}
	}
}

// sumRing returns a function that sums over a ring.
func sumRing(t *testing.T, length int) func(c *counter, all []wire.Member) {
	return func(c *counter, all []wire.Member) {
		t.Helper()
		rings := connectOver(t, c, all, func(p dist.Peers, g dist.Generation, rank int) (*Ring, error) {
			return ConnectRing(context.Background(), p, g, all, rank, Options{})
		})
		must(t, together(len(all), func(rank int) error { return rings[rank].Sum(make([]float32, length)) }))
	}
}

// TestPriceAlone checks that one member pays nothing.
func TestPriceAlone(t *testing.T) {
	c := UsualNetwork.Crew([]int{1}, 1000)
	for name, p := range map[string]Price{"ring": c.Ring(), "scattered": c.Scattered(), "exchange": c.Exchange(), "halving": c.Halving(), "nested": c.Nested()} {
		if p != (Price{}) {
			t.Errorf("%s: got %+v, want nothing", name, p)
		}
	}
}

// TestConnect checks what is taken: a ring where nobody shares a machine, or all share one, and
// nested sums where several share several.
func TestConnect(t *testing.T) {
	for _, c := range []struct {
		machines []int
		nested   bool
	}{{[]int{1}, false}, {[]int{4}, false}, {[]int{1, 1, 1}, false}, {[]int{2, 2}, true}, {[]int{3, 1}, true}} {
		all := on(c.machines...)
		groups := connectOver(t, newNetwork(false), all, func(p dist.Peers, g dist.Generation, rank int) (Summer, error) {
			return Connect(context.Background(), p, g, all, rank, 1<<20, Options{})
		})
		for rank, g := range groups {
			if _, nested := g.(*Nested); nested != c.nested {
				t.Errorf("%v, rank %d: got %T", c.machines, rank, g)
			}
		}
		must(t, together(len(all), func(rank int) error { return groups[rank].Sum(make([]float32, 100)) }))
	}
	if got := machines([]wire.Member{{}, {Host: "a"}, {}, {Host: "a"}}); fmt.Sprint(got) != "[[0] [1 3] [2]]" {
		t.Errorf("machines that are not known: got %v, want them apart", got)
	}
}
