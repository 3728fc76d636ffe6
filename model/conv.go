package model

import (
	G "gorgonia.org/gorgonia"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/model/spec"
)

// buildConv2D: y = act(conv(x, kernel) + bias), channels last.
func buildConv2D(c *construction, in []*G.Node) *G.Node {
	p := c.params.(*spec.Conv2D)
	row := c.image(in[0])
	w := c.window(row, p.KernelSize, p.Strides, p.DilationRate, p.Padding)
	if c.err != nil {
		return in[0]
	}
	channels := row[2]
	if channels%p.Groups != 0 {
		c.fail("groups is %d, which does not divide the %d channels from %s", p.Groups, channels, c.from(0))
		return in[0]
	}
	kernel := c.param("kernel", p.KernelInitializer, w.KH, w.KW, channels/p.Groups, p.Filters)
	y := c.apply(ir.Conv2D, ir.Attrs{Win: w, Groups: p.Groups}, in[0], kernel)
	if p.UseBias {
		y = c.apply(ir.BiasAdd, ir.Attrs{}, y, c.param("bias", p.BiasInitializer, p.Filters))
	}
	return c.activate(y, p.Activation)
}

// image returns the shape of a row, which must have height, width and channels.
func (c *construction) image(x *G.Node) []int {
	row := c.row(x)
	if len(row) != 3 {
		c.fail("takes rows of height x width x channels, but %s gives %s", c.from(0), shapeText(row))
		return []int{1, 1, 1}
	}
	return row
}

// window returns the geometry over a row [H,W,C]. Padding "same" is Keras's: the
// output has ceil(input/stride) positions, and an odd zero goes to the end.
func (c *construction) window(row []int, size, stride, dilation spec.Pair, padding string) ir.Window {
	w := ir.Window{KH: size[0], KW: size[1], SH: stride[0], SW: stride[1], DH: dilation[0], DW: dilation[1]}
	reachH, reachW := (w.KH-1)*w.DH+1, (w.KW-1)*w.DW+1
	if padding == "same" {
		w.PT, w.PB = samePadding(row[0], reachH, w.SH)
		w.PL, w.PR = samePadding(row[1], reachW, w.SW)
		return w
	}
	if reachH > row[0] || reachW > row[1] {
		spread := ""
		if w.DH > 1 || w.DW > 1 {
			spread = " with its dilation"
		}
		c.fail("window %dx%d%s does not fit its input %dx%d from %s",
			reachH, reachW, spread, row[0], row[1], c.from(0))
	}
	return w
}

// samePadding returns the zeros before and after one axis.
func samePadding(size, reach, stride int) (before, after int) {
	positions := (size + stride - 1) / stride
	total := max((positions-1)*stride+reach-size, 0)
	return total / 2, total - total/2
}
