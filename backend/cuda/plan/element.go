package plan

import "github.com/gespann/gespann/backend/ir"

// perElement plans an op on single elements: outputs, inputs, their number, and more.
func (b *builder) perElement(kernel string, more ...Arg) {
	args := []Arg{b.out(0)}
	for k := range b.ins.In {
		args = append(args, b.in(k))
	}
	n := ir.Size(b.outShape(0))
	b.each(kernel, n, append(append(args, i64(n)), more...)...)
}

// activated is perElement for an op with an activation.
func (b *builder) activated(kernel string) {
	act, alpha := b.act()
	b.perElement(kernel, act, alpha)
}

// perRow plans an op on rows: the output, inputs, and R and C.
func (b *builder) perRow(kernel string, args ...Arg) {
	rows, cols := ir.Rows(b.shape(0))
	b.rows(kernel, rows, cols, append(args, i64(rows), i32(cols))...)
}

// slice copies a part of each row.
func (b *builder) slice() {
	a := &b.ins.Attrs
	outer, row := ir.Around(b.shape(0), a.Axis)
	_, inner := ir.Around(b.outShape(0), a.Axis)
	from := b.plan.Values[b.ins.In[0]]
	from.Offset += int64(a.Start) * int64(inner/a.Count) * 4
	b.copyRows(b.plan.Values[b.ins.Out[0]], from, outer, inner, inner, row)
}

// concat copies one input after the other.
func (b *builder) concat() {
	outer, row := ir.Around(b.outShape(0), b.ins.Attrs.Axis)
	to := b.plan.Values[b.ins.Out[0]]
	for k := range b.ins.In {
		_, inner := ir.Around(b.shape(k), b.ins.Attrs.Axis)
		b.copyRows(to, b.plan.Values[b.ins.In[k]], outer, inner, row, inner)
		to.Offset += int64(inner) * 4
	}
}

// copyRows copies outer rows of inner elements, which begin so many elements
// apart.
func (b *builder) copyRows(to, from Ref, outer, inner, toStride, fromStride int) {
	b.each("copy_rows", outer*inner, ptr(to), ptr(from), i64(outer), i64(inner), i64(toStride), i64(fromStride))
}
