package main

import "fmt"

// dropMax is drop2 with a max pooling of 2 by 2 behind it: of the four outputs of a
// tile only the largest is stored, and where flagArg is set its index in the image.
//
// Registers as in the other transforms, but
//
//	R8 maxima    R9 indices    R10 index of the first output, in bytes
//	DX bias    BX free

// dropMax writes the kernel for an instruction set.
func (o *output) dropMax(s isa) {
	name := "dropMax" + s.name
	o.start(s, name, "maps 16 planes to the maximum of 2 by 2 vectors.", 1)
	o.op("MOVQ transform_arg(DI), R9")
	o.op("MOVQ transform_index(DI), R10")
	o.label("tile")
	o.op("MOVQ transform_bytes(DI), CX")
	o.op("MOVQ transform_bias(DI), DX")
	o.label("channel")
	acc := func(i, c int) string { return s.vec(2*i + c) }
	o.dropPlanes(s, 2, o.drop2, acc)
	o.op("MOVQ transform_flags(DI), AX")
	o.biasReLU(s, acc)
	for i := 1; i < 4; i++ {
		s.takeLarger(o, i, s.vec(i), s.vec(0), s.vec(9))
	}
	o.op("VMOVUPS %s, (R8)", s.vec(0))
	o.whenFlag("flagArg", func() { o.storeArg(s) })
	o.op("ADDQ $%d, DX", s.bytes)
	o.finish(s, []string{"R8", "R9", "R10"}, []string{"R10"})
}

// storeArg stores the index of the output that was taken last.
func (o *output) storeArg(s isa) {
	first, arg, other := s.vec(10), s.vec(11), s.vec(12)
	o.op("MOVQ R10, BX")
	o.op("SHRQ $2, BX")
	o.op("VMOVD BX, X10")
	o.op("VPBROADCASTD X10, %s", first)
	o.op("VPADDD lanes<>(SB), %s, %s", first, first)
	o.move(arg, first)
	for i := 1; i < 4; i++ {
		o.op("VPBROADCASTD transform_apart+%d(DI), %s", 4*(i-1), other)
		o.op("VPADDD %s, %s, %s", first, other, other)
		s.take(o, i, other, arg)
	}
	o.op("VMOVUPS %s, (R9)", arg)
}

// lanes writes the data 0, 1, 2, ...
func (o *output) lanes() {
	o.asm.WriteString("\n")
	for i := 0; i < 16; i += 2 {
		o.asm.WriteString(fmt.Sprintf("DATA lanes<>+%d(SB)/8, $0x%08x%08x\n", 4*i, i+1, i))
	}
	o.asm.WriteString("GLOBL lanes<>(SB), RODATA|NOPTR, $64\n")
}

// takeLarger puts x into best where it is larger, or NaN, and remembers where in
// mask i, which is 1 to 3: vector 3+i where masks are vectors.
func (s isa) takeLarger(o *output, i int, x, best, free string) {
	if s.opmask {
		o.op("VCMPPS $30, %s, %s, K%d", best, x, i)
		o.op("VCMPPS $3, %s, %s, K4", x, x)
		o.op("KORW K4, K%d, K%d", i, i)
	} else {
		mask := s.vec(3 + i)
		o.op("VCMPPS $30, %s, %s, %s", best, x, mask)
		o.op("VCMPPS $3, %s, %s, %s", x, x, free)
		o.op("VORPS %s, %s, %s", free, mask, mask)
	}
	s.take(o, i, x, best)
}

// take puts x into dst where mask i is set.
func (s isa) take(o *output, i int, x, dst string) {
	if s.opmask {
		o.op("VMOVAPS %s, K%d, %s", x, i, dst)
		return
	}
	o.op("VBLENDVPS %s, %s, %s, %s", s.vec(3+i), x, dst, dst)
}
