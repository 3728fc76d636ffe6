package gemm

import (
	"fmt"
	"strings"
)

// DescribeForward says how Forward computes, as MatMul.Describe does.
func (c *Conv2D) DescribeForward() string { return c.planForward().Describe() }

// DescribePooled says how ForwardPooled computes.
func (c *Conv2D) DescribePooled() string { return c.planPooled().Describe() + "; max pooling of tiles" }

// DescribeGradInput says how GradInput computes.
func (c *Conv2D) DescribeGradInput() string { return c.planGradInput().Describe() }

// DescribeGradWeight says how GradWeight computes.
func (c *Conv2D) DescribeGradWeight() string { return c.planGradWeight().Describe() }

// Describe says how the convolution is computed: the chunks and tiles, where its
// source is read, and the packed weights.
func (c *correlation) Describe() string {
	s := []string{"direct"}
	if c.depthwise() {
		s[0] = "direct, elementwise"
	}
	if n := len(c.phases); n > 1 {
		s[0] += fmt.Sprintf(", %d phases", n)
	}
	if len(c.jobs) == 0 {
		return s[0]
	}
	j := &c.jobs[0]
	ph := &c.phases[j.phase]
	images := j.b1 - j.b0
	pixels, along := ph.x.n, "of a row"
	if c.acrossImages(ph, images) {
		pixels, along = images, "of images"
	}
	s = append(s, c.tilesText(pixels)+" "+along,
		fmt.Sprintf("%s of %s x %s", count(len(c.jobs), "chunk"), count(images, "image"), count(j.i1-j.i0, "row")))
	from, to := ph.x.extent(0, ph.x.n)
	if c.inPlace(ph) {
		s = append(s, fmt.Sprintf("source in place, ld %d", c.w*c.c))
	} else {
		s = append(s, fmt.Sprintf("source copied with %d and %d columns of zeros, ld %d",
			max(-from, 0), max(to-c.w, 0), c.rowSize(ph)))
	}
	size := 0
	for _, p := range c.panels {
		size = max(size, p.at+len(c.phases[p.phase].y.taps)*len(c.phases[p.phase].x.taps)*c.cin()*p.width)
	}
	weights := fmt.Sprintf("weights packed in %s, %s", count(len(c.panels), "panel"), kib(size))
	if c.transposed {
		weights += ", transposed"
	}
	if !c.depthwise() && !c.runs(&ph.x) {
		weights += ", a row of taps at a time"
	}
	return strings.Join(append(s, weights), "; ")
}

// tilesText names the tiles for so many pixels.
func (c *correlation) tilesText(pixels int) string {
	if c.depthwise() {
		return fmt.Sprintf("tiles 1x%d", c.path.eachWidth)
	}
	return c.path.tilesText(c.cout(), pixels, c.path.onePanel)
}

// Describe says how the gradient of the weights is computed: its partial sums, and
// where its factors are read.
func (d *convDW) Describe() string {
	s := []string{"direct", ""}
	rows := d.kw * d.c
	if d.groups > 1 || d.x.dilate != 1 {
		rows = d.cin()
	}
	s[1] = d.path.tilesText(d.cout(), rows, d.path.onePanel)
	if d.depthwise() {
		s[0], s[1] = "direct, elementwise", fmt.Sprintf("tiles 1x%d", d.path.eachWidth)
	}
	s = append(s, fmt.Sprintf("%s of %s x %s", count(d.parts*d.groupsOfPanels, "chunk"),
		count(ceilDiv(d.batch, d.parts), "image"), count(ceilDiv(d.panels(), d.groupsOfPanels), "panel")))
	if d.parts > 1 {
		s[len(s)-1] += fmt.Sprintf(", %s of partial sums", kib((d.parts-1)*d.size))
	}
	bands := "of an image"
	if d.images > 1 {
		bands = fmt.Sprintf("of %d images", d.images)
	}
	s = append(s, fmt.Sprintf("%s %s at once", count(d.bandRows(), "row"), bands))
	if d.inPlace() {
		s = append(s, fmt.Sprintf("x in place, ld %d", d.rowSize()))
	} else {
		s = append(s, fmt.Sprintf("x copied with zeros, ld %d", d.rowSize()))
	}
	if d.dyInPlace(min(d.width(), d.cout())) {
		return strings.Join(append(s, fmt.Sprintf("dy in place, ld %d", d.dstC)), "; ")
	}
	return strings.Join(append(s, "dy packed"), "; ")
}

// Describe says how the convolution is computed: its products of transformed tiles,
// the chunks, and the transformed weights.
func (w *winograd) Describe() string {
	rows := w.batch * w.ty
	tiles := w.rows * w.tx
	weights := fmt.Sprintf("weights packed in 16 planes of %s, %s", count(w.panels, "panel"), kib(w.liftedSize))
	if w.transposed {
		weights += ", flipped and transposed"
	}
	return strings.Join([]string{
		fmt.Sprintf("Winograd, 16 products m %d n %d k %d", tiles, w.dstC, w.c),
		w.path.tilesText(w.dstC, tiles, w.path.onePanel),
		fmt.Sprintf("%s of %s of %d", count(ceilDiv(rows, w.rows), "chunk"), count(w.rows, "row"), w.tx),
		fmt.Sprintf("planes of ld %d and %d", w.vLd, w.dstC),
		weights,
	}, "; ")
}

// Describe says how the gradient of the weights is computed.
func (d *winogradDW) Describe() string {
	tiles := d.rows * d.tx
	return strings.Join([]string{
		fmt.Sprintf("Winograd, 16 products Aᵀ·B m %d n %d k %d", d.c, d.dstC, tiles),
		d.path.tilesText(d.dstC, d.c, d.path.onePanel),
		fmt.Sprintf("%s of %s of %d, %s at once, %s of partial sums", count(d.parts, "chunk"),
			count(ceilDiv(d.batch*d.ty, d.parts), "row"), d.tx, count(d.rows, "row"), kib(d.parts*d.size)),
		fmt.Sprintf("planes of ld %d and %d", d.vLd, d.yLd),
	}, "; ")
}
