package main

import (
	"fmt"
	"math"
	"strings"
)

// A val is a vector of 8 lanes: the result of one operation of a kernel.
type val int

// An inst is one operation. Operands are vals; a constant is written as a
// memory operand and has no register of its own.
type inst struct {
	op    string // the format of the line: see (*kernel).emit
	args  []val
	store bool
}

// A kernel is one elementwise loop in the making: its parameters and, in order,
// its operations. The methods in ops.go append to it.
type kernel struct {
	name   string
	doc    string // what the sentence "name ..." goes on with
	slices []slice
	params []param
	insts  []inst
	consts map[val]string // vals that are constants, by symbol
	// moves makes the loop one of two: around it goes one over pixels, of n elements
	// each, from one to the next of which slice i moves on by moves[i]·step elements
	// and an index by indexMove·step.
	moves []int
	asm   *assembly
}

type slice struct {
	name string
	typ  string // float32, int32, uint16 or uint8
}

type param struct {
	name string
	typ  string
	v    val // the val that holds it in every lane; -1 for the base of an index
}

// An assembly collects the kernels and the constants that they share.
type assembly struct {
	kernels []*kernel
	consts  []uint32
}

func (a *assembly) kernel(name, doc string, slices ...slice) *kernel {
	k := &kernel{name: name, doc: doc, slices: slices, consts: map[val]string{}, asm: a}
	a.kernels = append(a.kernels, k)
	return k
}

func (k *kernel) add(op string, store bool, args ...val) val {
	k.insts = append(k.insts, inst{op: op, args: args, store: store})
	return val(len(k.insts) - 1)
}

// bits is a constant with the same 32 bits in every lane.
func (k *kernel) bits(b uint32) val {
	v := k.add("const", false)
	k.consts[v] = constName(b) + "<>(SB)"
	for _, c := range k.asm.consts {
		if c == b {
			return v
		}
	}
	k.asm.consts = append(k.asm.consts, b)
	return v
}

func constName(b uint32) string { return fmt.Sprintf("k%08x", b) }

// c is a float constant.
func (k *kernel) c(f float64) val { return k.bits(math.Float32bits(float32(f))) }

const numRegs = 16

// registers assigns a register to every val: parameters keep theirs, the rest
// live from their instruction to their last use.
func (k *kernel) registers() []int {
	last := make([]int, len(k.insts))
	for i, in := range k.insts {
		for _, a := range in.args {
			last[a] = i
		}
	}
	reg := make([]int, len(k.insts))
	busy := make([]bool, numRegs)
	take := func(v val) {
		r := 0
		for busy[r] {
			if r++; r == numRegs {
				panic("gen: " + k.name + " needs more than 16 registers")
			}
		}
		reg[v], busy[r] = r, true
	}
	for _, p := range k.params {
		if p.v >= 0 {
			last[p.v] = len(k.insts)
			take(p.v)
		}
	}
	for i, in := range k.insts {
		for _, a := range in.args {
			if last[a] == i && k.consts[a] == "" {
				busy[reg[a]] = false
			}
		}
		pinned := last[i] == len(k.insts)
		if !in.store && k.consts[val(i)] == "" && !pinned {
			take(val(i))
		}
	}
	return reg
}

// body writes the instructions; a %N in an op stands for operand N, %d for the
// destination, %xN and %xd for their lower halves.
func (k *kernel) body(reg []int) (prologue, loop string) {
	for i, in := range k.insts {
		if in.op == "const" {
			continue
		}
		line := in.op
		for n, a := range in.args {
			operand := k.consts[a]
			if operand == "" {
				operand = fmt.Sprintf("Y%d", reg[a])
			}
			line = strings.ReplaceAll(line, fmt.Sprintf("%%%d", n), operand)
			line = strings.ReplaceAll(line, fmt.Sprintf("%%x%d", n), fmt.Sprintf("X%d", reg[a]))
		}
		line = strings.ReplaceAll(line, "%xd", fmt.Sprintf("X%d", reg[i]))
		line = strings.ReplaceAll(line, "%d", fmt.Sprintf("Y%d", reg[i]))
		line = "\t" + strings.ReplaceAll(line, "; ", "\n\t") + "\n"
		if strings.Contains(line, "(FP)") {
			prologue += line
		} else {
			loop += line
		}
	}
	return prologue, loop
}

// indexMove is how far an index moves from pixel to pixel, in steps.
const indexMove = 2

// head is the size of the arguments before the slices.
func (k *kernel) head() int {
	if k.moves != nil {
		return 3 * 8
	}
	return 8
}

var pointerRegs = []string{"DI", "SI", "R8", "R9", "R10", "R11", "R12"}

// text is the assembly of the kernel.
func (k *kernel) text() string {
	reg := k.registers()
	prologue, loop := k.body(reg)
	var b strings.Builder
	size := k.head() + 8*len(k.slices)
	fmt.Fprintf(&b, "// func %s\nTEXT ·%sAVX2(SB), NOSPLIT, $0-%d\n",
		k.signature(), k.name, size+4*len(k.params))
	b.WriteString("\tMOVQ n+0(FP), CX\n")
	for i, s := range k.slices {
		fmt.Fprintf(&b, "\tMOVQ %s+%d(FP), %s\n", s.name, k.head()+8*i, pointerRegs[i])
	}
	b.WriteString(prologue)
	if k.moves != nil {
		b.WriteString("\tMOVQ pixels+8(FP), R13\n\tMOVQ step+16(FP), R15\n\npixel:\n")
	}
	b.WriteString("\tXORQ AX, AX\n\tPCALIGN $32\n\nloop:\n" + loop)
	b.WriteString("\tADDQ $8, AX\n\tCMPQ AX, CX\n\tJLT  loop\n")
	if k.moves != nil {
		for i, m := range k.moves {
			fmt.Fprintf(&b, "\tLEAQ (%[1]s)(R15*%[2]d), %[1]s\n", pointerRegs[i], 4*m)
		}
		fmt.Fprintf(&b, "\tLEAL (DX)(R15*%d), DX\n\tDECQ R13\n\tJNZ  pixel\n", indexMove)
	}
	b.WriteString("\tVZEROUPPER\n\tRET\n\n")
	return b.String()
}

func (k *kernel) signature() string {
	var names []string
	for _, s := range k.slices {
		names = append(names, s.name+" *"+s.typ)
	}
	for _, p := range k.params {
		names = append(names, p.name+" "+p.typ)
	}
	n := "n"
	if k.moves != nil {
		n = "n, pixels, step"
	}
	return fmt.Sprintf("%sAVX2(%s int, %s)", k.name, n, strings.Join(names, ", "))
}

// wrapper is the Go function in front of the kernel, or its twin that does
// nothing where there is no assembly.
func (k *kernel) wrapper(asm bool) string {
	if k.moves != nil {
		return k.pixelWrapper(asm)
	}
	var params, args []string
	for _, s := range k.slices {
		params = append(params, s.name+" []"+s.typ)
		args = append(args, "&"+s.name+"[0]")
	}
	for _, p := range k.params {
		params = append(params, p.name+" "+p.typ)
		args = append(args, p.name)
	}
	head := fmt.Sprintf("func %sAsm(%s) int ", k.name, strings.Join(params, ", "))
	if !asm {
		return head + "{ return 0 }\n\n"
	}
	s := fmt.Sprintf("// %sAVX2 %s\n//\n//go:noescape\nfunc %s\n\n%s{\n",
		k.name, k.doc, k.signature(), head)
	s += fmt.Sprintf("\tn := len(%s) &^ 7\n", k.slices[0].name)
	s += "\tif n == 0 || !useAsm {\n\t\treturn 0\n\t}\n"
	for _, sl := range k.slices[1:] {
		s += fmt.Sprintf("\t_ = %s[n-1]\n", sl.name)
	}
	return s + fmt.Sprintf("\t%sAVX2(n, %s)\n\treturn n\n}\n\n", k.name, strings.Join(args, ", "))
}

// pixelWrapper is the wrapper of a kernel over pixels, which reports whether there
// is such a kernel.
func (k *kernel) pixelWrapper(asm bool) string {
	var params, args, checks []string
	for i, s := range k.slices {
		params = append(params, s.name+" []"+s.typ)
		args = append(args, "&"+s.name+"[0]")
		checks = append(checks, fmt.Sprintf("\t_ = %s[(pixels-1)*%d*step+n-1]\n", s.name, k.moves[i]))
	}
	for _, p := range k.params {
		params = append(params, p.name+" "+p.typ)
		args = append(args, p.name)
	}
	head := fmt.Sprintf("func %sAsm(n, pixels, step int, %s) bool ", k.name, strings.Join(params, ", "))
	if !asm {
		return head + "{ return false }\n\n"
	}
	return fmt.Sprintf("// %sAVX2 %s\n//\n//go:noescape\nfunc %s\n\n%s{\n", k.name, k.doc, k.signature(), head) +
		"\tif !useAsm {\n\t\treturn false\n\t}\n" + strings.Join(checks, "") +
		fmt.Sprintf("\t%sAVX2(n, pixels, step, %s)\n\treturn true\n}\n\n", k.name, strings.Join(args, ", "))
}
