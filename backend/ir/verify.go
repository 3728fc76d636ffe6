package ir

import (
	"fmt"
	"math"
	"slices"
)

// maxTotal bounds the elements of all values of a program together, so that
// sizes in bytes fit in an int.
const maxTotal = min(1<<40, math.MaxInt/8)

// Verify is the grammar of programs. It reports the first violation of what the
// comments in this package promise: about values, about the order of
// assignments, and, through Infer, about every instruction's shapes. A program for any
// number of rows that passes is right for all of them, up to MaxSize.
func Verify(p *Program, vars []Var) error {
	if p.Batch < B {
		return fmt.Errorf("program %s: batch is %d, want >= 0 or B", p.Name, p.Batch)
	}
	v := verifier{p: p, vars: vars,
		pending: make([]bool, len(p.Values)), done: make([]bool, len(p.Values))}
	if err := v.values(); err != nil {
		return fmt.Errorf("program %s: %w", p.Name, err)
	}
	v.plan()
	for i := range p.Instrs {
		ins := &p.Instrs[i]
		if err := v.instr(ins); err != nil {
			return fmt.Errorf("program %s: instruction %d (%s): %w", p.Name, i, ins.Layer, err)
		}
	}
	for i := range p.Values {
		if k := p.Values[i].Kind; (k == Temp || k == Output) && !v.done[i] {
			return fmt.Errorf("program %s: %s is never assigned", p.Name, v.name(Slot(i)))
		}
	}
	return nil
}

type verifier struct {
	p    *Program
	vars []Var
	// pending: some instruction assigns the value, but none so far has. done: one
	// has.
	pending, done []bool
}

// plan notes which values the program is going to assign. A gradient that it
// does not assign is one that an earlier program has.
func (v *verifier) plan() {
	for i := range v.p.Values {
		kind := v.p.Values[i].Kind
		v.pending[i] = kind == Temp || kind == Output
	}
	for i := range v.p.Instrs {
		for _, s := range v.p.Instrs[i].Out {
			if s >= 0 && int(s) < len(v.p.Values) && v.p.Values[v.p.Root(s)].Kind == Grad {
				v.pending[v.p.Root(s)] = true
			}
		}
	}
}

// name returns the value's name in messages.
func (v *verifier) name(s Slot) string {
	val := &v.p.Values[s]
	text := fmt.Sprintf("%%%d", s)
	if val.Name != "" {
		text = val.Name
	}
	return fmt.Sprintf("%v %s %s%s", val.Kind, text, val.Type, ShapeText(val.Shape))
}

// values checks each value on its own, and that names and variables are unique.
func (v *verifier) values() error {
	names := map[string]bool{}
	owners := map[[2]int]bool{} // Kind and Var
	total := int64(0)
	for i := range v.p.Values {
		val := &v.p.Values[i]
		if val.Type > Int || val.Kind > View {
			return fmt.Errorf("value %d: type %d or kind %d is none", i, val.Type, val.Kind)
		}
		if err := checkShape(val.Shape); err != nil {
			return fmt.Errorf("value %d: %w", i, err)
		}
		if err := v.rows(val); err != nil {
			return fmt.Errorf("%s: %w", v.name(Slot(i)), err)
		}
		if err := v.links(val); err != nil {
			return fmt.Errorf("%s: %w", v.name(Slot(i)), err)
		}
		if val.Kind != Temp && val.Kind != View {
			if val.Name == "" || names[val.Name] {
				return fmt.Errorf("%s: name %q is empty or used twice", v.name(Slot(i)), val.Name)
			}
			names[val.Name] = true
		}
		if owner := [2]int{int(val.Kind), val.Var}; val.Var >= 0 {
			if owners[owner] {
				return fmt.Errorf("%s: second value of variable %d", v.name(Slot(i)), val.Var)
			}
			owners[owner] = true
		}
		if val.Kind != View {
			total += int64(max(val.Size(), -val.Size()))
		}
		if total > maxTotal {
			return fmt.Errorf("values have more than %d elements", int64(maxTotal))
		}
	}
	return nil
}

// rows checks that multiples of B are only where the number of rows is left open.
func (v *verifier) rows(val *Value) error {
	switch {
	case val.Shape[0] >= 0:
		return nil
	case v.p.Batch != B:
		return fmt.Errorf("has rows of any number, but the batch is %d", v.p.Batch)
	case val.Kind == Variable || val.Kind == Grad:
		return fmt.Errorf("a variable has no rows of a batch")
	}
	return nil
}

// links checks what a value says about variables and other values.
func (v *verifier) links(val *Value) error {
	owned := val.Kind == Variable || val.Kind == Grad
	switch {
	case !owned && val.Var != -1:
		return fmt.Errorf("var is %d, want -1", val.Var)
	case owned && (val.Var < 0 || val.Var >= len(v.vars)):
		return fmt.Errorf("var is %d, want 0 to %d", val.Var, len(v.vars)-1)
	case owned && (val.Type != Float || !slices.Equal(val.Shape, v.vars[val.Var].Shape)):
		return fmt.Errorf("variable %s is f%s", v.vars[val.Var].Name, ShapeText(v.vars[val.Var].Shape))
	case val.Kind == Grad && v.vars[val.Var].Role == OptState:
		return fmt.Errorf("variable %s belongs to the optimizer and has no gradient",
			v.vars[val.Var].Name)
	case val.Kind != View && val.Of != None:
		return fmt.Errorf("of is %d, want %d", val.Of, None)
	case val.Kind == View:
		return v.view(val)
	}
	return nil
}

func (v *verifier) view(val *Value) error {
	if val.Of < 0 || int(val.Of) >= len(v.p.Values) {
		return fmt.Errorf("view of %d, want 0 to %d", val.Of, len(v.p.Values)-1)
	}
	base := &v.p.Values[val.Of]
	if err := checkShape(base.Shape); err != nil {
		return fmt.Errorf("value %d: %w", val.Of, err)
	}
	if base.Kind == View || base.Type != val.Type || base.Size() != val.Size() {
		return fmt.Errorf("view of %s, want another kind, the same type and size", v.name(val.Of))
	}
	return nil
}

// instr checks one instruction and notes what it assigns.
func (v *verifier) instr(ins *Instr) error {
	in := make([]Value, len(ins.In))
	for k, s := range ins.In {
		if s < 0 || int(s) >= len(v.p.Values) {
			return fmt.Errorf("%v: input %d is slot %d, want 0 to %d", ins.Op, k, s, len(v.p.Values)-1)
		}
		in[k] = v.p.Values[s]
		if root := v.p.Root(s); v.pending[root] {
			return fmt.Errorf("%v: reads %s before it is assigned", ins.Op, v.name(root))
		}
	}
	out, err := Infer(ins.Op, ins.Attrs, in)
	if err != nil {
		return err
	}
	if len(out) != len(ins.Out) {
		return fmt.Errorf("%v: has %d outputs, want %d", ins.Op, len(ins.Out), len(out))
	}
	if ins.Op.Updates() && v.p.Batch != 0 {
		return fmt.Errorf("%v: changes variables, but the program has batch %s, want 0",
			ins.Op, dimText(v.p.Batch))
	}
	wanted := false
	for k, s := range ins.Out {
		if s == None && ins.Op.OptionalOut() {
			continue
		}
		wanted = true
		if err := v.assign(ins, s, &out[k]); err != nil {
			return fmt.Errorf("%v: output %d: %w", ins.Op, k, err)
		}
	}
	if !wanted {
		return fmt.Errorf("%v: no output is wanted", ins.Op)
	}
	return nil
}

// assign checks that an instruction may assign a value like want to slot s.
func (v *verifier) assign(ins *Instr, s Slot, want *Value) error {
	if s < 0 || int(s) >= len(v.p.Values) {
		return fmt.Errorf("slot %d, want 0 to %d", s, len(v.p.Values)-1)
	}
	if got := &v.p.Values[s]; got.Type != want.Type || !slices.Equal(got.Shape, want.Shape) {
		return fmt.Errorf("%s, want %s%s", v.name(s), want.Type, ShapeText(want.Shape))
	}
	root := v.p.Root(s)
	kind := v.p.Values[root].Kind
	switch {
	case kind == Input:
		return fmt.Errorf("%s is an input, and never assigned", v.name(root))
	case ins.Op.Updates() != (kind == Variable):
		return fmt.Errorf("%s: update ops assign variables, and only they do", v.name(root))
	case ins.Op == Accumulate && kind != Grad:
		return fmt.Errorf("%s: accumulate adds to gradients only", v.name(root))
	case v.done[root]:
		return fmt.Errorf("%s is assigned twice", v.name(root))
	}
	for _, in := range ins.In {
		if v.p.Root(in) == root {
			return fmt.Errorf("%s is also an input", v.name(root))
		}
	}
	v.done[root], v.pending[root] = true, false
	return nil
}
