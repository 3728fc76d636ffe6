package vec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/numtest"
)

// lengths are the edge cases of an 8-lane loop and of a 32-lane reduction.
var lengths = []int{0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 257}

// guard is what surrounds every buffer that a loop writes.
const guard = 1234.5

// guarded returns a slice of n elements inside guards, and a check that these
// are still there.
func guarded(t *testing.T, n int) (x []float32, check func(name string)) {
	const band = 16
	buf := make([]float32, n+2*band)
	for i := range buf {
		buf[i] = guard
	}
	return buf[band : band+n : band+n], func(name string) {
		t.Helper()
		for i, v := range buf {
			if (i < band || i >= band+n) && v != guard {
				t.Errorf("%s, length %d: wrote element %d", name, n, i-band)
			}
		}
	}
}

var nan, inf = float32(math.NaN()), float32(math.Inf(1))

// special are values at which activations turn or arithmetic ends.
var special = []float32{0, float32(math.Copysign(0, -1)), 1, -1, nan, inf, -inf,
	0.625, -0.625, 88.72, 88.73, -87.3, -103.9, -104, -104.5, -200, 1e-30, -1e-30,
	1e-40, -1e-40, 3e38, -3e38, 0.34657, -0.34657, 16, -16, 14, -14}

// values returns n numbers of all magnitudes, with special ones among them.
func values(rng *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64() * math.Exp(4*rng.NormFloat64()))
		if rng.IntN(8) == 0 {
			x[i] = special[rng.IntN(len(special))]
		}
	}
	return x
}

// sameBits compares got and want, all NaNs being equal.
func sameBits(t *testing.T, name string, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) &&
			!(got[i] != got[i] && want[i] != want[i]) {
			t.Errorf("%s[%d of %d] = %v by assembly, %v by the Go loop", name, i, len(want),
				got[i], want[i])
			return
		}
	}
}

// A loop is a function under test: it writes some buffers, which begin as
// copies of out, and reads others.
type loop struct {
	name    string
	in, out int
	run     func(out, in [][]float32)
}

func loops() (all []loop) {
	s := Step{Scale: 0.7, Clip: 5, Decay: 0.99, Rate: 0.3}
	all = []loop{
		{"Add", 2, 1, func(o, in [][]float32) { Add(o[0], in[0], in[1]) }},
		{"Scale", 1, 1, func(o, in [][]float32) { Scale(o[0], in[0], 0.3) }},
		{"Axpy", 1, 1, func(o, in [][]float32) { Axpy(o[0], in[0], 0.3) }},
		{"Blend", 1, 1, func(o, in [][]float32) { Blend(o[0], in[0], 0.9, 0.3) }},
		{"Exp", 1, 1, func(o, in [][]float32) { Exp(o[0], in[0], 0.3) }},
		{"Dropout", 1, 1, func(o, in [][]float32) {
			Dropout(o[0], in[0], 2, ir.KeepKey(7, 3), ir.KeepThreshold(0.5), 1<<32-20)
		}},
		{"MaxPool4", 4, 1, func(o, in [][]float32) {
			MaxPool4(len(o[0]), 1, o[0], make([]int32, len(o[0])), in[0], in[1], in[2], in[3], 5, [3]int32{4, 90, 94})
		}},
		{"ScaledDiff", 2, 1, func(o, in [][]float32) { ScaledDiff(o[0], in[0], in[1], 0.7, 0.3) }},
		{"LogTail", 1, 1, func(o, in [][]float32) { LogTail(o[0], in[0]) }},
		{"AddMoments", 2, 2, func(o, in [][]float32) { AddMoments(o[0], o[1], in[0], in[1]) }},
		{"AddDots", 3, 2, func(o, in [][]float32) { AddDots(o[0], o[1], in[0], in[1], in[2]) }},
		{"Normalise", 4, 1, func(o, in [][]float32) { Normalise(o[0], in[0], in[1], in[2], in[3]) }},
		{"NormaliseGrad", 6, 1, func(o, in [][]float32) {
			NormaliseGrad(o[0], in[0], in[1], in[2], in[3], in[4], in[5])
		}},
		{"SGD", 1, 1, func(o, in [][]float32) { SGD(o[0], in[0], s) }},
		{"Momentum", 1, 2, func(o, in [][]float32) { Momentum(o[0], o[1], in[0], s, 0.9) }},
		{"Nesterov", 1, 2, func(o, in [][]float32) { Nesterov(o[0], o[1], in[0], s, 0.9) }},
		{"Adam", 1, 3, func(o, in [][]float32) {
			Adam(o[0], o[1], o[2], nil, in[0], s, 0.1, 0.001, 1e-7)
		}},
		{"Adam largest", 1, 4, func(o, in [][]float32) {
			Adam(o[0], o[1], o[2], o[3], in[0], s, 0.1, 0.001, 1e-7)
		}},
		{"RMSProp", 1, 2, func(o, in [][]float32) {
			RMSProp(o[0], o[1], nil, nil, in[0], s, RMS{Beta: 0.9, Take: 0.1, Eps: 1e-3})
		}},
		{"Adagrad", 1, 2, func(o, in [][]float32) { Adagrad(o[0], o[1], in[0], s, 1e-3) }},
		{"Sub", 2, 1, func(o, in [][]float32) { Sub(o[0], in[0], in[1]) }},
		{"Div", 2, 1, func(o, in [][]float32) { Div(o[0], in[0], in[1]) }},
		{"Larger", 2, 1, func(o, in [][]float32) { Larger(o[0], in[0], in[1]) }},
		{"Smaller", 2, 1, func(o, in [][]float32) { Smaller(o[0], in[0], in[1]) }},
		{"Greater", 2, 1, func(o, in [][]float32) { Greater(o[0], in[0], in[1]) }},
		{"AtLeast", 2, 1, func(o, in [][]float32) { AtLeast(o[0], in[0], in[1]) }},
		{"Equal", 2, 1, func(o, in [][]float32) { Equal(o[0], in[0], in[1]) }},
		{"Select", 3, 1, func(o, in [][]float32) { Select(o[0], in[0], in[1], in[2]) }},
		{"Neg", 1, 1, func(o, in [][]float32) { Neg(o[0], in[0]) }},
		{"Abs", 1, 1, func(o, in [][]float32) { Abs(o[0], in[0]) }},
		{"Sqrt", 1, 1, func(o, in [][]float32) { Sqrt(o[0], in[0]) }},
		{"Log", 1, 1, func(o, in [][]float32) { Log(o[0], in[0]) }},
		{"Erf", 1, 1, func(o, in [][]float32) { Erf(o[0], in[0]) }},
		{"Mul", 2, 1, func(o, in [][]float32) { Mul(o[0], in[0], in[1]) }},
		{"SoftmaxGrad", 2, 1, func(o, in [][]float32) { SoftmaxGrad(o[0], in[0], in[1], 0.3) }},
		{"AddMulNormal", 2, 1, func(o, in [][]float32) { AddMulNormal(o[0], in[0], in[1], 0.3, 1.1, 0.2) }},
		{"NormaliseRow", 3, 1, func(o, in [][]float32) {
			NormaliseRow(o[0], in[0], in[1], in[2], 0.3, 1.1, 0.2)
		}},
		{"NormaliseRowGrad", 3, 1, func(o, in [][]float32) {
			NormaliseRowGrad(o[0], in[0], in[1], in[2], 0.3, 1.1, 0.4, 0.2, 0.7)
		}},
		{"SumColumns", 1, 1, func(o, in [][]float32) {
			if len(o[0]) > 0 {
				SumColumns(o[0], append(append(in[0], in[0]...), in[0]...), 3)
			}
		}},
	}
	for act := ir.NoAct; act <= ir.SiLU; act++ {
		all = append(all,
			loop{act.String(), 1, 1, func(o, in [][]float32) { Act(act, 0.3, o[0], in[0]) }},
			loop{act.String() + "_grad", 2, 1, func(o, in [][]float32) {
				ActGrad(act, 0.3, o[0], in[0], in[1])
			}})
	}
	return all
}

// both runs f with and without assembly.
func both(f func(asm bool)) {
	defer func(on bool) { useAsm = on }(useAsm)
	f(useAsm)
	useAsm = false
	f(false)
}

// TestTwins demands the same bits from assembly and from the Go loops.
func TestTwins(t *testing.T) {
	if !useAsm {
		t.Skip("this build or CPU has no assembly")
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for _, l := range loops() {
		for _, n := range lengths {
			var in, start [][]float32
			for range l.in {
				in = append(in, values(rng, n))
			}
			for range l.out {
				start = append(start, values(rng, n))
			}
			var first [][]float32
			both(func(asm bool) {
				var out [][]float32
				for i := range l.out {
					x, check := guarded(t, n)
					copy(x, start[i])
					out = append(out, x)
					defer check(l.name)
				}
				l.run(out, in)
				if first == nil {
					first = out
					return
				}
				for i := range out {
					sameBits(t, l.name, first[i], out[i])
				}
			})
		}
	}
}

// TestMaxPool4Pixels compares lines of several pixels with one pixel at a time.
func TestMaxPool4Pixels(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, c := range []int{1, 3, 6, 7, 8, 20} {
		for pixels := range 20 {
			pixels++
			row := 2 * pixels * c
			o := [3]int32{int32(c), int32(row), int32(row + c)}
			x := values(rng, 2*row)
			dy := values(rng, pixels*c)
			wantY, wantArg, wantDX := make([]float32, pixels*c), make([]int32, pixels*c), make([]float32, 2*row)
			for p := range pixels {
				at, from := 2*p*c, p*c
				MaxPool4(c, 1, wantY[from:], wantArg[from:], x[at:], x[at+c:], x[at+row:], x[at+row+c:], int32(at), o)
				for i := from; i < from+c; i++ {
					wantDX[wantArg[i]] = dy[i]
				}
			}
			both(func(bool) {
				y, checkY := guarded(t, pixels*c)
				dx, checkDX := guarded(t, 2*row)
				arg := make([]int32, pixels*c)
				MaxPool4(c, pixels, y, arg, x, x[c:], x[row:], x[row+c:], 0, o)
				MaxPool4Grad(c, pixels, dx, dx[c:], dx[row:], dx[row+c:], dy, arg, 0, o)
				checkY("MaxPool4")
				checkDX("MaxPool4Grad")
				sameBits(t, "MaxPool4", y, wantY)
				sameBits(t, "MaxPool4Grad", dx, wantDX)
			})
		}
	}
}

// pick computes what MaxPool4 must: the first maximum of four, a NaN winning.
func pick(x [4][]float32, i int) (operand int) {
	for k := 1; k < 4; k++ {
		if x[k][i] > x[operand][i] || x[k][i] != x[k][i] {
			operand = k
		}
	}
	return operand
}

func TestMaxPool4(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	offsets := [4]int32{0, 4, 90, 94}
	for _, n := range lengths {
		var x, dx [4][]float32
		for k := range x {
			x[k], dx[k] = values(rng, n), make([]float32, n)
			for i := range x[k] {
				x[k][i] = float32(math.Round(float64(x[k][i]))) // make ties
			}
		}
		dy := values(rng, n)
		both(func(asm bool) {
			y, check := guarded(t, n)
			arg, into := make([]int32, n), make([]int32, n)
			MaxPool4(n, 1, y, arg, x[0], x[1], x[2], x[3], 5, [3]int32(offsets[1:]))
			check("MaxPool4")
			most := append([]float32(nil), x[0]...)
			for i := range into {
				into[i] = 5 + int32(i)
			}
			for k := 1; k < 4; k++ {
				MaxInto(most, into, x[k], 5+offsets[k])
			}
			sameBits(t, "MaxInto", most, y)
			MaxPool4Grad(n, 1, dx[0], dx[1], dx[2], dx[3], dy, arg, 5, [3]int32(offsets[1:]))
			for i := range n {
				want := pick(x, i)
				if got := arg[i] - 5 - int32(i); got != offsets[want] || into[i] != arg[i] {
					t.Fatalf("asm %v: MaxPool4 of %v %v %v %v: arg %d, want operand %d; MaxInto %d",
						asm, x[0][i], x[1][i], x[2][i], x[3][i], arg[i], want, into[i])
				}
				for k := range dx {
					w := float32(0)
					if k == want {
						w = dy[i]
					}
					sameBits(t, "MaxPool4Grad", dx[k][i:i+1], []float32{w})
				}
			}
		})
	}
}

func TestReductions(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, n := range append(lengths, block-1, block, block+1, 2*block+33, 1000003) {
		x := make([]float32, n)
		sum, abs, squares, top := 0.0, 0.0, 0.0, math.Inf(-1)
		for i := range x {
			x[i] = float32(rng.NormFloat64())
			v := float64(x[i])
			sum, abs, squares, top = sum+v, abs+math.Abs(v), squares+v*v, max(top, v)
		}
		var first float32
		both(func(asm bool) {
			got := Sum(x)
			// Each element passes through at most n/32 + 5 additions in a block, and
			// the total is rounded once.
			if bound := abs * float64(min(n, block)/width+7) * 0x1p-24; !(math.Abs(float64(got)-sum) <= bound) {
				t.Errorf("asm %v: Sum of %d = %v, want %v ± %v", asm, n, got, sum, bound)
			}
			if asm {
				first = got
			} else if useAsmBuild && first != got {
				t.Errorf("Sum of %d = %v by assembly, %v by the Go loop", n, first, got)
			}
			if got := Max(x); float64(got) != top {
				t.Errorf("asm %v: Max of %d = %v, want %v", asm, n, got, top)
			}
			if got := SumSquares(x); !(math.Abs(got-squares) <= 1e-12*squares) {
				t.Errorf("SumSquares of %d = %v, want %v", n, got, squares)
			}
		})
	}
}

// TestMoments compares the sums of layer normalisation with float64, and those by
// assembly with those by the Go loop.
func TestMoments(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	const mean, rstd = 1000, 1.5
	for _, n := range append(lengths, block-1, block, block+1, 2*block+33, 1000003) {
		x, scale, dy := make([]float32, n), make([]float32, n), make([]float32, n)
		var want, abs [5]float64
		for i := range x {
			x[i], scale[i], dy[i] = float32(mean+rng.NormFloat64()), float32(rng.NormFloat64()), float32(rng.NormFloat64())
			d, g := float64(x[i])-mean, float64(scale[i])*float64(dy[i])
			for k, v := range [5]float64{d, d * d, g, d * rstd, g * d * rstd} {
				want[k], abs[k] = want[k]+v, abs[k]+math.Abs(v)
			}
		}
		var first [5]float64
		both(func(asm bool) {
			var got [5]float64
			got[0], got[1] = Deviations(x, mean)
			got[2], got[3], got[4] = NormalSums(x, scale, dy, mean, rstd)
			bound := abs
			for k := range bound {
				bound[k] *= numtest.Gamma(min(n, block)/width + 9) // 3 roundings in a term, 5 in the tree
			}
			numtest.Within(t, got[:], want[:], bound[:], fmt.Sprintf("sums in blocks of %d elements, asm %v", n, asm))
			if asm {
				first = got
			} else if useAsmBuild && first != got {
				t.Errorf("sums of %d = %v by assembly, %v by the Go loop", n, first, got)
			}
		})
	}
}

var useAsmBuild = useAsm

func TestReductionsKeepNaN(t *testing.T) {
	for _, n := range lengths[1:] {
		x := make([]float32, n)
		x[n/2] = nan
		both(func(asm bool) {
			if got := Sum(x); got == got {
				t.Errorf("asm %v: Sum of %d with a NaN = %v, want NaN", asm, n, got)
			}
			if got := Max(x); n > 1 && got != 0 {
				t.Errorf("asm %v: Max of %d with a NaN = %v, want 0", asm, n, got)
			}
		})
	}
}

// BenchmarkLoops times each loop on a chunk that fits the first-level cache.
func BenchmarkLoops(b *testing.B) {
	const n = 1024
	rng := rand.New(rand.NewPCG(7, 8))
	for _, l := range loops() {
		var out, in [][]float32
		for range l.in + l.out {
			x := make([]float32, n)
			for i := range x {
				x[i] = float32(rng.NormFloat64())
			}
			out, in = append(out, x), append(in, x)
		}
		b.Run(l.name, func(b *testing.B) {
			for b.Loop() {
				l.run(out[:l.out], in[l.out:])
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/element")
		})
	}
}
