package main

import "fmt"

// The transforms of Winograd's convolutions F(2×2,3×3) map a grid of n by n
// vectors to 16 planes (lift) or back (drop): X = L·x·Lᵀ, first along one dimension,
// then along the other. The kernels differ in n and L only, and dropMax, in max.go, in
// what it keeps of the grid:
//
//	lift4  inputs     x0−x2, x1+x2, x2−x1, x1−x3
//	lift2  gradients  x0, x0+x1, x0−x1, x1
//	lift3  weights    x0, (x0+x1+x2)/2, (x0−x1+x2)/2, x2
//	drop2  outputs    x0+x1+x2, x1−x2−x3
//	drop3  gradients of weights   x0+(x1+x2)/2, (x1−x2)/2, (x1+x2)/2−x3
//
// Registers:
//
//	DI arguments    SI tiles left    CX bytes of channels left
//	R8 R9 R10 R11   rows of the grid    BX, DX one and three pixels
//	R12 planes    R13, R15 one and four planes    AX a plane
//
// drop2 has the rows of ref in R10 and R11, and the bias in DX.

// halfReg holds 1/2 in all lanes where a transform needs it.
const halfReg = 15

// transforms writes the kernels for an instruction set.
func (o *output) transforms(s isa) {
	o.lift(s, 4, o.lift4)
	o.lift(s, 2, o.lift2)
	o.lift(s, 3, o.lift3)
	o.drop(s, 2, o.drop2)
	o.drop(s, 3, o.drop3)
	o.dropMax(s)
}

// liftFunc writes a transform of vectors in registers to four others; half is 1/2.
type liftFunc func(s isa, out [4]string, in []string, half string)

func (o *output) lift4(_ isa, out [4]string, x []string, _ string) {
	o.op("VSUBPS %s, %s, %s", x[2], x[0], out[0])
	o.op("VADDPS %s, %s, %s", x[2], x[1], out[1])
	o.op("VSUBPS %s, %s, %s", x[1], x[2], out[2])
	o.op("VSUBPS %s, %s, %s", x[3], x[1], out[3])
}

func (o *output) lift2(_ isa, out [4]string, x []string, _ string) {
	o.op("VADDPS %s, %s, %s", x[1], x[0], out[1])
	o.op("VSUBPS %s, %s, %s", x[1], x[0], out[2])
	o.move(out[3], x[1])
	o.move(out[0], x[0])
}

// lift3 uses out[1] and out[2] before it has read all of x: these must differ
// from it.
func (o *output) lift3(_ isa, out [4]string, x []string, half string) {
	o.op("VADDPS %s, %s, %s", x[2], x[0], out[1])
	o.op("VSUBPS %s, %s, %s", x[1], out[1], out[2])
	o.op("VADDPS %s, %s, %s", x[1], out[1], out[1])
	o.op("VMULPS %s, %s, %s", half, out[1], out[1])
	o.op("VMULPS %s, %s, %s", half, out[2], out[2])
	o.move(out[3], x[2])
	o.move(out[0], x[0])
}

func (o *output) move(to, from string) {
	if to != from {
		o.op("VMOVAPS %s, %s", from, to)
	}
}

// start writes the head of a kernel: arguments, and the loops over tiles and
// channels, which finish closes.
func (o *output) start(s isa, name, doc string, rows int) {
	o.function(name, fmt.Sprintf("// %s %s\n", name, doc), "(t *transform)", 8)
	o.op("MOVQ t+0(FP), DI")
	for r := range rows {
		o.op("MOVQ transform_grid+%d(DI), R%d", 8*r, 8+r)
	}
	o.op("MOVQ transform_pixel(DI), BX")
	o.op("LEAQ (BX)(BX*2), DX")
	o.op("MOVQ transform_planes(DI), R12")
	o.op("MOVQ transform_plane(DI), R13")
	o.op("LEAQ (R13*4), R15")
	o.op("MOVQ transform_tiles(DI), SI")
}

// half loads 1/2 into a register of its own.
func (o *output) half(s isa) {
	o.op("MOVL $0x3f000000, AX")
	o.op("VMOVD AX, X%d", halfReg)
	o.op("VBROADCASTSS X%d, %s", halfReg, s.vec(halfReg))
}

// finish moves all pointers to the next channels, or the next tile, where those of
// the grid take a step.
func (o *output) finish(s isa, pointers, grid []string) {
	for _, p := range append(pointers, "R12") {
		o.op("ADDQ $%d, %s", s.bytes, p)
	}
	o.op("SUBQ $%d, CX", s.bytes)
	o.op("JNZ channel")
	o.op("MOVQ transform_gridStep(DI), AX")
	for _, p := range grid {
		o.op("ADDQ AX, %s", p)
	}
	o.op("ADDQ transform_planesStep(DI), R12")
	o.op("DECQ SI")
	o.op("JNZ tile")
	o.end()
}

// loops begins the loops over tiles and channels.
func (o *output) loops() {
	o.label("tile")
	o.op("MOVQ transform_bytes(DI), CX")
	o.label("channel")
}

// pixelAt returns the operand of a pixel of the grid.
func pixelAt(row, col int) string {
	return fmt.Sprintf([...]string{"(R%d)", "(R%d)(BX*1)", "(R%d)(BX*2)", "(R%d)(DX*1)"}[col], 8+row)
}

// lift writes the kernel that maps n by n vectors to 16.
func (o *output) lift(s isa, n int, f liftFunc) {
	name := fmt.Sprintf("lift%d%s", n, s.name)
	o.start(s, name, fmt.Sprintf("maps grids of %d by %d vectors to 16 planes.", n, n), n)
	if n == 3 {
		o.half(s)
	}
	o.loops()
	var pointers []string
	for r := range n {
		pointers = append(pointers, fmt.Sprintf("R%d", 8+r))
	}
	if n == 4 && !s.opmask {
		o.liftThroughMemory(s, f)
	} else {
		o.liftInRegisters(s, n, f)
	}
	o.finish(s, pointers, pointers)
}

// liftInRegisters keeps 4n vectors, and 4 more, in registers: from 0 and, when
// there are few, from 8 or 12 on.
func (o *output) liftInRegisters(s isa, n int, f liftFunc) {
	temp := map[int]int{4: 16, 2: 8, 3: 11}[n]
	half := s.vec(halfReg)
	var rows [4][4]string
	for r := range n {
		in := make([]string, n)
		for c := range 4 {
			rows[r][c] = s.vec(4*r + c)
		}
		for c := range n {
			in[c] = s.vec(temp + 1 + c)
			if n == 3 {
				in[c] = s.vec(12 + c)
			}
			o.op("VMOVUPS %s, %s", pixelAt(r, c), in[c])
		}
		f(s, rows[r], in, half)
	}
	for c := range 4 {
		var in []string
		for r := range n {
			in = append(in, rows[r][c])
		}
		var out [4]string
		switch n {
		case 4:
			out = [4]string{s.vec(16), s.vec(17), s.vec(18), s.vec(19)}
		case 3: // in place but for the two in the middle
			out = [4]string{in[0], s.vec(12), s.vec(13), in[2]}
		case 2:
			out = [4]string{in[0], s.vec(8), s.vec(9), in[1]}
		}
		f(s, out, in, half)
		o.planes(c)
		for i := range 4 {
			o.op("VMOVUPS %s, (AX)", out[i])
			if i < 3 {
				o.op("ADDQ R15, AX")
			}
		}
	}
}

// planes puts the address of plane c in AX.
func (o *output) planes(c int) {
	switch c {
	case 0:
		o.op("MOVQ R12, AX")
	case 1:
		o.op("LEAQ (R12)(R13*1), AX")
	case 2:
		o.op("LEAQ (R12)(R13*2), AX")
	case 3:
		o.op("LEAQ (R12)(R13*2), AX")
		o.op("ADDQ R13, AX")
	}
}

// liftThroughMemory keeps the vectors between the two passes in the planes.
func (o *output) liftThroughMemory(s isa, f liftFunc) {
	in := []string{s.vec(0), s.vec(1), s.vec(2), s.vec(3)}
	out := [4]string{s.vec(4), s.vec(5), s.vec(6), s.vec(7)}
	o.op("MOVQ R12, AX")
	for r := range 4 {
		for c := range 4 {
			o.op("VMOVUPS %s, %s", pixelAt(r, c), in[c])
		}
		f(s, out, in, "")
		for c := range 4 {
			o.op("VMOVUPS %s, (AX)", out[c])
			o.op("ADDQ R13, AX")
		}
	}
	for c := range 4 {
		o.planes(c)
		for i := range 4 {
			o.op("VMOVUPS (AX), %s", in[i])
			o.op("ADDQ R15, AX")
		}
		f(s, out, in, "")
		o.planes(c)
		for i := range 4 {
			o.op("VMOVUPS %s, (AX)", out[i])
			o.op("ADDQ R15, AX")
		}
	}
}

// dropFunc writes a transform of four vectors in registers to n others, in the
// first of them; half is 1/2, and the last register free.
type dropFunc func(x [4]string, half, free string)

func (o *output) drop2(x [4]string, _, free string) {
	o.op("VADDPS %s, %s, %s", x[2], x[1], free)
	o.op("VSUBPS %s, %s, %s", x[2], x[1], x[1])
	o.op("VADDPS %s, %s, %s", free, x[0], x[0])
	o.op("VSUBPS %s, %s, %s", x[3], x[1], x[1])
}

func (o *output) drop3(x [4]string, half, free string) {
	o.op("VADDPS %s, %s, %s", x[2], x[1], free)
	o.op("VSUBPS %s, %s, %s", x[2], x[1], x[1])
	o.op("VMULPS %s, %s, %s", half, free, free)
	o.op("VMULPS %s, %s, %s", half, x[1], x[1])
	o.op("VADDPS %s, %s, %s", free, x[0], x[0])
	o.op("VSUBPS %s, %s, %s", x[3], free, x[2])
}

// drop writes the kernel that maps 16 planes to n by n vectors: row after row of
// the planes goes through the transform, and is added to the n rows of the result
// as the same transform says.
func (o *output) drop(s isa, n int, f dropFunc) {
	name := fmt.Sprintf("drop%d%s", n, s.name)
	o.start(s, name, fmt.Sprintf("maps 16 planes to grids of %d by %d vectors.", n, n), n)
	pointers := []string{"R8", "R9", "R10"}
	if n == 2 {
		pointers = []string{"R8", "R9", "R10", "R11"}
		o.op("MOVQ transform_ref+0(DI), R10")
		o.op("MOVQ transform_ref+8(DI), R11")
	} else {
		o.half(s)
	}
	o.label("tile")
	o.op("MOVQ transform_bytes(DI), CX")
	if n == 2 {
		o.op("MOVQ transform_bias(DI), DX")
	}
	o.label("channel")
	acc := func(i, c int) string { return s.vec(n*i + c) }
	o.dropPlanes(s, n, f, acc)
	if n == 2 {
		o.finishOutputs(s, acc)
	}
	for r := range n {
		for c := range n {
			o.op("VMOVUPS %s, %s", acc(r, c), pixelAt(r, c))
		}
	}
	if n == 2 {
		o.op("ADDQ $%d, DX", s.bytes)
	}
	o.finish(s, pointers, pointers)
}

// dropPlanes makes the n by n vectors acc of a tile's 16.
func (o *output) dropPlanes(s isa, n int, f dropFunc, acc func(i, c int) string) {
	x := [4]string{s.vec(9), s.vec(10), s.vec(11), s.vec(12)}
	half, free := s.vec(halfReg), s.vec(13)
	o.op("MOVQ R12, AX")
	for r := range 4 {
		for c := range 4 {
			o.op("VMOVUPS (AX), %s", x[c])
			o.op("ADDQ R13, AX")
		}
		f(x, half, free)
		for c := range n {
			if n == 2 {
				o.addRow2(r, x[c], acc(0, c), acc(1, c))
			} else {
				if r == 1 || r == 2 {
					o.op("VMULPS %s, %s, %s", half, x[c], x[c])
				}
				o.addRow3(r, x[c], acc(0, c), acc(1, c), acc(2, c))
			}
		}
	}
}

// addRow2 adds row r of the planes, in register v, to column c of the result.
func (o *output) addRow2(r int, v, y0, y1 string) {
	switch r {
	case 0:
		o.move(y0, v)
	case 1:
		o.op("VADDPS %s, %s, %s", v, y0, y0)
		o.move(y1, v)
	case 2:
		o.op("VADDPS %s, %s, %s", v, y0, y0)
		o.op("VSUBPS %s, %s, %s", v, y1, y1)
	case 3:
		o.op("VSUBPS %s, %s, %s", v, y1, y1)
	}
}

// addRow3 is addRow2 for three rows; v is halved where that is wanted.
func (o *output) addRow3(r int, v, y0, y1, y2 string) {
	switch r {
	case 0:
		o.move(y0, v)
	case 1:
		o.op("VADDPS %s, %s, %s", v, y0, y0)
		o.move(y1, v)
		o.move(y2, v)
	case 2:
		o.op("VADDPS %s, %s, %s", v, y0, y0)
		o.op("VSUBPS %s, %s, %s", v, y1, y1)
		o.op("VADDPS %s, %s, %s", v, y2, y2)
	case 3:
		o.op("VSUBPS %s, %s, %s", v, y2, y2)
	}
}

// finishOutputs writes the epilogue of a convolution, as that of a product.
func (o *output) finishOutputs(s isa, acc func(i, c int) string) {
	free := s.vec(9)
	o.op("MOVQ transform_flags(DI), AX")
	o.whenFlag("flagAccumulate", func() {
		eachPixel(acc, func(acc, at string) { o.op("VADDPS %s, %s, %s", at, acc, acc) })
	})
	o.biasReLU(s, acc)
	o.whenFlag("flagReLUGrad", func() {
		f := family{isa: s}
		for i := range 4 {
			o.op("VMOVUPS %s, %s", pixelAt(2+i/2, i%2), free)
			f.keepPositive(o, free, s.vec(10), acc(i/2, i%2))
		}
	})
}

// biasReLU writes the steps that outputs in registers suffice for; flags are in AX.
// Vector 10 is zero from here on.
func (o *output) biasReLU(s isa, acc func(i, c int) string) {
	free, zero := s.vec(9), s.vec(10)
	s.zero(o, zero)
	o.whenFlag("flagBias", func() {
		o.op("VMOVUPS (DX), %s", free)
		eachPixel(acc, func(acc, _ string) { o.op("VADDPS %s, %s, %s", free, acc, acc) })
	})
	o.whenFlag("flagReLU", func() {
		eachPixel(acc, func(acc, _ string) { o.op("VMAXPS %s, %s, %s", acc, zero, acc) })
	})
}

// whenFlag writes a part that runs if the flag is set in AX.
func (o *output) whenFlag(flag string, part func()) {
	o.op("TESTQ $const_%s, AX", flag)
	o.op("JZ no_%s", flag)
	part()
	o.label("no_" + flag)
}

// eachPixel calls do for the outputs of a tile.
func eachPixel(acc func(i, c int) string, do func(acc, at string)) {
	for r := range 2 {
		for c := range 2 {
			do(acc(r, c), pixelAt(r, c))
		}
	}
}
