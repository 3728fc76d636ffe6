package model

import (
	"fmt"
	"slices"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/model/spec"
)

// An optimizer says how one kind of optimiser updates parameters.
type optimizer struct {
	kind  ir.Op
	attrs ir.Attrs
	clip  spec.Clip
	rate  float64
	slots []slotKind // in the order of the instruction's outputs
}

// A slotKind is a variable that an optimiser keeps for each parameter.
type slotKind struct {
	name  string // "m" in "optimizer.m.dense.kernel"
	value float64
}

// newOptimizer returns the optimiser that the parameters describe.
func newOptimizer(params any) (optimizer, bool) {
	switch p := params.(type) {
	case *spec.SGD:
		return sgd(p), true
	case *spec.Adam:
		return adam(p), true
	case *spec.AdamW:
		return adam(&spec.Adam{LearningRate: p.LearningRate, Beta1: p.Beta1, Beta2: p.Beta2, Epsilon: p.Epsilon,
			AMSGrad: p.AMSGrad, Common: spec.Common{WeightDecay: p.WeightDecay, Clip: p.Clip}}), true
	case *spec.RMSProp:
		return rmsprop(p), true
	case *spec.Adagrad:
		return newOptimizerOf(ir.Adagrad, p.LearningRate, p.Common, ir.Attrs{Eps: p.Epsilon},
			slotKind{"a", p.InitialAccumulatorValue}), true
	}
	return optimizer{}, false
}

func newOptimizerOf(kind ir.Op, rate float64, c spec.Common, a ir.Attrs, slots ...slotKind) optimizer {
	a.WeightDecay, a.ClipValue = c.WeightDecay, c.Clipvalue
	a.Scale = c.Clipnorm > 0 || c.GlobalClipnorm > 0
	return optimizer{kind: kind, attrs: a, clip: c.Clip, rate: rate, slots: slots}
}

func sgd(p *spec.SGD) optimizer {
	a := ir.Attrs{Momentum: p.Momentum, Nesterov: p.Nesterov}
	var slots []slotKind
	if p.Momentum > 0 {
		slots = []slotKind{{name: "m"}}
	}
	return newOptimizerOf(ir.SGD, p.LearningRate, p.Common, a, slots...)
}

func adam(p *spec.Adam) optimizer {
	slots := []slotKind{{name: "m"}, {name: "v"}}
	if p.AMSGrad {
		slots = append(slots, slotKind{name: "vmax"})
	}
	a := ir.Attrs{Beta1: p.Beta1, Beta2: p.Beta2, Eps: p.Epsilon, AMSGrad: p.AMSGrad}
	return newOptimizerOf(ir.Adam, p.LearningRate, p.Common, a, slots...)
}

func rmsprop(p *spec.RMSProp) optimizer {
	slots := []slotKind{{name: "v"}}
	if p.Centered {
		slots = append(slots, slotKind{name: "avg"})
	}
	if p.Momentum > 0 {
		slots = append(slots, slotKind{name: "m"})
	}
	a := ir.Attrs{Beta2: p.Rho, Momentum: p.Momentum, Eps: p.Epsilon, Centered: p.Centered}
	return newOptimizerOf(ir.RMSProp, p.LearningRate, p.Common, a, slots...)
}

// An updater builds the update program.
type updater struct {
	optimizer
	layerVars int // number of variables of the layers, before the slots
	states    []statistic
	slots     []variable // per kind of slot, one per parameter
}

// newUpdater checks the optimiser and names its variables.
func newUpdater(s *spec.Spec, vars []variable, states []statistic) (*updater, spec.Errors) {
	o, ok := newOptimizer(s.Optimizer.Params)
	if !ok {
		return nil, spec.Errors{s.Errorf("optimizer", "there is no optimizer %q", s.Optimizer.Kind)}
	}
	u := &updater{optimizer: o, layerVars: len(vars), states: states}
	for _, slot := range o.slots {
		for _, v := range vars {
			if v.Role != ir.Param {
				continue
			}
			u.slots = append(u.slots, variable{
				Var:         ir.Var{Name: fmt.Sprintf("optimizer.%s.%s", slot.name, v.Name), Shape: v.Shape, Role: ir.OptState},
				initializer: "constant", value: float32(slot.value),
			})
		}
	}
	return u, nil
}

// program returns the update program: all parameters in one instruction, or in
// one each when each has a clipping scale of its own, and then the states.
func (u *updater) program(vars []ir.Var) *ir.Program {
	b := &updateBuilder{p: &ir.Program{Name: "update"}, vars: vars, slots: map[string]ir.Slot{}}
	var params []int
	for i, v := range vars {
		if v.Role == ir.Param {
			params = append(params, i)
		}
	}
	groups := [][]int{params}
	if u.clip.Clipnorm > 0 {
		groups = slices.Collect(slices.Chunk(params, 1))
	}
	for _, group := range groups {
		u.step(b, group, params)
	}
	u.average(b)
	return b.p
}

// step adds the instructions that update some of the parameters.
func (u *updater) step(b *updateBuilder, group, params []int) {
	in := []ir.Slot{b.input(ir.InRate, ir.Float), b.input(ir.InStep, ir.Int)}
	var grads, out []ir.Slot
	for _, i := range group {
		grads = append(grads, b.grad(i))
	}
	if limit := max(u.clip.Clipnorm, u.clip.GlobalClipnorm); limit > 0 {
		scale := b.value(ir.Value{Shape: []int{1}, Var: -1, Of: ir.None})
		b.add(ir.ClipNorm, ir.Attrs{Max: limit}, slices.Clone(grads), []ir.Slot{scale})
		in = append(in, scale)
	}
	for _, i := range group {
		out = append(out, b.variable(i))
	}
	for k := range u.optimizer.slots {
		for _, i := range group {
			out = append(out, b.variable(u.layerVars+k*len(params)+slices.Index(params, i)))
		}
	}
	b.add(u.kind, u.attrs, append(in, grads...), out)
}

// average moves the states towards the batch's statistics, those of one momentum
// together.
func (u *updater) average(b *updateBuilder) {
	done := map[float64]bool{}
	for _, first := range u.states {
		if done[first.momentum] {
			continue
		}
		done[first.momentum] = true
		var in, out []ir.Slot
		for _, s := range u.states {
			if s.momentum != first.momentum {
				continue
			}
			i := slices.IndexFunc(b.vars, func(v ir.Var) bool { return v.Name == s.name })
			in, out = append(in, b.grad(i)), append(out, b.variable(i))
		}
		b.add(ir.EMA, ir.Attrs{Momentum: first.momentum}, in, out)
	}
}

// An updateBuilder collects the values and instructions of an update program.
type updateBuilder struct {
	p     *ir.Program
	vars  []ir.Var
	slots map[string]ir.Slot // by name
}

func (b *updateBuilder) value(v ir.Value) ir.Slot {
	if s, ok := b.slots[v.Name]; ok && v.Name != "" {
		return s
	}
	s := ir.Slot(len(b.p.Values))
	b.p.Values = append(b.p.Values, v)
	b.slots[v.Name] = s
	return s
}

func (b *updateBuilder) input(name string, t ir.Type) ir.Slot {
	return b.value(ir.Value{Name: name, Type: t, Kind: ir.Input, Shape: []int{1}, Var: -1, Of: ir.None})
}

func (b *updateBuilder) variable(i int) ir.Slot {
	v := b.vars[i]
	return b.value(ir.Value{Name: v.Name, Kind: ir.Variable, Shape: v.Shape, Var: i, Of: ir.None})
}

func (b *updateBuilder) grad(i int) ir.Slot {
	v := b.vars[i]
	return b.value(ir.Value{Name: gradName(v.Name), Kind: ir.Grad, Shape: v.Shape, Var: i, Of: ir.None})
}

func (b *updateBuilder) add(kind ir.Op, a ir.Attrs, in, out []ir.Slot) {
	b.p.Instrs = append(b.p.Instrs, ir.Instr{Op: kind, Attrs: a, In: in, Out: out, Layer: "optimizer"})
}
