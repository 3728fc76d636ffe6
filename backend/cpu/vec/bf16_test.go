package vec

import (
	"math"
	"slices"
	"testing"
)

// TestBF16 compares assembly and loops with the definition, for all upper halves
// with the lower halves at which rounding turns.
func TestBF16(t *testing.T) {
	lows := []uint32{0, 1, 0x7fff, 0x8000, 0x8001, 0xffff}
	x, want := make([]float32, 1<<16), make([]uint16, 1<<16)
	for _, low := range lows {
		for high := range uint32(1 << 16) {
			x[high] = math.Float32frombits(high<<16 | low)
			want[high] = roundBF16(high, low)
		}
		both(func(asm bool) {
			got := make([]uint16, 1<<16)
			ToBF16(got, x)
			for i := range got {
				if got[i] != want[i] {
					t.Fatalf("assembly %v: %08x becomes %04x, want %04x", asm, math.Float32bits(x[i]), got[i], want[i])
				}
			}
			rounded := make([]float32, 1<<16)
			RoundBF16(rounded, x)
			for i, v := range rounded {
				if bits := math.Float32bits(v); bits != uint32(want[i])<<16 {
					t.Fatalf("assembly %v: %08x becomes %08x, want %04x0000", asm, math.Float32bits(x[i]), bits, want[i])
				}
			}
			pairs := make([]uint32, 1<<16)
			PairBF16(pairs, x, slices.Concat(x[1:], x[:1]))
			for i, p := range pairs {
				if next := want[(i+1)%len(want)]; p != uint32(next)<<16|uint32(want[i]) {
					t.Fatalf("assembly %v: a pair of %08x is %08x, want %04x%04x", asm, math.Float32bits(x[i]), p, next, want[i])
				}
			}
			back, sum := make([]float32, 1<<16), slices.Clone(x)
			FromBF16(back, want)
			AddBF16(sum, want)
			for i, h := range want {
				v := math.Float32frombits(uint32(h) << 16)
				sameBits(t, "FromBF16", back[i:i+1], []float32{v})
				sameBits(t, "AddBF16", sum[i:i+1], []float32{x[i] + v})
			}
		})
	}
}

// roundBF16 rounds half a number to the nearest of its neighbours, ties to even.
func roundBF16(high, low uint32) uint16 {
	switch {
	case high&0x7f80 == 0x7f80 && high&0x7f|low != 0:
		return uint16(high) | 0x40 // NaN
	case low > 0x8000 || low == 0x8000 && high&1 == 1:
		return uint16(high + 1)
	}
	return uint16(high)
}

func TestBF16Lengths(t *testing.T) {
	for _, n := range lengths {
		both(func(bool) {
			const mark = 0x1234
			h := slices.Repeat([]uint16{mark}, n+2)
			x, checkX := guarded(t, n)
			for i := range x {
				x[i] = float32(i)
			}
			sum, checkSum := guarded(t, n)
			clear(sum)
			ToBF16(h[1:n+1], x)
			FromBF16(x, h[1:n+1])
			AddBF16(sum, h[1:n+1])
			checkX("FromBF16")
			checkSum("AddBF16")
			if h[0] != mark || h[n+1] != mark {
				t.Errorf("length %d: wrote outside", n)
			}
			sameBits(t, "sum", sum, x)
			for i := range sum {
				sum[i] *= 1 + 0x1p-20
			}
			pairs := slices.Repeat([]uint32{mark}, n+2)
			PairBF16(pairs[1:n+1], x, sum)
			if pairs[0] != mark || pairs[n+1] != mark {
				t.Errorf("length %d: wrote outside", n)
			}
			RoundBF16(sum, sum) // in place
			checkSum("RoundBF16")
			sameBits(t, "rounded", sum, x)
		})
	}
}

func BenchmarkBF16(b *testing.B) {
	const n = 16 << 10
	x, h := make([]float32, n), make([]uint16, n)
	for name, run := range map[string]func(){
		"Round": func() { RoundBF16(x, x) }, "To": func() { ToBF16(h, x) }, "From": func() { FromBF16(x, h) }, "Add": func() { AddBF16(x, h) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				run()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/element")
		})
	}
}
