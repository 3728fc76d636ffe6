package main

import "fmt"

// Registers of a kernel.
//
//	DI tile    CX inner counter    SI outer counter
//	AX R11 rows 0 and 7 of a
//	BX row stride of a, R12 three, R13 five of them    R10 k stride of a
//	DX b    R9 k stride of b    R8 memory that is wanted soon, R15 its stride
//
// In the epilogue SI is a row of c and R8, R9, R11 are free. R14 belongs to Go.
//
// Vectors 0 and 1 hold a row of b, 2 and 3 an element of a, the others the tile.
// In the epilogue 0 and 1 hold the masks where the isa has none of its own, 2
// is free and 3 is zero. Elementwise kernels have the mask from the start, and
// the row of b in 1.

// rowBase are the rows of a that have a pointer; rowOffset is how the six rows after
// one of them are found.
var (
	rowBase   = [...]string{"AX", "R11"}
	rowOffset = [...]string{"", "(BX*1)", "(BX*2)", "(R12*1)", "(BX*4)", "(R13*1)", "(R12*2)"}
)

const firstAcc = 4

// kernel writes one micro-kernel.
func (o *output) kernel(f family, rows int) {
	of := ""
	if f.pairs {
		of = " of pairs"
	}
	o.function(f.kernelName(rows),
		fmt.Sprintf("// %s computes a tile of %d rows by at most %d columns%s.\n",
			f.kernelName(rows), rows, f.vectors*f.isa.bytes/4, of),
		"(t *tile)", 8)
	o.op("MOVQ t+0(FP), DI")
	o.prefetchC(f, rows)
	for i := range rows {
		for v := range f.vectors {
			f.isa.zero(o, f.acc(i, v))
		}
	}
	o.product(f, rows)
	o.epilogue(f, rows)
	o.end()
	if !f.each {
		o.otherLoops(f, rows)
	}
}

// acc returns the register of vector v of row i of the tile.
func (f family) acc(i, v int) string { return f.isa.vec(firstAcc + i*f.vectors + v) }

// prefetchC asks for the rows of c, which the epilogue needs much later.
func (o *output) prefetchC(f family, rows int) {
	o.op("MOVQ tile_c(DI), SI")
	o.op("MOVQ tile_cRow(DI), R8")
	for i := range rows {
		for at := 0; at < f.vectors*f.isa.bytes; at += 64 {
			o.op("PREFETCHT0 %d(SI)", at)
		}
		if i+1 < rows {
			o.op("ADDQ R8, SI")
		}
	}
}

// product writes the two loops over k.
func (o *output) product(f family, rows int) {
	bases := rowBases(rows)
	if f.each {
		o.op("MOVQ tile_cols(DI), R8")
		f.isa.setMasks(o, f.vectors)
	}
	o.op("MOVQ tile_outer(DI), SI")
	o.op("MOVQ tile_a(DI), AX")
	o.op("MOVQ tile_aRow(DI), BX")
	o.op("MOVQ tile_aK(DI), R10")
	o.op("MOVQ tile_b(DI), DX")
	o.op("MOVQ tile_bK(DI), R9")
	o.op("MOVQ tile_nextStep(DI), R15")
	o.op("LEAQ (BX)(BX*2), R12")
	o.op("LEAQ (BX)(BX*4), R13")
	if len(bases) > 1 {
		o.op("LEAQ (AX)(R12*2), R11")
		o.op("ADDQ BX, R11")
	}
	o.label("outer")
	o.op("MOVQ tile_k(DI), CX")
	step := func() { o.step(f, rows) }
	if f.each {
		step = func() { o.stepEach(f, rows) }
	} else {
		o.op("MOVQ tile_pack(DI), R8")
		o.op("TESTQ R8, R8")
		o.op("JNZ packing")
		o.op("MOVQ tile_next(DI), R8")
		o.op("TESTQ R8, R8")
		o.op("JNZ asking")
		o.op("CMPQ R9, $%d", f.vectors*f.isa.bytes)
		o.op("JNE scattered")
	}
	o.op("PCALIGN $32") // not the others: with two, Go's assembler does not end
	o.inner("inner", bases, step)
	o.label("summed")
	o.op("MOVQ tile_aOuter(DI), R8")
	for _, base := range bases {
		o.op("ADDQ R8, %s", base)
	}
	o.op("ADDQ tile_bOuter(DI), DX")
	o.op("DECQ SI")
	o.op("JNZ outer")
}

// otherLoops writes the loops over k that product leaves its own for: to copy b, and to
// ask for memory.
func (o *output) otherLoops(f family, rows int) {
	o.label("packing")
	o.inner("pack", rowBases(rows), func() {
		o.foresee(f)
		o.step(f, rows)
		for v := range f.vectors {
			o.op("VMOVUPS %s, %d(R8)", f.isa.vec(v), v*f.isa.bytes)
		}
		o.op("ADDQ $%d, R8", f.vectors*f.isa.bytes)
	})
	o.op("JMP summed")
	o.label("scattered")
	o.op("MOVQ DX, R8")
	o.label("asking")
	o.inner("ask", rowBases(rows), func() {
		o.ask(f)
		o.step(f, rows)
	})
	o.op("JMP summed")
}

// rowBases returns the pointers to so many rows of a.
func rowBases(rows int) []string { return rowBase[:(rows+len(rowOffset)-1)/len(rowOffset)] }

// inner writes the loop over k.
func (o *output) inner(label string, bases []string, step func()) {
	o.label(label)
	step()
	for _, base := range bases {
		o.op("ADDQ R10, %s", base)
	}
	o.op("DECQ CX")
	o.op("JNZ %s", label)
}

// prefetchRows is how many rows of b are asked for ahead of their use.
const prefetchRows = 8

// ask asks for memory: what is wanted soon, and b. It costs a seventh of the operations
// of a step, which only shows where two threads share a core.
func (o *output) ask(f family) {
	o.foresee(f)
	o.op("PREFETCHT1 (R8)")
	o.op("ADDQ R15, R8")
}

// foresee asks for b where the processor may not foresee it.
func (o *output) foresee(f family) {
	for at := 0; at < f.vectors*f.isa.bytes; at += 64 {
		o.op("PREFETCHT0 %d(DX)(R9*%d)", at, prefetchRows)
	}
}

// step writes the rank-1 update of the tile for one k.
func (o *output) step(f family, rows int) {
	for v := range f.vectors {
		o.op("VMOVUPS %d(DX), %s", v*f.isa.bytes, f.isa.vec(v))
	}
	o.op("ADDQ R9, DX")
	for i := range rows {
		a := f.isa.vec(2 + i%2)
		o.op("VBROADCASTSS %s, %s", rowAddress(i), a)
		for v := range f.vectors {
			if f.pairs {
				o.pairs(f, v, 2+i%2, firstAcc+i*f.vectors+v)
			} else {
				o.op("VFMADD231PS %s, %s, %s", f.isa.vec(v), a, f.acc(i, v))
			}
		}
	}
}

// stepEach adds the elementwise products of the rows of a with the row of b for one
// k. Columns that are masked are not read: here a and b are images in place.
func (o *output) stepEach(f family, rows int) {
	b := f.isa.vec(1)
	f.isa.loadMasked(o, "(DX)", 0, b)
	o.op("ADDQ R9, DX")
	for i := range rows {
		a := f.isa.vec(2 + i%2)
		f.isa.loadMasked(o, rowAddress(i), 0, a)
		o.op("VFMADD231PS %s, %s, %s", b, a, f.acc(i, 0))
	}
}

// rowAddress returns the operand for row i of a.
func rowAddress(i int) string {
	n := len(rowOffset)
	return fmt.Sprintf("(%s)%s", rowBase[i/n], rowOffset[i%n])
}

// epilogue writes what happens to the tile after the product.
func (o *output) epilogue(f family, rows int) {
	zero, free := f.isa.vec(3), f.isa.vec(2)
	o.op("MOVQ tile_cols(DI), R8")
	f.isa.setMasks(o, f.vectors)
	f.isa.zero(o, zero)
	o.op("MOVQ tile_cRow(DI), R8")
	o.op("MOVQ tile_flags(DI), R9")
	o.when("flagAccumulate", func() {
		o.op("MOVQ tile_c(DI), R11")
		o.eachVector(f, rows, "R11", func(acc string, v int) {
			f.isa.loadMasked(o, "(R11)", v, free)
			o.op("VADDPS %s, %s, %s", free, acc, acc)
		})
	})
	o.when("flagBias", func() {
		o.op("MOVQ tile_bias(DI), R11")
		for v := range f.vectors {
			f.isa.loadMasked(o, "(R11)", v, free)
			for i := range rows {
				o.op("VADDPS %s, %s, %s", free, f.acc(i, v), f.acc(i, v))
			}
		}
	})
	// max(0, NaN) must be NaN: VMAXPS returns its second source, written first
	// here, when either is.
	o.when("flagReLU", func() {
		o.eachVector(f, rows, "", func(acc string, _ int) {
			o.op("VMAXPS %s, %s, %s", acc, zero, acc)
		})
	})
	o.when("flagReLUGrad", func() {
		o.op("MOVQ tile_ref(DI), R11")
		o.eachVector(f, rows, "R11", func(acc string, v int) {
			f.isa.loadMasked(o, "(R11)", v, free)
			f.keepPositive(o, free, zero, acc)
		})
	})
	o.store(f, rows)
}

// keepPositive clears the elements of acc where ref > 0 is false.
func (f family) keepPositive(o *output, ref, zero, acc string) {
	if f.isa.opmask {
		o.op("VCMPPS $14, %s, %s, K3", zero, ref)
		o.op("VMOVUPS.Z %s, K3, %s", acc, acc)
		return
	}
	o.op("VCMPPS $14, %s, %s, %s", zero, ref, ref)
	o.op("VANDPS %s, %s, %s", ref, acc, acc)
}

// store writes the tile to c. A masked store is slow where it is not an opmask,
// so that full tiles have their own there.
func (o *output) store(f family, rows int) {
	o.op("MOVQ tile_c(DI), R11")
	if !f.isa.opmask {
		o.op("CMPQ tile_cols(DI), $%d", f.vectors*f.isa.bytes/4)
		o.op("JNE partial")
		o.eachVector(f, rows, "R11", func(acc string, v int) {
			o.op("VMOVUPS %s, %d(R11)", acc, v*f.isa.bytes)
		})
		o.end()
		o.label("partial")
	}
	o.eachVector(f, rows, "R11", func(acc string, v int) {
		f.isa.storeMasked(o, acc, v, "(R11)")
	})
}

// when writes a part that runs if the flag is set.
func (o *output) when(flag string, part func()) {
	o.op("TESTQ $const_%s, R9", flag)
	o.op("JZ no_%s", flag)
	part()
	o.label("no_" + flag)
}

// eachVector calls f for each vector of the tile, and moves the pointer in
// register base, if any, from row to row.
func (o *output) eachVector(f family, rows int, base string, do func(acc string, v int)) {
	for i := range rows {
		for v := range f.vectors {
			do(f.acc(i, v), v)
		}
		if base != "" && i+1 < rows {
			o.op("ADDQ R8, %s", base)
		}
	}
}
