package gemm

// packB copies a panel of op(b), rows k0 ≤ p < k0+kn and columns j0 ≤ j < j0+cols,
// to dst:
//
//	dst[(p−k0)·width + j−j0] = op(b)[p,j], 0 for the columns from cols to width
//
// b has rows of ld elements: op(b) itself, or with trans its transpose.
func (p *path) packB(dst, b []float32, ld int, trans bool, k0, kn, j0, cols, width int) {
	if trans {
		p.packTransposed(dst, b[j0*ld+k0:], ld, kn, cols, width)
		return
	}
	p.panelFor(width).copyRows(&dst[0], &b[k0*ld+j0], kn, ld*floatSize, cols)
}

// packTransposed packs a panel whose columns are cols rows of kn elements in src.
func (p *path) packTransposed(dst, src []float32, ld, kn, cols, width int) {
	wholeK, wholeJ := kn/p.block*p.block, cols/p.block*p.block
	for j := 0; j < wholeJ; j += p.block {
		if wholeK > 0 {
			p.transpose(&dst[j], &src[j*ld], width*floatSize, ld*floatSize, wholeK/p.block)
		}
	}
	for j := range cols {
		from := wholeK
		if j >= wholeJ {
			from = 0
		}
		for k, v := range src[j*ld+from : j*ld+kn] {
			dst[(from+k)*width+j] = v
		}
	}
	for k := 0; k < kn && cols < width; k++ {
		clear(dst[k*width+cols : (k+1)*width])
	}
}

// packStrip copies n rows of cols elements, ld apart in src, to dst without gaps.
func (p *path) packStrip(dst, src []float32, ld, n, cols int) {
	// copyStrip writes behind its last row, where there may be others' memory.
	last := ceilDiv(max(p.lanes-cols, 0), cols)
	if most := n - last; most > 0 {
		p.copyStrip(&dst[0], &src[0], most, ld*floatSize, cols)
		n, dst, src = last, dst[most*cols:], src[min(most*ld, len(src)):]
	}
	copyRows(dst, cols, src, ld, n, cols)
}

// copyRows copies rows of n elements between matrices with other strides.
func copyRows(dst []float32, dstLd int, src []float32, srcLd, rows, n int) {
	for i := range rows {
		copy(dst[i*dstLd:i*dstLd+n], src[i*srcLd:])
	}
}

// aliases reports whether rows of ld elements compete for the same cache sets, so
// that a tile that reads 14 of them keeps evicting its own data: first level caches
// have 64 sets of 64 bytes and 8 or 12 ways. On a 2-core Zen 4, copying a gains 10 to
// 20 % at multiples of 4 KiB; at 2 KiB, or when a is transposed, it loses some.
func aliases(ld int) bool { return ld%1024 == 0 }

// padded returns a row length ≥ n that does not alias, a multiple of 16.
func padded(n int) int {
	n = roundUp(n, 16)
	if n%32 == 0 {
		n += 16
	}
	return n
}

// roundUp returns the smallest multiple of unit that is ≥ n.
func roundUp(n, unit int) int { return (n + unit - 1) / unit * unit }

// ceilDiv returns n/d, rounded up.
func ceilDiv(n, d int) int { return (n + d - 1) / d }

// part returns the bounds of part i when total elements are split into n parts of
// nearly the same size, at multiples of unit.
func part(i, n, total, unit int) (from, to int) {
	units := ceilDiv(total, unit)
	return min(units*i/n*unit, total), min(units*(i+1)/n*unit, total)
}
