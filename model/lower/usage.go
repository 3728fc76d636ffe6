package lower

import (
	"slices"

	"github.com/gespann/gespann/backend/ir"
)

// A usage says where values come from and how often they are read. Views count
// for the value they show.
type usage struct {
	p    *ir.Program
	def  []int // instruction that writes the value, or -1
	uses []int // inputs that read it, and one for a value that outlives the run
}

func newUsage(p *ir.Program) *usage {
	u := &usage{p: p, def: make([]int, len(p.Values)), uses: make([]int, len(p.Values))}
	for s, v := range p.Values {
		u.def[s] = -1
		if v.Kind == ir.Output || v.Kind == ir.Grad {
			u.uses[s]++
		}
	}
	for i, instr := range p.Instrs {
		for _, s := range instr.In {
			u.uses[p.Root(s)]++
		}
		for _, s := range instr.Out {
			if s != ir.None {
				u.def[p.Root(s)] = i
			}
		}
	}
	return u
}

// producer returns the instruction whose first output is s, if s is read only
// once, so that the reader may be merged into it. Otherwise it returns nil.
func (u *usage) producer(s ir.Slot) *ir.Instr {
	s = u.p.Root(s)
	if u.uses[s] != 1 || u.def[s] < 0 {
		return nil
	}
	instr := &u.p.Instrs[u.def[s]]
	if instr.Op == ir.Invalid || u.p.Root(instr.Out[0]) != s {
		return nil
	}
	return instr
}

// grow makes room for values that were added.
func (u *usage) grow() {
	for len(u.def) < len(u.p.Values) {
		u.def, u.uses = append(u.def, -1), append(u.uses, 0)
	}
}

// before reports whether the value of s exists when the instruction runs.
func (u *usage) before(s ir.Slot, instr *ir.Instr) bool {
	return u.def[u.p.Root(s)] < u.def[u.p.Root(instr.Out[0])]
}

// merge lets the producer write what the reader would have written, and removes
// the reader: an elementwise instruction with one output.
func (u *usage) merge(producer, reader *ir.Instr) {
	from, to := producer.Out[0], reader.Out[0]
	at := u.def[u.p.Root(from)]
	if sameShape(u.p, from, to) {
		producer.Out[0] = to
	} else {
		// The producer keeps its shape, and shows the reader's memory.
		u.p.Values[from].Kind, u.p.Values[from].Of = ir.View, u.p.Root(to)
	}
	u.def[u.p.Root(to)] = at
	*reader = ir.Instr{} // Invalid, until removed
}

func sameShape(p *ir.Program, a, b ir.Slot) bool {
	return slices.Equal(p.Values[a].Shape, p.Values[b].Shape)
}
