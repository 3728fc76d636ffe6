package plan

import "github.com/gespann/gespann/backend/ir"

// target returns input 1 as class labels and as values; one of them is null.
func (b *builder) target() (classes, values Arg) {
	if b.isInt(1) {
		return b.in(1), null()
	}
	return null(), b.in(1)
}

// metric plans a sum over rows, or a confusion matrix.
func (b *builder) metric() {
	a := &b.ins.Attrs
	rows, cols := ir.Rows(b.shape(0))
	classes, values := b.target()
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
