package ref

import "github.com/gespann/gespann/backend/ir"

// An epilogue is what happens to a sum before it is stored.
type epilogue[T Float] struct {
	bias []T // [n], or nil
	ref  []T // as the output, or nil
}

// apply returns epilogue(sum) for column j, at index i of the output.
func (e epilogue[T]) apply(sum float64, i, j int, a *ir.Attrs) T {
	if e.bias != nil {
		sum += float64(e.bias[j])
	}
	if e.ref != nil {
		return T(sum * actDerivative(a, float64(e.ref[i])))
	}
	return T(act(a, sum))
}

// matMul computes y[i,j] = epilogue(Σ_p a[i,p]·b[p,j]).
//
// Shapes: y [m,n], a [m,k] or [k,m] when TransA, b [k,n] or [n,k] when TransB.
func matMul[T Float](y, a, b []T, e epilogue[T], m, n, k int, at *ir.Attrs) {
	// a[i,p] is a[i·ai + p·ap], b[p,j] is b[p·bp + j·bj].
	ai, ap, bp, bj := k, 1, n, 1
	if at.TransA {
		ai, ap = 1, m
	}
	if at.TransB {
		bp, bj = 1, k
	}
	for i := range m {
		for j := range n {
			sum := 0.0
			for p := range k {
				sum += float64(a[i*ai+p*ap]) * float64(b[p*bp+j*bj])
			}
			y[i*n+j] = e.apply(sum, i*n+j, j, at)
		}
	}
}
