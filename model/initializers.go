package model

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/lapack/lapack64"

	"github.com/gespann/gespann/backend/ir"
)

// Initial returns the initial value of every variable, in the order of Vars. Each
// depends on the seed and its own name only.
func (m *Model) Initial(seed uint64) [][]float32 {
	if m.many != nil {
		return m.many.initial(seed)
	}
	out := make([][]float32, len(m.vars))
	for i, v := range m.vars {
		if v.initializer == "constant" {
			out[i] = constantValues(v.Shape, v.value)
			continue
		}
		rng := rand.New(rand.NewPCG(seed, nameSeed(seed, v.Name)))
		out[i] = initializers[v.initializer](v.Shape, rng)
	}
	return out
}

// An initializer returns the initial values of a variable of the given shape.
type initializer func(shape []int, rng *rand.Rand) []float32

// initializers lists the initialisers, by their YAML name, with the formulas of
// Keras:
//
//	glorot  variance 2/(fanIn+fanOut)   Glorot and Bengio, 2010
//	he      variance 2/fanIn            He et al., 2015
//	lecun   variance 1/fanIn            LeCun et al., 1998
//
// uniform in ±sqrt(3·variance), or normal, cut off at two standard deviations.
// The random_ ones have a fixed range: ±0.05, or standard deviation 0.05.
var initializers = map[string]initializer{
	"zeros":            func(shape []int, _ *rand.Rand) []float32 { return constantValues(shape, 0) },
	"ones":             func(shape []int, _ *rand.Rand) []float32 { return constantValues(shape, 1) },
	"random_uniform":   func(shape []int, rng *rand.Rand) []float32 { return uniform(shape, rng, 0.05) },
	"random_normal":    normal,
	"truncated_normal": func(shape []int, rng *rand.Rand) []float32 { return truncatedNormal(shape, rng, 0.05) },
	"orthogonal":       orthogonal,
	"glorot_uniform":   scaledUniform(glorotVariance),
	"glorot_normal":    scaledNormal(glorotVariance),
	"he_uniform":       scaledUniform(heVariance),
	"he_normal":        scaledNormal(heVariance),
	"lecun_uniform":    scaledUniform(lecunVariance),
	"lecun_normal":     scaledNormal(lecunVariance),
}

func glorotVariance(fanIn, fanOut float64) float64 { return 2 / (fanIn + fanOut) }
func heVariance(fanIn, _ float64) float64          { return 2 / fanIn }
func lecunVariance(fanIn, _ float64) float64       { return 1 / fanIn }

// fans returns the number of inputs of an output element, and of outputs of an
// input element: channels times the positions of the window.
func fans(shape []int) (in, out float64) {
	n := len(shape)
	if n == 1 {
		return float64(shape[0]), float64(shape[0])
	}
	window := 1.0
	for _, d := range shape[:n-2] {
		window *= float64(d)
	}
	return window * float64(shape[n-2]), window * float64(shape[n-1])
}

func scaledUniform(variance func(in, out float64) float64) initializer {
	return func(shape []int, rng *rand.Rand) []float32 {
		return uniform(shape, rng, math.Sqrt(3*variance(fans(shape))))
	}
}

// cutDeviation is the standard deviation of a standard normal variable that is
// cut off at ±2.
const cutDeviation = 0.87962566103423978

func scaledNormal(variance func(in, out float64) float64) initializer {
	return func(shape []int, rng *rand.Rand) []float32 {
		return truncatedNormal(shape, rng, math.Sqrt(variance(fans(shape)))/cutDeviation)
	}
}

func constantValues(shape []int, v float32) []float32 {
	return fill(shape, func() float64 { return float64(v) })
}

func uniform(shape []int, rng *rand.Rand, limit float64) []float32 {
	return fill(shape, func() float64 { return (2*rng.Float64() - 1) * limit })
}

func normal(shape []int, rng *rand.Rand) []float32 {
	return fill(shape, func() float64 { return 0.05 * rng.NormFloat64() })
}

// truncatedNormal draws again what is more than two deviations away.
func truncatedNormal(shape []int, rng *rand.Rand, deviation float64) []float32 {
	return fill(shape, func() float64 {
		for {
			if x := rng.NormFloat64(); math.Abs(x) <= 2 {
				return x * deviation
			}
		}
	})
}

func fill(shape []int, next func() float64) []float32 {
	out := make([]float32, ir.Size(shape))
	for i := range out {
		out[i] = float32(next())
	}
	return out
}

// orthogonal returns a matrix, of all dims but the last by the last, whose rows
// or columns, whichever are fewer, are orthonormal: the Q of a random matrix's QR
// factorisation, with signs such that every such matrix is equally likely.
//
// Source: Saxe, McClelland and Ganguli, ICLR 2014; signs from Mezzadri, Notices
// of the AMS 54 (2007).
func orthogonal(shape []int, rng *rand.Rand) []float32 {
	cols := shape[len(shape)-1]
	rows := ir.Size(shape) / cols
	long, short := max(rows, cols), min(rows, cols)
	q := blas64.General{Rows: long, Cols: short, Stride: short, Data: make([]float64, long*short)}
	for i := range q.Data {
		q.Data[i] = rng.NormFloat64()
	}
	tau := make([]float64, short)
	work := []float64{0}
	lapack64.Geqrf(q, tau, work, -1) // asks for the size of work
	work = make([]float64, max(int(work[0]), short))
	lapack64.Geqrf(q, tau, work, len(work))
	signs := make([]float64, short) // of the diagonal of R
	for i := range signs {
		signs[i] = math.Copysign(1, q.Data[i*short+i])
	}
	lapack64.Orgqr(q, tau, work, len(work))
	out := make([]float32, rows*cols)
	for i := range long {
		for j := range short {
			v := float32(q.Data[i*short+j] * signs[j])
			if rows >= cols {
				out[i*cols+j] = v
			} else {
				out[j*cols+i] = v
			}
		}
	}
	return out
}
