package backendtest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/numtest"
)

// batchLane is the most terms that batch normalisation may add up in float32 before it
// goes on in float64; and a few roundings.
const batchLane = 64 + 4

// A columnKind is what is in the columns of a matrix whose statistics are asked for.
type columnKind struct {
	name string
	gen  func(r *rand.Rand, row int) float64
	// far is how much larger, at most, Σ (x − s)² may be than Σ (x − mean)², where s is
	// the element that a lane begins with: 2 on average for independent elements, and
	// never more than the elements of a lane and one.
	far float64
}

// columnKinds have means of up to a million times the deviation, as times and pressures
// do, and a lane's first element that is nothing like the others.
var columnKinds = []columnKind{
	{"normal", func(r *rand.Rand, _ int) float64 { return r.NormFloat64() }, 2.5},
	{"around 1000", func(r *rand.Rand, _ int) float64 { return 1000 + r.NormFloat64() }, 2.5},
	{"around 1e6", func(r *rand.Rand, _ int) float64 { return 1e6 + r.NormFloat64() }, 2.5},
	{"around -1e6", func(r *rand.Rand, _ int) float64 { return -1e6 + 100*r.NormFloat64() }, 2.5},
	{"the first is far away", func(r *rand.Rand, row int) float64 {
		if row == 0 {
			return 1e4
		}
		return r.NormFloat64()
	}, batchLane},
	{"steps", func(r *rand.Rand, row int) float64 { return 1e5*math.Floor(float64(row)/1000) + r.NormFloat64() }, batchLane},
	{"equal", func(*rand.Rand, int) float64 { return 12345.678 }, 1},
}

// testStatistics checks mean and variance of long columns against float64, with a bound
// that follows from how they may be summed up: in float32
//
//	|mean − want|     ≤ u·|want| + γ_k·(Σ (x − s)²/n)^½
//	|variance − want| ≤ u·want + γ_k·Σ (x − s)²/n
//
// with k = batchLane and u = 2⁻²⁴. A bound for sums of all elements, one by one, would be
// γ_n times the size of the elements, not of their differences.
func testStatistics(t *testing.T, ex host.Executor) {
	shapes := [][2]int{{1, 3}, {2, 1}, {63, 5}, {1000, 7}, {4099, 64}, {300, 700}, {1000000, 1}, {125000, 8}}
	if testing.Short() {
		shapes = shapes[:5]
	}
	for _, shape := range shapes {
		for _, kind := range columnKinds {
			t.Run(fmt.Sprint(shape, kind.name), func(t *testing.T) { kind.check(t, ex, shape[0], shape[1]) })
		}
		t.Run(fmt.Sprint(shape, "gradient"), func(t *testing.T) { checkGradientSums(t, ex, shape[0], shape[1]) })
	}
}

func (k *columnKind) check(t *testing.T, ex host.Executor, rows, cols int) {
	p := (&opCase{op: ir.BatchNorm, attrs: ir.Attrs{Eps: 1e-3},
		in: []arg{normal(rows, cols), normal(cols), normal(cols)}}).program(t)
	m := newMemory(p)
	runner, err := ex.Compile(p, m.Slots)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	x := m.F[p.Instrs[0].In[0]]
	for i := range x {
		x[i] = float32(k.gen(r, i/cols))
	}
	runner.Run()
	m.check(t)
	gamma, u := numtest.Gamma(batchLane), math.Exp2(-24)
	var want, bound [2][]float64
	for c := range cols {
		mean, variance := statisticsOf(x[c:], rows, cols)
		spread := k.far * variance
		want[0], want[1] = append(want[0], mean), append(want[1], variance)
		bound[0] = append(bound[0], u*math.Abs(mean)+gamma*math.Sqrt(spread)+1e-36)
		bound[1] = append(bound[1], u*variance+gamma*spread+1e-36)
	}
	for i, name := range []string{"mean", "variance"} {
		if !numtest.Within(t, m.F[p.Instrs[0].Out[1+i]], want[i], bound[i],
			"γ of a lane times the squares around its first element") {
			t.Logf("the %s", name)
		}
	}
}

// checkGradientSums checks dbeta = Σ dy and dgamma = rstd·Σ dy·(x − mean) of long columns
// against float64: within γ_k times the same sums of absolute values, k = batchLane.
func checkGradientSums(t *testing.T, ex host.Executor, rows, cols int) {
	one := normal(cols)
	p := (&opCase{op: ir.BatchNormGrad, attrs: ir.Attrs{Eps: 1e-3}, omit: []int{0},
		in: []arg{normal(rows, cols), one, one, one, normal(rows, cols)}}).program(t)
	m := newMemory(p)
	runner, err := ex.Compile(p, m.Slots)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 4))
	in := p.Instrs[0].In
	x, mean, variance, dy := m.F[in[0]], m.F[in[2]], m.F[in[3]], m.F[in[4]]
	for i := range x {
		x[i], dy[i] = float32(1000+r.NormFloat64()), float32(1+r.NormFloat64())
	}
	for c := range cols {
		mean[c], variance[c] = 1000, 1
	}
	runner.Run()
	m.check(t)
	want, bound := [2][]float64{make([]float64, cols), make([]float64, cols)}, [2][]float64{make([]float64, cols), make([]float64, cols)}
	rstd := 1 / math.Sqrt(1+1e-3)
	for i := range x {
		d := rstd * float64(dy[i]) * (float64(x[i]) - 1000)
		want[0][i%cols] += d
		want[1][i%cols] += float64(dy[i])
		bound[0][i%cols] += numtest.Gamma(batchLane) * math.Abs(d)
		bound[1][i%cols] += numtest.Gamma(batchLane) * math.Abs(float64(dy[i]))
	}
	for k := range want {
		numtest.Within(t, m.F[p.Instrs[0].Out[1+k]], want[k], bound[k], "γ of a lane times the sum of absolute values")
	}
}

// statisticsOf returns mean and variance of n elements, stride apart, in float64: twice,
// the second time around the first mean.
func statisticsOf(x []float32, n, stride int) (mean, variance float64) {
	for i := range n {
		mean += float64(x[i*stride])
	}
	mean /= float64(n)
	sum, squares := 0.0, 0.0
	for i := range n {
		d := float64(x[i*stride]) - mean
		sum += d
		squares += d * d
	}
	return mean + sum/float64(n), (squares - sum*sum/float64(n)) / float64(n)
}
