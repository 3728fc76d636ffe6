package main

import "fmt"

// Go writes operands in the reverse of Intel's order: the last is the
// destination and the first may be memory, which is where constants go.

func (k *kernel) slice(name string) int {
	for i, s := range k.slices {
		if s.name == name {
			return i
		}
	}
	panic("gen: " + k.name + " has no slice " + name)
}

func (k *kernel) load(name string) val {
	return k.add(fmt.Sprintf("VMOVUPS (%s)(AX*4), %%d", pointerRegs[k.slice(name)]), false)
}

func (k *kernel) store(name string, v val) {
	k.add(fmt.Sprintf("VMOVUPS %%0, (%s)(AX*4)", pointerRegs[k.slice(name)]), true, k.reg(v))
}

// load8 is bytes as floats.
func (k *kernel) load8(name string) val {
	v := k.add(fmt.Sprintf("VPMOVZXBD (%s)(AX*1), %%d", pointerRegs[k.slice(name)]), false)
	return k.add("VCVTDQ2PS %0, %d", false, v)
}

// load16 is elements of 16 bits, each in the upper half of its lane.
func (k *kernel) load16(name string) val {
	v := k.add(fmt.Sprintf("VPMOVZXWD (%s)(AX*2), %%d", pointerRegs[k.slice(name)]), false)
	return k.shl(v, 16)
}

// store16 stores the upper half of each lane. Packing is within halves of the
// vector; their first quarters are what is wanted.
func (k *kernel) store16(name string, v val) {
	packed := k.add("VPACKUSDW %0, %0, %d; VPERMQ $8, %d, %d", false, k.shr(v, 16))
	k.add(fmt.Sprintf("VMOVDQU %%x0, (%s)(AX*2)", pointerRegs[k.slice(name)]), true, packed)
}

// reg is v in a register, even if it is a constant.
func (k *kernel) reg(v val) val {
	if k.consts[v] == "" {
		return v
	}
	return k.add("VMOVUPS %0, %d", false, v)
}

func (k *kernel) offset() int { return k.head() + 8*len(k.slices) + 4*len(k.params) }

// param is a float parameter of the kernel, the same in every lane.
func (k *kernel) param(name string) val {
	v := k.add(fmt.Sprintf("VBROADCASTSS %s+%d(FP), %%d", name, k.offset()), false)
	k.params = append(k.params, param{name, "float32", v})
	return v
}

// iparam is a 32-bit integer parameter, the same in every lane.
func (k *kernel) iparam(name, typ string) val {
	v := k.add(fmt.Sprintf("VBROADCASTSS %s+%d(FP), %%d", name, k.offset()), false)
	k.params = append(k.params, param{name, typ, v})
	return v
}

// index is the position of each lane in the slices, plus a parameter.
func (k *kernel) index(name, typ string) val {
	k.add(fmt.Sprintf("MOVL %s+%d(FP), DX", name, k.offset()), true)
	k.params = append(k.params, param{name, typ, -1})
	return k.add("LEAL (DX)(AX*1), BX; VMOVD BX, %xd; VPBROADCASTD %xd, %d; "+
		"VPADDD lanes<>(SB), %d, %d", false)
}

func (k *kernel) op2(name string, a, b val) val {
	return k.add(name+" %1, %0, %d", false, k.reg(a), b)
}

func (k *kernel) addf(a, b val) val { return k.op2("VADDPS", a, b) }
func (k *kernel) sub(a, b val) val  { return k.op2("VSUBPS", a, b) }
func (k *kernel) mul(a, b val) val  { return k.op2("VMULPS", a, b) }
func (k *kernel) div(a, b val) val  { return k.op2("VDIVPS", a, b) }
func (k *kernel) and(a, b val) val  { return k.op2("VANDPS", a, b) }
func (k *kernel) or(a, b val) val   { return k.op2("VORPS", a, b) }
func (k *kernel) xor(a, b val) val  { return k.op2("VXORPS", a, b) }

// min and max return b unless a is the strictly better: a NaN in b stays, a NaN
// in a is lost.
func (k *kernel) min(a, b val) val { return k.op2("VMINPS", a, b) }
func (k *kernel) max(a, b val) val { return k.op2("VMAXPS", a, b) }

func (k *kernel) sqrt(a val) val { return k.add("VSQRTPS %0, %d", false, a) }
func (k *kernel) neg(a val) val  { return k.xor(a, k.bits(1<<31)) }
func (k *kernel) abs(a val) val  { return k.and(a, k.bits(1<<31-1)) }

// mad is a·b + c, rounded twice as in the Go twin.
func (k *kernel) mad(a, b, c val) val { return k.addf(k.mul(a, b), c) }

// poly is c[0] + x·(c[1] + x·(...)).
func (k *kernel) poly(x val, c ...float64) val {
	v := k.c(c[len(c)-1])
	for i := len(c) - 2; i >= 0; i-- {
		v = k.mad(v, x, k.c(c[i]))
	}
	return v
}

// Comparisons give all ones or all zeros; a NaN gives zeros, but
// ones for nle (not ≤) and nan.
func (k *kernel) gt(a, b val) val  { return k.add("VCMPPS $30, %1, %0, %d", false, k.reg(a), b) }
func (k *kernel) ge(a, b val) val  { return k.add("VCMPPS $29, %1, %0, %d", false, k.reg(a), b) }
func (k *kernel) lt(a, b val) val  { return k.add("VCMPPS $17, %1, %0, %d", false, k.reg(a), b) }
func (k *kernel) nle(a, b val) val { return k.add("VCMPPS $22, %1, %0, %d", false, k.reg(a), b) }
func (k *kernel) nan(a val) val    { return k.add("VCMPPS $3, %0, %0, %d", false, a) }

// choose is yes where the mask is set, else no.
func (k *kernel) choose(mask, yes, no val) val {
	return k.add("VBLENDVPS %0, %1, %2, %d", false, mask, k.reg(yes), k.reg(no))
}

func (k *kernel) iadd(a, b val) val       { return k.op2("VPADDD", a, b) }
func (k *kernel) isub(a, b val) val       { return k.op2("VPSUBD", a, b) }
func (k *kernel) imul(a, b val) val       { return k.op2("VPMULLD", a, b) }
func (k *kernel) umax(a, b val) val       { return k.op2("VPMAXUD", a, b) }
func (k *kernel) ieq(a, b val) val        { return k.op2("VPCMPEQD", a, b) }
func (k *kernel) shl(a val, bits int) val { return k.shift("VPSLLD", a, bits) }
func (k *kernel) shr(a val, bits int) val { return k.shift("VPSRLD", a, bits) }
func (k *kernel) asr(a val, bits int) val { return k.shift("VPSRAD", a, bits) }
func (k *kernel) shift(op string, a val, bits int) val {
	return k.add(fmt.Sprintf("%s $%d, %%0, %%d", op, bits), false, a)
}
