package lower

import (
	"slices"

	"github.com/gespann/gespann/backend/ir"
)

// dropDead removes instructions that nothing reads, and says of optional outputs
// whether they are wanted. One walk backwards is enough.
func dropDead(p *ir.Program) {
	u := newUsage(p)
	for i := len(p.Instrs) - 1; i >= 0; i-- {
		instr := &p.Instrs[i]
		used := false
		for k, s := range instr.Out {
			if s != ir.None && u.uses[p.Root(s)] > 0 {
				used = true
			} else if instr.Op.OptionalOut() {
				instr.Out[k] = ir.None
			}
		}
		if used {
			continue
		}
		for _, s := range instr.In {
			u.uses[p.Root(s)]--
		}
		*instr = ir.Instr{}
	}
	removeInvalid(p)
}

// removeInvalid closes the gaps that merged instructions leave.
func removeInvalid(p *ir.Program) {
	p.Instrs = slices.DeleteFunc(p.Instrs, func(in ir.Instr) bool { return in.Op == ir.Invalid })
}

// accumulate makes the program add to its Grad values: each is computed as a
// Temp first, and added at once.
func accumulate(p *ir.Program) {
	var out []ir.Instr
	own := map[ir.Slot]ir.Slot{} // by Grad value: this run's share of it
	for _, instr := range p.Instrs {
		for k, s := range instr.In {
			if t, ok := own[p.Root(s)]; ok {
				instr.In[k] = view(p, t, p.Values[s].Shape)
			}
		}
		var sums []ir.Instr
		for k, s := range instr.Out {
			if s == ir.None || p.Values[p.Root(s)].Kind != ir.Grad {
				continue
			}
			sum := p.Root(s)
			t := add(p, ir.Value{Shape: p.Values[sum].Shape, Var: -1, Of: ir.None})
			own[sum] = t
			instr.Out[k] = view(p, t, p.Values[s].Shape)
			sums = append(sums, ir.Instr{Op: ir.Accumulate, In: []ir.Slot{t},
				Out: []ir.Slot{sum}, Layer: instr.Layer})
		}
		out = append(append(out, instr), sums...)
	}
	p.Instrs = out
}

// compact drops values that no instruction names, and numbers the others: in
// the order of their first appearance.
func compact(p *ir.Program) {
	number := make(map[ir.Slot]ir.Slot, len(p.Values))
	var values []ir.Value
	var renumber func(s ir.Slot) ir.Slot
	renumber = func(s ir.Slot) ir.Slot {
		if s == ir.None {
			return s
		}
		if n, ok := number[s]; ok {
			return n
		}
		v := p.Values[s]
		if v.Kind == ir.View {
			v.Of = renumber(v.Of)
		}
		number[s] = ir.Slot(len(values))
		values = append(values, v)
		return number[s]
	}
	for i := range p.Instrs {
		for k, s := range p.Instrs[i].In {
			p.Instrs[i].In[k] = renumber(s)
		}
		for k, s := range p.Instrs[i].Out {
			p.Instrs[i].Out[k] = renumber(s)
		}
	}
	p.Values = values
}
