package plan

import (
	"math"

	"github.com/gespann/gespann/backend/ir"
)

// planners says how each op is planned.
var planners = [ir.NumOps]func(b *builder){
	ir.MatMul:   (*builder).matMul,
	ir.Conv2D:   (*builder).conv,
	ir.Conv2DDX: (*builder).conv,
	ir.Conv2DDW: (*builder).conv,

	ir.BiasAdd: func(b *builder) {
		_, cols := ir.Rows(b.shape(0))
		b.perElement("bias_add", i32(cols))
	},
	ir.BiasGrad: func(b *builder) {
		rows, cols := ir.Rows(b.shape(0))
		b.columns("bias_grad", rows, cols, 1, 0, b.out(0), b.in(0), i64(rows), i32(cols))
	},
	ir.Activation:  func(b *builder) { b.activated("activation") },
	ir.ActGrad:     func(b *builder) { b.activated("act_grad") },
	ir.Add:         func(b *builder) { b.activated("add") },
	ir.Softmax:     func(b *builder) { b.perRow("softmax", b.out(0), b.in(0)) },
	ir.SoftmaxGrad: func(b *builder) { b.perRow("softmax_grad", b.out(0), b.in(0), b.in(1)) },
	ir.Logit:       func(b *builder) { b.perElement("logit", f32(b.ins.Attrs.Alpha)) },
	ir.Dropout: func(b *builder) {
		a := &b.ins.Attrs
		b.perElement("dropout", u64(a.Seed), u32(ir.KeepThreshold(a.Rate)), f32(1/(1-a.Rate)))
	},
	ir.Concat: (*builder).concat,
	ir.Slice:  (*builder).slice,

	ir.Map:         (*builder).structure,
	ir.Reduce:      (*builder).structure,
	ir.Permute:     (*builder).structure,
	ir.BatchMatMul: (*builder).structure,

	ir.MaxPool: func(b *builder) {
		b.pool("max_pool", b.shape(0), b.outShape(0), b.ins.Attrs.Win, b.out(0), b.out(1), b.in(0))
	},
	ir.MaxPoolGrad: (*builder).maxPoolGrad,
	ir.AvgPool: func(b *builder) {
		b.pool("avg_pool", b.shape(0), b.outShape(0), b.ins.Attrs.Win, b.out(0), b.in(0))
	},
	ir.AvgPoolGrad: func(b *builder) {
		b.pool("avg_pool_grad", b.outShape(0), b.shape(0), b.ins.Attrs.Win, b.out(0), b.in(0))
	},

	ir.BatchNorm:      (*builder).batchNorm,
	ir.BatchNormInfer: func(b *builder) { b.normalise(b.in(3), b.in(4)) },
	ir.BatchNormGrad:  (*builder).batchNormGrad,
	ir.LayerNorm: func(b *builder) {
		rows, cols := ir.Rows(b.shape(0))
		b.rows("layer_norm", rows, cols, b.out(0), b.out(1), b.out(2), b.in(0), b.in(1), b.in(2),
			i64(rows), i32(cols), f32(b.ins.Attrs.Eps))
	},
	ir.LayerNormGrad: (*builder).layerNormGrad,
	ir.Embedding: func(b *builder) {
		rows, cols := ir.Rows(b.shape(0))
		n := ir.Size(b.shape(1))
		b.each("embedding", n*cols, b.out(0), b.in(0), b.in(1), i64(n), i32(rows), i32(cols))
	},
	ir.EmbeddingGrad: func(b *builder) {
		d := b.ins.Attrs.Dims
		b.launch("embedding_grad", grid(ceil(d[0], threads/32)), threads, b.out(0), b.in(0), b.in(1),
			i64(ir.Size(b.shape(0))), i32(d[0]), i32(d[1]))
	},

	ir.SoftmaxXent: func(b *builder) {
		rows, cols := ir.Rows(b.shape(0))
		classes, values := b.target()
		b.rows("softmax_xent", rows, cols, b.out(0), b.out(1), b.in(0), classes, values, i64(rows), i32(cols),
			ptr(b.scratch(0, int64(rows)*4)), ptr(b.counters(1)))
	},
	ir.SoftmaxXentGrad: func(b *builder) {
		classes, values := b.target()
		b.perRow("softmax_xent_grad", b.out(0), b.in(0), classes, values, b.in(2))
	},
	ir.PointLoss: func(b *builder) {
		a, n := &b.ins.Attrs, ir.Size(b.shape(0))
		grid := b.eachGrid(n)
		b.launch("point_loss", grid, threads, b.out(0), b.in(0), b.in(1), i64(n), i32(int(a.Loss)), f32(a.Delta),
			ptr(b.scratch(0, int64(grid[0])*4)), ptr(b.counters(1)))
	},
	ir.PointLossGrad: func(b *builder) {
		b.perElement("point_loss_grad", i32(int(b.ins.Attrs.Loss)), f32(b.ins.Attrs.Delta))
	},
	ir.Metric: (*builder).metric,

	ir.Accumulate: func(b *builder) {
		n := ir.Size(b.shape(0))
		b.each("accumulate", n, b.out(0), b.in(0), i64(n))
	},
	ir.ClipNorm: (*builder).clipNorm,
	ir.SGD: func(b *builder) {
		b.optimise(f32(b.ins.Attrs.Momentum), i32(flag(b.ins.Attrs.Nesterov)))
	},
	ir.Adam: func(b *builder) {
		a := &b.ins.Attrs
		b.optimise(b.in(1), f64(math.Log(a.Beta1)), f64(math.Log(a.Beta2)), f32(1-a.Beta1), f32(1-a.Beta2),
			f32(a.Eps), i32(flag(a.AMSGrad)))
	},
	ir.RMSProp: func(b *builder) {
		a := &b.ins.Attrs
		b.optimise(f32(a.Beta2), f32(1-a.Beta2), f32(a.Eps), f32(a.Momentum), i32(flag(a.Centered)))
	},
	ir.Adagrad: func(b *builder) { b.optimise(f32(b.ins.Attrs.Eps)) },
	ir.EMA:     (*builder).ema,
}
