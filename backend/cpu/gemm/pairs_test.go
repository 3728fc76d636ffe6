package gemm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gespann/gespann/backend/cpu/pool"
)

// pair is two bfloat16 numbers in the element of a matrix.
func pair(lo, hi uint16) float32 { return math.Float32frombits(uint32(hi)<<16 | uint32(lo)) }

// halvesOf returns the two numbers of a pair as they are multiplied.
func halvesOf(p float32) (lo, hi float64) {
	b := math.Float32bits(p)
	return normal(math.Float32frombits(b << 16)), normal(math.Float32frombits(b &^ 0xffff))
}

// normal returns x, or the zero of its sign if it is below the least normal number.
func normal(x float32) float64 {
	if math.Abs(float64(x)) < 0x1p-126 {
		return math.Copysign(0, float64(x))
	}
	return float64(x)
}

// sumOfPairs is what VDPBF16PS is documented to add up: the second product of each pair
// first. A sum in float64 that is then rounded to float32 is one rounding, as both terms
// have at most 24 bits.
func sumOfPairs(a, b []float32, row, col, n, k int) float32 {
	sum := float32(0)
	for p := range k {
		a0, a1 := halvesOf(a[row*k+p])
		b0, b1 := halvesOf(b[p*n+col])
		sum = float32(normal(float32(float64(sum) + a1*b1)))
		sum = float32(normal(float32(float64(sum) + a0*b0)))
	}
	return sum
}

// TestPairs compares products of pairs with what the instruction is documented to do, bit
// by bit, for all kernels and layouts.
func TestPairs(t *testing.T) {
	kit, ok, _ := Pairs()
	if !ok {
		t.Skip("this processor has no AVX512_BF16")
	}
	workers := pool.New(2)
	t.Cleanup(workers.Close)
	for _, tiny := range []bool{false, true} {
		for _, s := range matmulShapes {
			m, n, k := s[0], s[1], s[2]
			if k > splitMin {
				continue // its sum has parts
			}
			rng := rand.New(rand.NewPCG(7, uint64(m*n*k)))
			a, b := randomPairs(rng, m*k, tiny), randomPairs(rng, k*n, tiny)
			var want []float32
			for i := range m {
				for j := range n {
					want = append(want, sumOfPairs(a.x, b.x, i, j, n, k))
				}
			}
			for trans := range 4 {
				ta, tb := trans&1 != 0, trans&2 != 0
				x, y := a, b
				if ta {
					x = transpose(a, m, k)
				}
				if tb {
					y = transpose(b, k, n)
				}
				c := newGuarded(m * n)
				kit.NewMatMul(workers, m, n, k, ta, tb).Run(c.x, x.x, y.x, nil)
				name := fmt.Sprintf("%v trans %d tiny %v", s, trans, tiny)
				c.intact(t, name)
				sameBits(t, c.x, want, name)
				if rows := kit.NewRows(workers, m, n, k, ta, tb); rows != nil {
					rows.Use(x.x, y.x, func(from, to int, got []float32) {
						sameBits(t, got, want[from:to], name+" by rows")
					}, nil)
				}
			}
		}
	}
}

// randomPairs returns pairs of normal numbers; tiny ones are about as small that a product
// of two is below the least normal number, some of them below it themselves.
func randomPairs(rng *rand.Rand, n int, tiny bool) guarded {
	g := newGuarded(n)
	number := func() uint16 {
		x := rng.NormFloat64()
		if tiny {
			x *= math.Ldexp(1, -[]int{50, 62, 128}[rng.IntN(3)])
		}
		return uint16(math.Float32bits(float32(x)) >> 16)
	}
	for i := range g.x {
		g.x[i] = pair(number(), number())
	}
	return g
}

// TestPairsNotFinite checks that infinities and NaNs of either half reach the sum.
func TestPairsNotFinite(t *testing.T) {
	kit, ok, _ := Pairs()
	if !ok {
		t.Skip("this processor has no AVX512_BF16")
	}
	p := pool.New(1)
	t.Cleanup(p.Close)
	const one, inf, nan = 0x3f80, 0x7f80, 0x7fc0
	for _, tc := range []struct {
		a, b float32
		want float64
	}{
		{pair(one, inf), pair(one, one), math.Inf(1)}, {pair(inf, one), pair(one, one), math.Inf(1)},
		{pair(one, nan), pair(one, one), math.NaN()}, {pair(one, one), pair(nan, one), math.NaN()},
		{pair(one, inf), pair(one, 0), math.NaN()}, {pair(one, one), pair(one, one), 2},
	} {
		c := []float32{0}
		kit.NewMatMul(p, 1, 1, 1, false, false).Run(c, []float32{tc.a}, append([]float32{tc.b}, make([]float32, 32)...), nil)
		if got := float64(c[0]); got != tc.want && !(got != got && tc.want != tc.want) {
			t.Errorf("%x · %x = %v, want %v", math.Float32bits(tc.a), math.Float32bits(tc.b), got, tc.want)
		}
	}
}
