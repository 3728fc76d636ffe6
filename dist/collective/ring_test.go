package collective

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gespann/gespann/internal/numtest"
)

func TestRingSchedule(t *testing.T) {
	var b strings.Builder
	for n := 1; n <= 8; n++ {
		fmt.Fprintf(&b, "%d members\n%v\n", n, RingSchedule(n))
	}
	golden(t, "ring.txt", b.String())
}

func TestExchangeSchedule(t *testing.T) {
	var b strings.Builder
	for n := 1; n <= 8; n++ {
		fmt.Fprintf(&b, "%d members\n%v\n", n, ExchangeSchedule(n))
	}
	golden(t, "exchange.txt", b.String())
}

// TestScheduleSums follows the members that are in each member's pieces.
func TestScheduleSums(t *testing.T) {
	for n := 1; n <= 8; n++ {
		checkSchedule(t, n, RingSchedule(n))
		checkSchedule(t, n, ExchangeSchedule(n))
	}
}

func checkSchedule(t *testing.T, n int, s Schedule) {
	t.Helper()
	has := make([][]int, n) // [rank][piece] sum of 1<<member
	for r := range has {
		has[r] = make([]int, n)
		for piece := range n {
			has[r][piece] = 1 << r
		}
	}
	for i, round := range s {
		var sent []int
		for _, tr := range round {
			sent = append(sent, has[tr.From][tr.Piece])
		}
		for k, tr := range round {
			to := &has[tr.To][tr.Piece]
			if tr.Add && *to&sent[k] != 0 {
				t.Fatalf("%d members, round %d: %+v adds %b to %b", n, i+1, tr, sent[k], *to)
			}
			if tr.Add {
				*to |= sent[k]
			} else {
				*to = sent[k]
			}
		}
	}
	for r := range has {
		for piece, who := range has[r] {
			if who != 1<<n-1 {
				t.Errorf("%d members: member %d has the sum of members %b for piece %d", n, r, who, piece)
			}
		}
	}
}

func TestCut(t *testing.T) {
	for _, n := range []int{0, 1, 15, 16, 17, 33, 1000, 1 << 20} {
		for parts := 1; parts <= 9; parts++ {
			at := 0
			for i := range parts {
				lo, hi := cut(n, parts, i)
				if lo != at || hi < lo || lo%line != 0 {
					t.Fatalf("cut(%d, %d, %d) = %d, %d after %d", n, parts, i, lo, hi, at)
				}
				if ideal := float64(n) / float64(parts); math.Abs(float64(hi-lo)-ideal) > 2*line {
					t.Errorf("cut(%d, %d, %d) has %d elements, want about %v", n, parts, i, hi-lo, ideal)
				}
				at = hi
			}
			if at != n {
				t.Errorf("cut(%d, %d) ends at %d", n, parts, at)
			}
		}
	}
}

// vectors returns one vector for each member, and their sum and sum of magnitudes.
func vectors(r *rand.Rand, n, length int) (all [][]float32, sum, size []float64) {
	sum, size = make([]float64, length), make([]float64, length)
	for range n {
		v := make([]float32, length)
		for i := range v {
			v[i] = float32(r.NormFloat64() * math.Exp(2*r.NormFloat64()))
			sum[i] += float64(v[i])
			size[i] += math.Abs(float64(v[i]))
		}
		all = append(all, v)
	}
	return all, sum, size
}

// lengths has those at which something changes: pieces that are empty, the end of
// short vectors, of chunks.
var lengths = []int{0, 1, 15, 16, 17, 100, short, short + 1, 3*chunk + 5}

func TestRingSum(t *testing.T) {
	checkGoroutines(t)
	r := rand.New(rand.NewPCG(1, 1))
	for n := 1; n <= 8; n++ {
		groups := rings(t, n, Options{})
		for _, exact := range []bool{false, true} {
			for _, length := range lengths {
				all, want, size := vectors(r, n, length)
				must(t, together(n, func(rank int) error {
					if exact {
						return groups[rank].SumExact(all[rank])
					}
					return groups[rank].Sum(all[rank])
				}))
				for i := range size {
					size[i] *= numtest.Gamma(n - 1)
				}
				numtest.Within(t, all[0], want, size, "n-1 roundings of a sum")
				checkEqual(t, all)
			}
		}
		for _, g := range groups {
			_ = g.Close()
		}
	}
}

func checkEqual(t *testing.T, all [][]float32) {
	t.Helper()
	for rank, v := range all {
		if i, ok := sameBits(v, all[0]); !ok {
			t.Errorf("%d members: [%d] is %v at rank %d, and %v at rank 0", len(all), i, v[i], rank, all[0][i])
		}
	}
}

// TestRingExact checks that what one member has, and others do not, arrives as it
// is: denormals, infinities and all.
func TestRingExact(t *testing.T) {
	odd := []float32{1, -2.5, 1e-45, math.MaxFloat32, float32(math.Inf(1)), float32(math.Inf(-1)), 0, 0x1.fffffep-3}
	for n := 1; n <= 5; n++ {
		groups := rings(t, n, Options{BF16: true})
		for _, repeat := range []int{1, 2000} { // short, and not
			var want []float32
			for range repeat {
				want = append(want, odd...)
			}
			got := make([][]float32, n)
			for rank := range got {
				got[rank] = make([]float32, len(want))
				for i := range want {
					if i%n == rank {
						got[rank][i] = want[i]
					}
				}
			}
			must(t, together(n, func(rank int) error { return groups[rank].SumExact(got[rank]) }))
			for rank := range got {
				if i, ok := sameBits(got[rank], want); !ok {
					t.Errorf("%d members: [%d] is %v at rank %d, want %v", n, i, got[rank][i], rank, want[i])
				}
			}
		}
	}
}
