package main

import (
	"fmt"
	"strings"
)

// pairs writes VDPBF16PS, which Go's assembler does not know: it adds the products of the
// pairs in registers b and a to acc. EVEX.F3.0F38.W0 52 /r, with acc in reg, b in vvvv
// and a in rm; the high bits of the three are stored inverted.
//
// Source: Intel, Architecture Instruction Set Extensions and Future Features.
func (o *output) pairs(f family, b, a, acc int) {
	length := 1 + f.isa.bytes/64 // 256 or 512 bits
	not := func(x, bit int) int { return 1 - x>>bit&1 }
	code := []int{
		0x62,
		not(acc, 3)<<7 | not(a, 4)<<6 | not(a, 3)<<5 | not(acc, 4)<<4 | 2,
		(15-b&15)<<3 | 4 | 2,
		length<<5 | not(b, 4)<<3,
		0x52,
		0xc0 | acc&7<<3 | a&7,
	}
	var bytes []string
	for _, c := range code {
		bytes = append(bytes, fmt.Sprintf("BYTE $0x%02x", c))
	}
	o.op("%s // VDPBF16PS %s, %s, %s", strings.Join(bytes, "; "), f.isa.vec(a), f.isa.vec(b), f.isa.vec(acc))
}

// vendor writes a function that returns a part of the processor's vendor.
func (o *output) vendor() {
	o.function("vendor", "// vendor returns the middle four letters of the twelve that name the processor's vendor.\n",
		"() (letters uint32)", 4)
	o.op("XORL AX, AX")
	o.op("CPUID")
	o.op("MOVL DX, letters+0(FP)")
	o.op("RET")
}
