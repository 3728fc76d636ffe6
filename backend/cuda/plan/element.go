package plan

import "github.com/gespann/gespann/backend/ir"

// element plans the ops on single elements, on rows, and copies.
func (b *builder) element() {
	a := &b.ins.Attrs
	n := ir.Size(b.outShape(0))
	act, alpha := b.act()
	switch b.ins.Op {
	case ir.BiasAdd:
		_, cols := ir.Rows(b.shape(0))
		b.each("bias_add", n, b.out(0), b.in(0), b.in(1), i64(n), i32(cols))
	case ir.BiasGrad:
		rows, cols := ir.Rows(b.shape(0))
		b.columns("bias_grad", rows, cols, 1, 0, b.out(0), b.in(0), i64(rows), i32(cols))
	case ir.Activation:
		b.each("activation", n, b.out(0), b.in(0), i64(n), act, alpha)
	case ir.ActGrad:
		b.each("act_grad", n, b.out(0), b.in(0), b.in(1), i64(n), act, alpha)
	case ir.Add:
		b.each("add", n, b.out(0), b.in(0), b.in(1), i64(n), act, alpha)
	case ir.Softmax:
		rows, cols := ir.Rows(b.shape(0))
		b.rows("softmax", rows, cols, b.out(0), b.in(0), i64(rows), i32(cols))
	case ir.SoftmaxGrad:
		rows, cols := ir.Rows(b.shape(0))
		b.rows("softmax_grad", rows, cols, b.out(0), b.in(0), b.in(1), i64(rows), i32(cols))
	case ir.Logit:
		b.each("logit", n, b.out(0), b.in(0), i64(n), f32(a.Alpha))
	case ir.Dropout:
		b.each("dropout", n, b.out(0), b.in(0), b.in(1), i64(n), u64(a.Seed),
			u32(ir.KeepThreshold(a.Rate)), f32(1/(1-a.Rate)))
	case ir.Concat:
		b.concat()
	case ir.Slice:
		outer, row := around(b.shape(0), a.Axis)
		_, inner := around(b.outShape(0), a.Axis)
		from := b.plan.Values[b.ins.In[0]]
		from.Offset += int64(a.Start) * int64(inner/a.Count) * 4
		b.copyRows(b.plan.Values[b.ins.Out[0]], from, outer, inner, inner, row)
	}
}

// concat copies one input after the other.
func (b *builder) concat() {
	outer, row := around(b.outShape(0), b.ins.Attrs.Axis)
	to := b.plan.Values[b.ins.Out[0]]
	for k := range b.ins.In {
		_, inner := around(b.shape(k), b.ins.Attrs.Axis)
		b.copyRows(to, b.plan.Values[b.ins.In[k]], outer, inner, row, inner)
		to.Offset += int64(inner) * 4
	}
}

// copyRows copies outer rows of inner elements, which begin so many elements
// apart.
func (b *builder) copyRows(to, from Ref, outer, inner, toStride, fromStride int) {
	b.each("copy_rows", outer*inner, ptr(to), ptr(from), i64(outer), i64(inner), i64(toStride), i64(fromStride))
}

// around returns the number of elements before axis, and from axis on.
func around(shape []int, axis int) (outer, inner int) {
	return ir.Size(shape[:axis]), ir.Size(shape[axis:])
}
