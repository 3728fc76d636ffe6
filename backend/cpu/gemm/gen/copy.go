package main

import "fmt"

// copyRows writes the packing of a panel of b whose rows are contiguous.
func (o *output) copyRows(s isa, width int) {
	name := fmt.Sprintf("copyRows%d%s", width, s.name)
	o.copyArgs(name, fmt.Sprintf(
		"// %s copies n ≥ 1 rows of cols floats, stride bytes apart, to rows of %d in dst,\n"+
			"// with zeros behind them.\n", name, width))
	o.op("MOVQ $%d, DX", width*4)
	o.copyLoop(s, width*4/s.bytes)
}

// copyStrip writes the packing of a strip of a whose rows are not contiguous.
func (o *output) copyStrip(s isa) {
	name := "copyStrip" + s.name
	o.copyArgs(name, fmt.Sprintf(
		"// %s copies n ≥ 1 rows of cols ≤ %d floats, stride bytes apart, to rows of cols in\n"+
			"// dst. It writes %d floats for each, zeros behind the last.\n", name, s.bytes/4, s.bytes/4))
	o.op("LEAQ (R8*4), DX")
	o.copyLoop(s, 1)
}

// copyArgs begins a function that copies rows.
func (o *output) copyArgs(name, doc string) {
	o.function(name, doc, "(dst, src *float32, n, stride, cols int)", 40)
	o.op("MOVQ dst+0(FP), DI")
	o.op("MOVQ src+8(FP), SI")
	o.op("MOVQ n+16(FP), CX")
	o.op("MOVQ stride+24(FP), BX")
	o.op("MOVQ cols+32(FP), R8")
}

// copyLoop writes the loop over rows that are DX bytes apart in dst.
func (o *output) copyLoop(s isa, vectors int) {
	s.setMasks(o, vectors)
	o.label("row")
	for v := range vectors {
		s.loadMasked(o, "(SI)", v, s.vec(2+v))
	}
	for v := range vectors {
		o.op("VMOVUPS %s, %d(DI)", s.vec(2+v), v*s.bytes)
	}
	o.op("ADDQ BX, SI")
	o.op("ADDQ DX, DI")
	o.op("DECQ CX")
	o.op("JNZ row")
	o.end()
}

// addTo writes the sum of two vectors.
func (o *output) addTo(s isa) {
	name := "addTo" + s.name
	o.function(name, fmt.Sprintf(
		"// %s adds n floats of src to dst; n is a multiple of %d, at least that.\n", name, s.bytes/4),
		"(dst, src *float32, n int)", 24)
	o.op("MOVQ dst+0(FP), DI")
	o.op("MOVQ src+8(FP), SI")
	o.op("MOVQ n+16(FP), CX")
	o.label("next")
	o.op("VMOVUPS (DI), %s", s.vec(0))
	o.op("VADDPS (SI), %s, %s", s.vec(0), s.vec(0))
	o.op("VMOVUPS %s, (DI)", s.vec(0))
	o.op("ADDQ $%d, SI", s.bytes)
	o.op("ADDQ $%d, DI", s.bytes)
	o.op("SUBQ $%d, CX", s.bytes/4)
	o.op("JNZ next")
	o.end()
}

// transpose writes the transposition of blocks of n by n floats; part does one, from
// registers 0 to n-1 to those from first on.
func (o *output) transpose(s isa, first int, part func()) {
	n := s.bytes / 4
	name := fmt.Sprintf("transpose%d%s", n, s.name)
	o.function(name, fmt.Sprintf(
		"// %s transposes %d rows of %d·blocks floats, blocks ≥ 1; rows are srcStride bytes\n"+
			"// apart, and dstStride in dst.\n", name, n, n),
		"(dst, src *float32, dstStride, srcStride, blocks int)", 40)
	o.op("MOVQ dst+0(FP), DI")
	o.op("MOVQ src+8(FP), SI")
	o.op("MOVQ dstStride+16(FP), DX")
	o.op("MOVQ srcStride+24(FP), BX")
	o.op("MOVQ blocks+32(FP), CX")
	o.label("block")
	o.op("MOVQ SI, R8")
	for i := range n {
		o.op("VMOVUPS (R8), %s", s.vec(i))
		o.op("ADDQ BX, R8")
	}
	part()
	for i := range n {
		o.op("VMOVUPS %s, (DI)", s.vec(first+i))
		o.op("ADDQ DX, DI")
	}
	o.op("ADDQ $%d, SI", s.bytes)
	o.op("DECQ CX")
	o.op("JNZ block")
	o.end()
}

// transpose16 transposes 16 by 16 floats with AVX-512: pairs of floats, then of
// doubles, then of 128-bit lanes, twice. It takes 64 shuffles.
func (o *output) transpose16() {
	for i := 0; i < 16; i += 2 {
		o.op("VUNPCKLPS Z%d, Z%d, Z%d", i+1, i, 16+i)
		o.op("VUNPCKHPS Z%d, Z%d, Z%d", i+1, i, 16+i+1)
	}
	for i := 0; i < 16; i += 4 {
		o.op("VUNPCKLPD Z%d, Z%d, Z%d", 16+i+2, 16+i, i)
		o.op("VUNPCKHPD Z%d, Z%d, Z%d", 16+i+2, 16+i, i+1)
		o.op("VUNPCKLPD Z%d, Z%d, Z%d", 16+i+3, 16+i+1, i+2)
		o.op("VUNPCKHPD Z%d, Z%d, Z%d", 16+i+3, 16+i+1, i+3)
	}
	// Lane l of Z(4g+c) is now column 4l+c of rows 4g to 4g+3.
	for c := range 4 {
		o.op("VSHUFF32X4 $0x88, Z%d, Z%d, Z%d", 4+c, c, 16+c)
		o.op("VSHUFF32X4 $0xdd, Z%d, Z%d, Z%d", 4+c, c, 20+c)
		o.op("VSHUFF32X4 $0x88, Z%d, Z%d, Z%d", 12+c, 8+c, 24+c)
		o.op("VSHUFF32X4 $0xdd, Z%d, Z%d, Z%d", 12+c, 8+c, 28+c)
	}
	for c := range 4 {
		o.op("VSHUFF32X4 $0x88, Z%d, Z%d, Z%d", 24+c, 16+c, c)
		o.op("VSHUFF32X4 $0xdd, Z%d, Z%d, Z%d", 24+c, 16+c, 8+c)
		o.op("VSHUFF32X4 $0x88, Z%d, Z%d, Z%d", 28+c, 20+c, 4+c)
		o.op("VSHUFF32X4 $0xdd, Z%d, Z%d, Z%d", 28+c, 20+c, 12+c)
	}
}

// transpose8 transposes 8 by 8 floats with AVX: pairs of floats, then of doubles, then
// of 128-bit lanes.
func (o *output) transpose8() {
	for i := 0; i < 8; i += 2 {
		o.op("VUNPCKLPS Y%d, Y%d, Y%d", i+1, i, 8+i)
		o.op("VUNPCKHPS Y%d, Y%d, Y%d", i+1, i, 8+i+1)
	}
	for i := 0; i < 8; i += 4 {
		o.op("VUNPCKLPD Y%d, Y%d, Y%d", 8+i+2, 8+i, i)
		o.op("VUNPCKHPD Y%d, Y%d, Y%d", 8+i+2, 8+i, i+1)
		o.op("VUNPCKLPD Y%d, Y%d, Y%d", 8+i+3, 8+i+1, i+2)
		o.op("VUNPCKHPD Y%d, Y%d, Y%d", 8+i+3, 8+i+1, i+3)
	}
	// Lane l of Y(4g+c) is now column 4l+c of rows 4g to 4g+3.
	for c := range 4 {
		o.op("VPERM2F128 $0x20, Y%d, Y%d, Y%d", 4+c, c, 8+c)
		o.op("VPERM2F128 $0x31, Y%d, Y%d, Y%d", 4+c, c, 12+c)
	}
}
