package gemm

import (
	"fmt"

	"github.com/gespann/gespann/backend/ir"
)

// RowFunc applies an activation to a run of consecutive elements of one row, in
// place: y = act(y), or y = y·act'(ref) when the epilogue has a Ref. It is called
// while y is in the cache, concurrently for different runs.
type RowFunc func(y, ref []float32)

// Epilogue is what happens to each element of a product before it is stored:
//
//	v = a·b, + c if Accumulate, + bias[j]
//	c = v, or act(v), or v·act'(ref[i,j]) if Ref is set
//
// A nil *Epilogue stores the product as it is.
type Epilogue struct {
	Accumulate bool
	Bias       []float32 // one per column; nil: none
	// Act is computed inside the kernels for ir.NoAct and ir.ReLU. All others
	// need Row.
	Act ir.Act
	Ref []float32 // shape of the result; nil: none
	Row RowFunc
}

// checked returns e, or the plain epilogue for nil. It panics if e does not fit a
// result of so many elements in rows of cols, or would be ignored.
func (e *Epilogue) checked(size, cols int) Epilogue {
	switch {
	case e == nil:
		return Epilogue{}
	case e.Bias != nil && len(e.Bias) < cols, e.Ref != nil && len(e.Ref) < size:
		panic(fmt.Sprintf("gemm: invariant: bias of %d and ref of %d elements, want %d and %d",
			len(e.Bias), len(e.Ref), cols, size))
	case e.Row == nil && e.Act != ir.NoAct && e.Act != ir.ReLU:
		panic(fmt.Sprintf("gemm: invariant: activation %d without Row", e.Act))
	}
	return *e
}

// flags returns the steps of e that kernels take, but for Accumulate.
func (e *Epilogue) flags() int {
	f := 0
	if e.Bias != nil {
		f |= flagBias
	}
	if e.Act == ir.ReLU && e.Row == nil {
		if e.Ref != nil {
			return f | flagReLUGrad
		}
		f |= flagReLU
	}
	return f
}

// rows calls Row for part of each row of c [·,n].
func (e *Epilogue) rows(c []float32, n, i0, i1, j0, j1 int) {
	for i := i0; i < i1; i++ {
		var ref []float32
		if e.Ref != nil {
			ref = e.Ref[i*n+j0 : i*n+j1]
		}
		e.Row(c[i*n+j0:i*n+j1], ref)
	}
}

// finish applies e, but for Accumulate, to part of a result in memory.
func (e *Epilogue) finish(c []float32, n, i0, i1, j0, j1 int) {
	f := e.flags()
	for i := i0; i < i1 && f != 0; i++ {
		for j := j0; j < j1; j++ {
			v := c[i*n+j]
			if f&flagBias != 0 {
				v += e.Bias[j]
			}
			if f&flagReLU != 0 {
				v = max(v, 0)
			}
			if f&flagReLUGrad != 0 && !(e.Ref[i*n+j] > 0) {
				v = 0
			}
			c[i*n+j] = v
		}
	}
	if e.Row != nil {
		e.rows(c, n, i0, i1, j0, j1)
	}
}
