package plan

import "github.com/gespann/gespann/backend/ir"

// pool plans a pooling, or its gradient, of x and y.
func (b *builder) pool(kernel string, x, y []int, win ir.Window, pointers ...Arg) {
	n := ir.Size(b.outShape(0))
	b.each(kernel, n, append(pointers, poolArg(x, y, win), i64(n))...)
}

// maxPoolGrad plans a gradient that looks only where windows are, if they are known.
func (b *builder) maxPoolGrad() {
	kernel := "max_pool_grad"
	win, ok := b.poolWindow()
	if !ok {
		kernel = "max_pool_grad_scan"
	}
	b.pool(kernel, b.outShape(0), b.shape(1), win, b.out(0), b.in(0), b.in(1))
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
