package gemm

import "github.com/gespann/gespann/backend/ir"

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
