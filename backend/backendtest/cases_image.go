package backendtest

import (
	"fmt"

	"github.com/gespann/gespann/backend/ir"
)

// A geometry is a convolution: sizes of x [B,H,W,C], output channels, window.
type geometry struct {
	b, h, w, c, o int
	groups        int
	win           ir.Window
}

func (g geometry) String() string {
	return fmt.Sprintf("%dx%dx%dx%d_to_%d_g%d_%v", g.b, g.h, g.w, g.c, g.o, g.groups, g.win)
}

// window returns a window with strides, dilation and padding.
func window(kh, kw, sh, sw, dh, dw int, pad ...int) ir.Window {
	w := ir.Window{KH: kh, KW: kw, SH: sh, SW: sw, DH: dh, DW: dw}
	if len(pad) == 4 {
		w.PT, w.PB, w.PL, w.PR = pad[0], pad[1], pad[2], pad[3]
	}
	return w
}

var geometries = []geometry{
	{1, 1, 1, 1, 1, 1, window(1, 1, 1, 1, 1, 1)},
	{2, 5, 7, 3, 4, 1, window(1, 1, 1, 1, 1, 1)},                 // pointwise
	{3, 6, 5, 4, 7, 1, window(1, 1, 2, 3, 1, 1)},                 // pointwise, strided
	{2, 8, 8, 1, 6, 1, window(3, 3, 1, 1, 1, 1)},                 // Cin = 1
	{1, 28, 28, 1, 32, 1, window(3, 3, 1, 1, 1, 1)},              // first layer of the MNIST net
	{1, 13, 13, 32, 64, 1, window(3, 3, 1, 1, 1, 1)},             // second layer
	{2, 9, 7, 3, 5, 1, window(3, 3, 1, 1, 1, 1, 1, 1, 1, 1)},     // same
	{2, 9, 8, 3, 5, 1, window(3, 3, 2, 2, 1, 1, 1, 1, 0, 1)},     // same, strided
	{2, 9, 8, 3, 5, 1, window(4, 2, 3, 1, 1, 1, 1, 2, 0, 1)},     // even, asymmetric
	{1, 11, 12, 2, 3, 1, window(3, 2, 1, 1, 2, 3)},               // dilated
	{1, 11, 12, 2, 3, 1, window(3, 3, 2, 1, 2, 2, 2, 2, 2, 2)},   // dilated, strided, padded
	{2, 7, 6, 4, 6, 2, window(3, 3, 1, 1, 1, 1, 1, 1, 1, 1)},     // groups
	{2, 7, 6, 6, 6, 6, window(3, 3, 1, 1, 1, 1, 1, 1, 1, 1)},     // depthwise
	{2, 7, 6, 3, 6, 3, window(2, 3, 2, 2, 1, 1)},                 // depthwise, multiplier 2
	{1, 3, 2, 2, 3, 1, window(5, 5, 1, 1, 1, 1, 2, 2, 2, 2)},     // window larger than x
	{3, 1, 9, 2, 17, 1, window(1, 5, 1, 2, 1, 1, 0, 0, 2, 2)},    // one row
	{2, 8, 8, 16, 33, 1, window(5, 5, 1, 1, 1, 1, 2, 2, 2, 2)},   // odd channels
	{1, 17, 19, 5, 9, 1, window(7, 1, 1, 1, 1, 1, 6, 0, 0, 0)},   // all padding on one side
	{5, 4, 4, 3, 2, 1, window(2, 2, 3, 3, 1, 1)},                 // strides skip positions of x
	{1, 12, 12, 32, 16, 1, window(3, 3, 1, 1, 1, 1, 1, 1, 1, 1)}, // many channels
}

// imageCases returns the cases of convolutions and poolings.
func imageCases() map[ir.Op][]opCase {
	cases := map[ir.Op][]opCase{}
	for _, g := range geometries {
		oh, ow := g.win.Out(g.h, g.w)
		x, y := []int{g.b, g.h, g.w, g.c}, []int{g.b, oh, ow, g.o}
		w := []int{g.win.KH, g.win.KW, g.c / g.groups, g.o}
		a := ir.Attrs{Win: g.win, Groups: g.groups}
		for _, e := range epilogues(g) {
			terms := w[0] * w[1] * w[2]
			c := opCase{attrs: a, in: []arg{normal(x...), weights(terms, w...)}, tol: sum(terms)}
			c.attrs.Bias, c.attrs.Act, c.attrs.Alpha = e.Bias, e.Act, e.Alpha
			c.name = g.String() + c.epilogue(g.o, y...)
			cases[ir.Conv2D] = append(cases[ir.Conv2D], c)
			if e.Bias {
				continue
			}
			terms = w[0] * w[1] * g.o / g.groups
			c = opCase{attrs: a, in: []arg{normal(w...), normal(y...)}, tol: sum(terms)}
			c.attrs.Dims = [4]int(x)
			c.attrs.Act, c.attrs.Alpha, c.attrs.GradAct = e.Act, e.Alpha, e.Act != ir.NoAct
			c.name = g.String() + c.epilogue(g.c, x...)
			cases[ir.Conv2DDX] = append(cases[ir.Conv2DDX], c)
		}
		cases[ir.Conv2DDW] = append(cases[ir.Conv2DDW], opCase{name: g.String(), attrs: a,
			in: []arg{normal(x...), normal(y...)}, tol: sum(g.b * oh * ow)})
	}
	for _, g := range pools {
		addPoolCases(cases, g)
	}
	return cases
}

// epilogues returns those that a geometry is tested with: all for a small one.
func epilogues(g geometry) []ir.Attrs {
	list := []ir.Attrs{{}, {Bias: true, Act: ir.ReLU}}
	if g.h == 7 || g.h == 5 {
		for _, act := range activations() {
			list = append(list, act)
			act.Bias = true
			list = append(list, act)
		}
	}
	return list
}

var pools = []geometry{
	{1, 1, 1, 1, 0, 1, window(1, 1, 1, 1, 1, 1)},
	{2, 4, 4, 3, 0, 1, window(2, 2, 2, 2, 1, 1)},
	{2, 24, 24, 16, 0, 1, window(2, 2, 2, 2, 1, 1)},
	{1, 5, 7, 17, 0, 1, window(2, 2, 2, 2, 1, 1)},              // leaves a row and a column
	{2, 5, 7, 3, 0, 1, window(2, 2, 2, 2, 1, 1, 0, 1, 0, 1)},   // same
	{2, 7, 7, 5, 0, 1, window(3, 3, 2, 2, 1, 1, 1, 1, 1, 1)},   // overlapping, padded
	{1, 6, 8, 33, 0, 1, window(3, 2, 1, 1, 1, 1, 2, 2, 1, 0)},  // overlapping, asymmetric
	{2, 9, 9, 2, 0, 1, window(2, 3, 3, 4, 1, 1)},               // gaps between windows
	{3, 4, 5, 7, 0, 1, window(4, 5, 1, 1, 1, 1)},               // global
	{1, 2, 3, 4, 0, 1, window(5, 4, 1, 2, 1, 1, 3, 4, 3, 1)},   // window larger than x
	{1, 13, 11, 1, 0, 1, window(3, 3, 1, 1, 1, 1, 1, 1, 1, 1)}, // one channel
}

func addPoolCases(cases map[ir.Op][]opCase, g geometry) {
	oh, ow := g.win.Out(g.h, g.w)
	x, y := []int{g.b, g.h, g.w, g.c}, []int{g.b, oh, ow, g.c}
	win, dims := ir.Attrs{Win: g.win}, ir.Attrs{Dims: [4]int(x)}
	both := ir.Attrs{Win: g.win, Dims: [4]int(x)}
	window := g.win.KH * g.win.KW
	cases[ir.MaxPool] = append(cases[ir.MaxPool],
		opCase{name: g.String(), attrs: win, in: []arg{normal(x...)}, tol: exactly},
		opCase{name: g.String() + "/ties", attrs: win, in: []arg{grid(x...)}, tol: exactly})
	// Random positions may all meet: as many terms as there are windows.
	cases[ir.MaxPoolGrad] = append(cases[ir.MaxPoolGrad],
		opCase{name: g.String(), attrs: dims, in: []arg{indices(g.h*g.w*g.c, y...), normal(y...)},
			tol: sum(oh * ow * g.c)},
		opCase{name: g.String() + "/wild", attrs: dims, in: []arg{wild(g.h*g.w*g.c, y...), normal(y...)},
			tol: sum(oh * ow * g.c)})
	cases[ir.AvgPool] = append(cases[ir.AvgPool],
		opCase{name: g.String(), attrs: win, in: []arg{normal(x...)}, tol: sum(window)})
	cases[ir.AvgPoolGrad] = append(cases[ir.AvgPoolGrad],
		opCase{name: g.String(), attrs: both, in: []arg{normal(y...)}, tol: sum(window)})
}
