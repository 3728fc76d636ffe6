package collective

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/gespann/gespann/internal/numtest"
)

// buckets returns n members with buckets of so many elements.
func buckets(t testing.TB, n, size int, o Options) []*Bucketed {
	t.Helper()
	var all []*Bucketed
	for _, ring := range rings(t, n, o) {
		b := NewBucketed(ring, size)
		t.Cleanup(func() { _ = b.Close() })
		all = append(all, b)
	}
	return all
}

// TestBucketed sums steps whose members are ready in different pieces, and change
// the vector as soon as Wait returns.
func TestBucketed(t *testing.T) {
	checkGoroutines(t)
	for n := 1; n <= 5; n++ {
		for _, o := range []Options{{}, {BF16: true}} {
			bs := buckets(t, n, 100, o)
			memory := make([][]float32, n)
			for rank := range memory {
				memory[rank] = make([]float32, 1000)
			}
			for step := range 30 {
				stepOf(t, bs, memory, step, o)
			}
			for _, b := range bs {
				_ = b.Close()
			}
		}
	}
}

// stepOf computes vectors in the same memory in every step.
func stepOf(t *testing.T, bs []*Bucketed, memory [][]float32, step int, o Options) {
	t.Helper()
	n := len(bs)
	length := []int{1000, 1000, 37, 0}[step%4]
	all, want, size := vectors(rand.New(rand.NewPCG(uint64(n), uint64(step))), n, length)
	tails, wantTail := make([][]float32, n), make([]float32, step%3*n)
	got := make([][]float32, n)
	for rank := range n {
		tails[rank] = make([]float32, len(wantTail))
		for i := rank; i < len(wantTail); i += n {
			tails[rank][i] = float32(step + i)
			wantTail[i] = float32(step + i)
		}
		got[rank] = memory[rank][:length]
	}
	must(t, together(n, func(rank int) error {
		r := rand.New(rand.NewPCG(uint64(rank), uint64(step)))
		b, v := bs[rank], got[rank]
		b.Begin(v)
		for at := 0; at < length; {
			end := min(length, at+r.IntN(400))
			copy(v[at:end], all[rank][at:end])
			at = end
			if end < length || r.IntN(2) == 0 {
				b.Ready(end)
			}
			runtime.Gosched()
		}
		err := b.Wait(tails[rank])
		copy(all[rank], v)
		for i := range v {
			v[i] = 1e30 // others may still be at work, but need nothing from here
		}
		return err
	}))
	u := numtest.Gamma(n)
	if o.BF16 && n > 1 {
		u += float64(n) * 0x1p-8 * 1.02
	}
	for i := range size {
		size[i] *= u
	}
	numtest.Within(t, all[0], want, size, "roundings of a sum")
	checkEqual(t, all)
	for rank := range tails {
		if i, ok := sameBits(tails[rank], wantTail); !ok {
			t.Errorf("tail[%d] is %v at rank %d, want %v", i, tails[rank][i], rank, wantTail[i])
		}
	}
}

// TestBucketedFront checks that the front of a vector is summed before its end is
// there.
func TestBucketedFront(t *testing.T) {
	bs := buckets(t, 2, 64, Options{})
	v := [2][]float32{make([]float32, 128), make([]float32, 128)}
	for rank, b := range bs {
		b.Begin(v[rank])
		v[rank][0] = 1
		b.Ready(64)
	}
	// The last chunk that comes says that the rest has been added.
	for bs[0].ring.Traffic().Received < 64*4 || bs[1].ring.Traffic().Received < 64*4 {
		runtime.Gosched()
	}
	must(t, together(2, func(rank int) error { v[rank][127] = 2; return bs[rank].Wait(nil) }))
	for rank := range v {
		if v[rank][0] != 2 || v[rank][127] != 4 {
			t.Errorf("rank %d: got %v and %v, want 2 and 4", rank, v[rank][0], v[rank][127])
		}
	}
	c := bs[0].Cost()
	if want := int64(128*4 + 4); c.Sent != want || c.Received != want {
		t.Errorf("sent %d bytes, received %d, want %d", c.Sent, c.Received, want)
	}
	if c.Wait <= 0 || c.Comm <= 0 {
		t.Errorf("waited %v s, communicated %v s, want more than 0", c.Wait, c.Comm)
	}
}

func TestBucketedAllocations(t *testing.T) {
	const n = 2
	for _, o := range []Options{{}, {BF16: true}} {
		bs := buckets(t, n, 1<<10, o)
		var v, tail [n][]float32
		for rank := range n {
			v[rank], tail[rank] = make([]float32, 10<<10), make([]float32, 50)
		}
		step := func(rank int) {
			bs[rank].Begin(v[rank])
			bs[rank].Ready(5000)
			if err := bs[rank].Wait(tail[rank]); err != nil {
				t.Error(err)
			}
		}
		const warm, measured = 20, 100
		var other sync.WaitGroup
		other.Go(func() {
			for range warm + measured + 1 { // AllocsPerRun does one more
				step(1)
			}
		})
		for range warm {
			step(0)
		}
		if got := testing.AllocsPerRun(measured, func() { step(0) }); got > 0 {
			t.Errorf("%+v: a step allocates %v times, want 0", o, got)
		}
		other.Wait()
	}
}

func TestTreeAllocations(t *testing.T) {
	const n, leaves, length = 3, 8, 1000
	groups := trees(t, equal(n), leaves)
	r := rand.New(rand.NewPCG(5, 5))
	all := someLeaves(r, leaves, length)
	var steps [n]func()
	for rank := range n {
		lo, hi := leaves*rank/n, leaves*(rank+1)/n
		tree, out, tail := folded(t, all, lo, hi), make([]float32, length), make([]float32, 10)
		steps[rank] = func() {
			if err := groups[rank].Sum(out, tree.Nodes(), tail); err != nil {
				t.Error(err)
			}
		}
	}
	const warm, measured = 20, 100
	var others sync.WaitGroup
	for rank := 1; rank < n; rank++ {
		others.Go(func() {
			for range warm + measured + 1 {
				steps[rank]()
			}
		})
	}
	for range warm {
		steps[0]()
	}
	if got := testing.AllocsPerRun(measured, steps[0]); got > 0 {
		t.Errorf("a step allocates %v times, want 0", got)
	}
	others.Wait()
}
