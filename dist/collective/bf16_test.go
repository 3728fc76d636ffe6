package collective

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/gespann/gespann/backend/sumtree"
	"github.com/gespann/gespann/internal/numtest"
)

func TestBF16(t *testing.T) {
	bits := math.Float32frombits
	for _, c := range []struct {
		x    uint32
		want uint16
		why  string
	}{
		{0x00000000, 0x0000, "zero"},
		{0x80000000, 0x8000, "minus zero"},
		{0x3f800000, 0x3f80, "one"},
		{0x3f807fff, 0x3f80, "below the middle"},
		{0x3f808000, 0x3f80, "the middle, to even: down"},
		{0x3f808001, 0x3f81, "above the middle"},
		{0x3f818000, 0x3f82, "the middle, to even: up"},
		{0xbf818000, 0xbf82, "and for negative ones"},
		{0x00000001, 0x0000, "the least denormal"},
		{0x00008001, 0x0001, "a denormal"},
		{0x7f7f8000, 0x7f80, "overflow"},
		{0x7f7f7fff, 0x7f7f, "the greatest that does not"},
		{0x7f800000, 0x7f80, "infinity"},
		{0xff800000, 0xff80, "minus infinity"},
		{0x7fc00000, 0x7fc0, "NaN"},
		{0x7f800001, 0x7fc0, "NaN whose payload is lost"},
		{0xffffffff, 0xffff, "NaN that would wrap"},
	} {
		x, got := []float32{bits(c.x)}, []uint16{1}
		toBF16(got, x)
		if got[0] != c.want {
			t.Errorf("%s: %08x becomes %04x, want %04x", c.why, c.x, got[0], c.want)
		}
	}
	for u := range 1 << 16 { // what has 16 bits keeps them
		x, got := make([]float32, 1), make([]uint16, 1)
		fromBF16(x, []uint16{uint16(u)})
		toBF16(got, x)
		if x[0] == x[0] && got[0] != uint16(u) {
			t.Fatalf("%04x becomes %v and %04x", u, x[0], got[0])
		}
		if x[0] != x[0] && got[0]&0x7fff <= 0x7f80 {
			t.Fatalf("NaN %04x becomes %04x", u, got[0])
		}
	}
}

func TestRingBF16(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for n := 2; n <= 5; n++ {
		groups := rings(t, n, Options{BF16: true})
		for _, length := range lengths {
			all, want, size := vectors(r, n, length)
			before := groups[0].Traffic()
			must(t, together(n, func(rank int) error { return groups[rank].Sum(all[rank]) }))
			// n roundings to 8 bits, each of at most 2⁻⁸ of the partial sum; some more
			// for those in float32 between.
			for i := range size {
				size[i] *= float64(n)*0x1p-8*1.02 + numtest.Gamma(n)
			}
			numtest.Within(t, all[0], want, size, "n roundings to bfloat16")
			checkEqual(t, all)
			for i, v := range all[0] {
				if math.Float32bits(v)&0xffff != 0 {
					t.Fatalf("[%d] is %v, which is no bfloat16", i, v)
				}
			}
			sent := groups[0].Traffic().Sent - before.Sent
			if most := int64(2*2*(length+n*line)*(n-1)/n + 4*(n-1)); sent > most {
				t.Errorf("%d members, %d elements: sent %d bytes, want at most %d", n, length, sent, most)
			}
		}
	}
}

// TestLoops checks that loops from elsewhere are used, and get few elements.
func TestLoops(t *testing.T) {
	var calls [4]atomic.Int64
	count := func(loop, n int) {
		calls[loop].Add(1)
		if n > 16<<10 {
			t.Errorf("loop %d gets %d elements", loop, n)
		}
	}
	o := Options{BF16: true, Loops: Loops{
		Add:      func(sum, x []float32) { count(0, len(x)); sumtree.Add(sum, x) },
		ToBF16:   func(dst []uint16, x []float32) { count(1, len(x)); toBF16(dst, x) },
		FromBF16: func(dst []float32, x []uint16) { count(2, len(x)); fromBF16(dst, x) },
		AddBF16:  func(sum []float32, x []uint16) { count(3, len(x)); addBF16(sum, x) },
	}}
	r := rand.New(rand.NewPCG(8, 8))
	own, plain := rings(t, 3, o), rings(t, 3, Options{BF16: true})
	got, _, _ := vectors(r, 3, 3*chunk)
	want := make([][]float32, 3)
	for i := range want {
		want[i] = slices.Clone(got[i])
	}
	must(t, together(3, func(rank int) error { return own[rank].Sum(got[rank]) }))
	must(t, together(3, func(rank int) error { return plain[rank].Sum(want[rank]) }))
	checkEqual(t, append(got, want...))
	for i := range calls {
		if calls[i].Load() == 0 {
			t.Errorf("loop %d is not used", i)
		}
	}
}

func TestConversions(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for n := range 40 {
		x, sum := make([]float32, n), make([]float32, n)
		for i := range x {
			x[i], sum[i] = float32(r.NormFloat64()), float32(r.NormFloat64())
		}
		half, back, want := make([]uint16, n), make([]float32, n), make([]float32, n)
		toBF16(half, x)
		fromBF16(back, half)
		for i := range want {
			want[i] = sum[i] + back[i]
		}
		numtest.Close(t, back, x, numtest.Tol{Rel: 0x1p-8, Why: "one rounding to 8 bits"})
		addBF16(sum, half)
		if i, ok := sameBits(sum, want); !ok {
			t.Errorf("%s: got %v, want %v", fmt.Sprint(n, " elements"), sum[i], want[i])
		}
	}
}
