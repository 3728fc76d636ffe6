package host

import (
	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/ir"
)

// GradientVector describes backend.Replica.Gradients for the gradient program of a
// whole batch, so that backends with memory of their own lay it out alike: the
// offset of each variable's gradient, in elements (optimiser state has none, and
// its offset means nothing), the number of elements, and the metrics of an Outcome.
func GradientVector(p *ir.Program, vars []ir.Var) (offset []int, size int, metrics backend.Layout) {
	l := newLayout(p, vars)
	return l.offset, l.size, l.metrics
}
