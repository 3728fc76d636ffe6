package gemm

import "unsafe"

// The portable twin of the assembly: the same tiles, 4 by 4, which fit in the
// registers of most machines.
const genericSize = 4

func generic() *path {
	return &path{
		name: "generic",
		panel: panel{genericSize, kernels{nil, genericRow, genericRow2, genericRow3, genericTile},
			genericCopyRows},
		each: kernels{nil, genericEach}, eachWidth: genericSize,
		transpose: genericTranspose, block: genericSize,
		copyStrip: genericCopyStrip,
		addTo:     genericAddTo, lanes: 1,
		lift: genericTransforms(),
	}
}

func genericRow(t *tile)  { genericRows(t, 1) }
func genericRow2(t *tile) { genericRows(t, 2) }
func genericRow3(t *tile) { genericRows(t, 3) }

// genericRows computes a tile of few rows, one after the other.
func genericRows(t *tile, rows int) {
	for i := range rows {
		var acc [genericSize]float32
		a, b := i*t.aRow, 0
		for range t.outer {
			for range t.k {
				x := *load(t.a, a)
				y := (*[genericSize]float32)(unsafe.Add(t.b, b))
				for j := range acc {
					acc[j] += x * y[j]
				}
				a += t.aK
				b += t.bK
			}
			a += t.aOuter
			b += t.bOuter
		}
		genericStore(t, i, &acc)
	}
}

// genericEach computes a row of an elementwise product.
func genericEach(t *tile) {
	var acc [genericSize]float32
	a, b := 0, 0
	for range t.outer {
		for range t.k {
			for j := range t.cols {
				acc[j] += *load(t.a, a+j*floatSize) * *load(t.b, b+j*floatSize)
			}
			a += t.aK
			b += t.bK
		}
		a += t.aOuter
		b += t.bOuter
	}
	genericStore(t, 0, &acc)
}

// genericTile computes a full tile.
func genericTile(t *tile) {
	var (
		c00, c01, c02, c03 float32
		c10, c11, c12, c13 float32
		c20, c21, c22, c23 float32
		c30, c31, c32, c33 float32
	)
	a, b := 0, 0
	for range t.outer {
		for range t.k {
			y := (*[genericSize]float32)(unsafe.Add(t.b, b))
			x0, x1 := *load(t.a, a), *load(t.a, a+t.aRow)
			x2, x3 := *load(t.a, a+2*t.aRow), *load(t.a, a+3*t.aRow)
			y0, y1, y2, y3 := y[0], y[1], y[2], y[3]
			c00 += x0 * y0
			c01 += x0 * y1
			c02 += x0 * y2
			c03 += x0 * y3
			c10 += x1 * y0
			c11 += x1 * y1
			c12 += x1 * y2
			c13 += x1 * y3
			c20 += x2 * y0
			c21 += x2 * y1
			c22 += x2 * y2
			c23 += x2 * y3
			c30 += x3 * y0
			c31 += x3 * y1
			c32 += x3 * y2
			c33 += x3 * y3
			a += t.aK
			b += t.bK
		}
		a += t.aOuter
		b += t.bOuter
	}
	genericStore(t, 0, &[genericSize]float32{c00, c01, c02, c03})
	genericStore(t, 1, &[genericSize]float32{c10, c11, c12, c13})
	genericStore(t, 2, &[genericSize]float32{c20, c21, c22, c23})
	genericStore(t, 3, &[genericSize]float32{c30, c31, c32, c33})
}

// genericStore applies the epilogue to row i of a tile and stores it.
func genericStore(t *tile, i int, acc *[genericSize]float32) {
	for j := range t.cols {
		v := acc[j]
		c := load(t.c, i*t.cRow+j*floatSize)
		if t.flags&flagAccumulate != 0 {
			v += *c
		}
		if t.flags&flagBias != 0 {
			v += *load(t.bias, j*floatSize)
		}
		if t.flags&flagReLU != 0 {
			v = max(v, 0)
		}
		if t.flags&flagReLUGrad != 0 && !(*load(t.ref, i*t.cRow+j*floatSize) > 0) {
			v = 0
		}
		*c = v
	}
}

// load returns the float at an offset in bytes.
func load(p unsafe.Pointer, offset int) *float32 { return (*float32)(unsafe.Add(p, offset)) }

func genericCopyRows(dst, src *float32, n, stride, cols int) {
	for i := range n {
		to := unsafe.Slice(load(unsafe.Pointer(dst), i*genericSize*floatSize), genericSize)
		clear(to[copy(to, unsafe.Slice(load(unsafe.Pointer(src), i*stride), cols)):])
	}
}

func genericCopyStrip(dst, src *float32, n, stride, cols int) {
	for i := range n {
		copy(unsafe.Slice(load(unsafe.Pointer(dst), i*cols*floatSize), cols),
			unsafe.Slice(load(unsafe.Pointer(src), i*stride), cols))
	}
}

func genericTranspose(dst, src *float32, dstStride, srcStride, blocks int) {
	for i := range genericSize {
		for j := range blocks * genericSize {
			*load(unsafe.Pointer(dst), j*dstStride+i*floatSize) =
				*load(unsafe.Pointer(src), i*srcStride+j*floatSize)
		}
	}
}

func genericAddTo(dst, src *float32, n int) {
	d, s := unsafe.Slice(dst, n), unsafe.Slice(src, n)
	for i, v := range s {
		d[i] += v
	}
}
