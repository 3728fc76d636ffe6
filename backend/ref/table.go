package ref

import (
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/backend/meet"
)

// table says how each op is run.
type table[T Float] [ir.NumOps]func(c call[T])

// The tables of both element types.
var (
	kernels32 = newTable[float32]()
	kernels64 = newTable[float64]()
)

// kernelsOf returns the table of an element type.
func kernelsOf[T Float]() *table[T] {
	if t, ok := any(kernels32).(*table[T]); ok {
		return t
	}
	return any(kernels64).(*table[T])
}

func newTable[T Float]() *table[T] {
	return &table[T]{
		ir.MatMul: call[T].matMul,
		ir.Conv2D: func(c call[T]) {
			conv2D(c.out(0), c.in(0), c.in(1), c.epilogue(), convSizes(c.shape(0), c.outShape(0)), c.attrs())
		},
		ir.Conv2DDX: func(c call[T]) {
			conv2DDX(c.out(0), c.in(0), c.in(1), c.epilogue(), convSizes(c.outShape(0), c.shape(1)), c.attrs())
		},
		ir.Conv2DDW: func(c call[T]) {
			conv2DDW(c.out(0), c.in(0), c.in(1), convSizes(c.shape(0), c.shape(1)), c.attrs())
		},

		ir.BiasAdd:     func(c call[T]) { r, n := c.rows(); biasAdd(c.out(0), c.in(0), c.in(1), r, n) },
		ir.BiasGrad:    func(c call[T]) { r, n := c.rows(); biasGrad(c.out(0), c.in(0), r, n) },
		ir.Activation:  func(c call[T]) { activation(c.out(0), c.in(0), c.attrs()) },
		ir.ActGrad:     func(c call[T]) { actGrad(c.out(0), c.in(0), c.in(1), c.attrs()) },
		ir.Softmax:     func(c call[T]) { r, n := c.rows(); softmax(c.out(0), c.in(0), r, n) },
		ir.SoftmaxGrad: func(c call[T]) { r, n := c.rows(); softmaxGrad(c.out(0), c.in(0), c.in(1), r, n) },
		ir.Logit:       func(c call[T]) { logit(c.out(0), c.in(0), c.attrs()) },
		ir.Dropout:     func(c call[T]) { dropout(c.out(0), c.in(0), c.ints(1)[0], c.attrs()) },
		ir.Add:         func(c call[T]) { add(c.out(0), c.in(0), c.in(1), c.attrs()) },
		ir.Concat:      call[T].concat,
		ir.Slice:       call[T].slice,

		ir.Map:         call[T].mapped,
		ir.Reduce:      call[T].reduce,
		ir.Permute:     call[T].permute,
		ir.BatchMatMul: call[T].batchMatMul,

		ir.MaxPool: func(c call[T]) {
			maxPool(c.out(0), c.s.I[c.ins.Out[1]], c.in(0), convSizes(c.shape(0), c.outShape(0)), c.attrs().Win)
		},
		ir.MaxPoolGrad: func(c call[T]) {
			maxPoolGrad(c.out(0), c.ints(0), c.in(1), convSizes(c.outShape(0), c.shape(1)), c.sums(len(c.out(0))))
		},
		ir.AvgPool: func(c call[T]) {
			avgPool(c.out(0), c.in(0), convSizes(c.shape(0), c.outShape(0)), c.attrs().Win)
		},
		ir.AvgPoolGrad: func(c call[T]) {
			avgPoolGrad(c.out(0), c.in(0), convSizes(c.outShape(0), c.shape(0)), c.attrs().Win, c.sums(len(c.out(0))))
		},

		ir.BatchNorm:     call[T].meetAlone,
		ir.BatchNormGrad: call[T].meetAlone,
		ir.BatchNormInfer: func(c call[T]) {
			r, n := c.rows()
			normalise(c.out(0), c.in(0), c.in(1), c.in(2), c.in(3), c.in(4), r, n, c.attrs())
		},
		ir.LayerNorm: func(c call[T]) {
			r, n := c.rows()
			layerNorm(c.out(0), c.out(1), c.out(2), c.in(0), c.in(1), c.in(2), r, n, c.attrs().Eps)
		},
		ir.LayerNormGrad: func(c call[T]) {
			r, n := c.rows()
			layerNormGrad(c.out(0), c.out(1), c.out(2), c.in(0), c.in(1), c.in(2), c.in(3), c.in(4), r, n, c.sums(r))
		},
		ir.Embedding: func(c call[T]) {
			embedding(c.out(0), c.in(0), c.ints(1), c.shape(0)[0], c.shape(0)[1])
		},
		ir.EmbeddingGrad: func(c call[T]) {
			d := c.attrs().Dims
			embeddingGrad(c.out(0), c.ints(0), c.in(1), d[0], d[1], c.sums(d[0]*d[1]))
		},

		ir.SoftmaxXent: func(c call[T]) {
			r, n := c.rows()
			softmaxXent(c.out(0), c.out(1), c.in(0), c.target(), r, n)
		},
		ir.SoftmaxXentGrad: func(c call[T]) {
			r, n := c.rows()
			softmaxXentGrad(c.out(0), c.in(0), c.target(), c.in(2)[0], r, n)
		},
		ir.PointLoss:     func(c call[T]) { pointLoss(c.out(0), c.in(0), c.in(1), c.attrs()) },
		ir.PointLossGrad: func(c call[T]) { pointLossGrad(c.out(0), c.in(0), c.in(1), c.in(2)[0], c.attrs()) },
		ir.Metric: func(c call[T]) {
			r, n := c.rows()
			metric(c.out(0), c.in(0), c.target(), c.shape(0)[0], r, n, c.attrs(), c.sums(len(c.out(0))))
		},

		ir.Accumulate: func(c call[T]) {
			for i, g := range c.in(0) {
				c.out(0)[i] += g
			}
		},
		ir.ClipNorm: call[T].clipNorm,
		ir.SGD:      func(c call[T]) { c.optimise(sgd[T]) },
		ir.Adam:     func(c call[T]) { c.optimise(adam[T]) },
		ir.RMSProp:  func(c call[T]) { c.optimise(rmsProp[T]) },
		ir.Adagrad:  func(c call[T]) { c.optimise(adagrad[T]) },
		ir.EMA: func(c call[T]) {
			for k := range c.ins.In {
				ema(c.out(k), c.in(k), c.attrs().Momentum)
			}
		},
	}
}

// attrs returns the attributes.
func (c call[T]) attrs() *ir.Attrs { return &c.ins.Attrs }

// rows returns R and C of input 0.
func (c call[T]) rows() (rows, cols int) { return ir.Rows(c.shape(0)) }

// target returns input 1.
func (c call[T]) target() target[T] { return target[T]{classes: c.ints(1), values: c.in(1)} }

// matMul finds m, n and k.
func (c call[T]) matMul() {
	m, n, k := c.outShape(0)[0], c.outShape(0)[1], c.shape(0)[1]
	if c.attrs().TransA {
		k = c.shape(0)[0]
	}
	matMul(c.out(0), c.in(0), c.in(1), c.epilogue(), m, n, k, c.attrs())
}

// meetAlone runs an instruction at which parts meet where there is one part.
func (c call[T]) meetAlone() {
	v := meet.PointOf(c.p, c.ins).Vector()
	c.meetSums(v)
	c.meetRest(v)
}
