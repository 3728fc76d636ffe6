package main

import "fmt"

// An isa hides the differences between the vector extensions: register names,
// and how the last, incomplete vector of a row is loaded and stored.
type isa struct {
	name  string
	reg   string // letter of the registers
	bytes int    // per vector
	// tail: the masks are opmask registers K1.. (AVX-512), which every load and
	// store applies at no cost, or vectors in Y0.. (AVX2).
	opmask bool
}

func avx512() isa { return isa{name: "avx512", reg: "Z", bytes: 64, opmask: true} }

// avx512y has the 32 registers and the masks of AVX-512 at half the length, for
// narrow panels: a row of one or two vectors then costs no more multiplications
// than it has columns, and a core loads twice as many broadcasts in a cycle.
func avx512y() isa { return isa{name: "avx512y", reg: "Y", bytes: 32, opmask: true} }
func avx2() isa    { return isa{name: "avx2", reg: "Y", bytes: 32} }

// vec returns the name of vector register i.
func (s isa) vec(i int) string { return fmt.Sprintf("%s%d", s.reg, i) }

// zero clears a register. The EVEX form of VXORPS would need AVX512DQ.
func (s isa) zero(o *output, r string) {
	if s.opmask {
		o.op("VPXORD %s, %s, %s", r, r, r)
		return
	}
	o.op("VXORPS %s, %s, %s", r, r, r)
}

// setMasks makes masks of the first cols columns of a tile, cols in register R8,
// one for each vector.
func (s isa) setMasks(o *output, vectors int) {
	if s.opmask {
		o.op("MOVQ $-1, R9")
		o.op("BZHIQ R8, R9, R9")
		for v := range vectors {
			o.op("KMOVW R9, K%d", v+1)
			o.op("SHRQ $%d, R9", s.bytes/4)
		}
		return
	}
	o.op("LEAQ masks<>+64(SB), R9")
	o.op("SHLQ $2, R8")
	o.op("SUBQ R8, R9")
	for v := range vectors {
		o.op("VMOVUPS %d(R9), Y%d", v*s.bytes, v)
	}
}

// masks writes the data of which setMasks takes a window: 16 ones, 16 zeros.
func (s isa) masks(o *output) {
	o.asm.WriteString("\n")
	for i := range 16 {
		bits := "$-1"
		if i >= 8 {
			bits = "$0"
		}
		o.asm.WriteString(fmt.Sprintf("DATA masks<>+%d(SB)/8, %s\n", 8*i, bits))
	}
	o.asm.WriteString("GLOBL masks<>(SB), RODATA|NOPTR, $128\n")
}

// loadMasked loads vector v of the row at the given address into register dst;
// masked columns are 0 and are not read.
func (s isa) loadMasked(o *output, address string, v int, dst string) {
	if s.opmask {
		o.op("VMOVUPS.Z %d%s, K%d, %s", v*s.bytes, address, v+1, dst)
		return
	}
	o.op("VMASKMOVPS %d%s, Y%d, %s", v*s.bytes, address, v, dst)
}

// storeMasked stores vector v of a row; masked columns are not written.
func (s isa) storeMasked(o *output, src string, v int, address string) {
	if s.opmask {
		o.op("VMOVUPS %s, K%d, %d%s", src, v+1, v*s.bytes, address)
		return
	}
	o.op("VMASKMOVPS %s, Y%d, %d%s", src, v, v*s.bytes, address)
}
