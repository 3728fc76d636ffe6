package plan

import "github.com/gespann/gespann/backend/ir"

// target returns input 1 as class labels and as values; one of them is null.
func (b *builder) target() (classes, values Arg) {
	if b.isInt(1) {
		return b.in(1), null()
	}
	return null(), b.in(1)
}

// loss plans losses and metrics.
func (b *builder) loss() {
	a := &b.ins.Attrs
	rows, cols := ir.Rows(b.shape(0))
	n := rows * cols
	classes, values := b.target()
	switch b.ins.Op {
	case ir.SoftmaxXent:
		b.rows("softmax_xent", rows, cols, b.out(0), b.out(1), b.in(0), classes, values, i64(rows), i32(cols),
			ptr(b.scratch(0, int64(rows)*4)), ptr(b.counters(1)))
	case ir.SoftmaxXentGrad:
		b.rows("softmax_xent_grad", rows, cols, b.out(0), b.in(0), classes, values, b.in(2), i64(rows), i32(cols))
	case ir.PointLoss:
		grid := b.eachGrid(n)
		b.launch("point_loss", grid, threads, b.out(0), b.in(0), b.in(1), i64(n), i32(int(a.Loss)), f32(a.Delta),
			ptr(b.scratch(0, int64(grid[0])*4)), ptr(b.counters(1)))
	case ir.PointLossGrad:
		b.each("point_loss_grad", n, b.out(0), b.in(0), b.in(1), b.in(2), i64(n), i32(int(a.Loss)), f32(a.Delta))
	case ir.Metric:
		b.metric(rows, cols, classes, values)
	}
}

func (b *builder) metric(rows, cols int, classes, values Arg) {
	a := &b.ins.Attrs
	if a.Metric == ir.Confusion {
		b.launch("confusion", grid(1), threads, b.out(0), b.in(0), classes, values, i64(rows), i32(cols),
			f32(a.Threshold))
		return
	}
	positions := rows
	if a.Metric == ir.BinaryAccuracy || a.Metric == ir.MAE {
		positions *= cols
	}
	blocks := min(ceil(rows, threads/32), 8*b.plan.Options.Multiprocessors)
	b.launch("metric", grid(blocks), threads, b.out(0), b.in(0), classes, values, i64(b.shape(0)[0]), i64(positions),
		i64(rows), i32(cols), i32(int(a.Metric)), i32(a.K), f32(a.Threshold),
		ptr(b.scratch(0, int64(blocks)*8)), ptr(b.counters(1)))
}
