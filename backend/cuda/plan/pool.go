package plan

import "github.com/gespann/gespann/backend/ir"

// pool plans the poolings.
func (b *builder) pool() {
	win := b.ins.Attrs.Win
	n := ir.Size(b.outShape(0))
	switch b.ins.Op {
	case ir.MaxPool:
		b.each("max_pool", n, b.out(0), b.out(1), b.in(0), poolArg(b.shape(0), b.outShape(0), win), i64(n))
	case ir.AvgPool:
		b.each("avg_pool", n, b.out(0), b.in(0), poolArg(b.shape(0), b.outShape(0), win), i64(n))
	case ir.AvgPoolGrad:
		b.each("avg_pool_grad", n, b.out(0), b.in(0), poolArg(b.outShape(0), b.shape(0), win), i64(n))
	case ir.MaxPoolGrad:
		kernel := "max_pool_grad"
		win, ok := b.poolWindow()
		if !ok {
			kernel = "max_pool_grad_scan"
		}
		b.each(kernel, n, b.out(0), b.in(0), b.in(1), poolArg(b.outShape(0), b.shape(1), win), i64(n))
	}
}

// poolWindow returns the window of the pooling whose maxima are input 0, if that
// pooling is in the program and of this image.
func (b *builder) poolWindow() (ir.Window, bool) {
	arg := b.ins.In[0]
	for i := range b.i {
		ins := &b.p.Instrs[i]
		if ins.Op == ir.MaxPool && ins.Out[1] == arg && [4]int(b.p.Values[ins.In[0]].Shape) == b.ins.Attrs.Dims {
			return ins.Attrs.Win, true
		}
	}
	return ir.Window{}, false
}

// poolArg is struct Pool in pool.cu.
func poolArg(x, y []int, w ir.Window) Arg {
	sh, sw := max(w.SH, 1), max(w.SW, 1)
	v := []int32{int32(x[1]), int32(x[2]), int32(x[3]), int32(y[1]), int32(y[2]),
		int32(w.KH), int32(w.KW), int32(sh), int32(sw), int32(w.PT), int32(w.PL)}
	for _, d := range []int{x[1], x[2], x[3], y[1], y[2], sh, sw} {
		v = append(v, divisor(d)...)
	}
	return ints(v...)
}
