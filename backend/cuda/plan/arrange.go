package plan

import (
	"slices"

	"github.com/gespann/gespann/backend/ir"
)

// Arrange returns p with its instructions in an order that lets Build make one
// launch of several: a metric and the gradient of a loss directly behind it, the sum for a bias directly before the product that reads the same gradient. It
// moves no instruction past one that it depends on, or that depends on it. Memory
// is to be planned for the result.
func Arrange(p *ir.Program) *ir.Program {
	a := arranger{*p}
	a.Instrs = slices.Clone(p.Instrs)
	for i := 0; i < len(a.Instrs); i++ {
		if a.Instrs[i].Op == ir.SoftmaxXent {
			a.gather(i)
		}
	}
	for i := 0; i < len(a.Instrs); i++ {
		if a.Instrs[i].Op != ir.BiasGrad {
			continue
		}
		for j := i + 1; j < len(a.Instrs); j++ {
			if sumsColumns(&a.Instrs[i], &a.Instrs[j]) {
				a.move(i, j-1)
				break
			}
		}
	}
	return &a.Program
}

type arranger struct{ ir.Program }

// gather moves what belongs to a loss behind it.
func (a *arranger) gather(i int) {
	next := i + 1
	for _, belongs := range []func(loss, ins *ir.Instr) bool{isMetricOf, isGradOf} {
		for j := next; j < len(a.Instrs); j++ {
			if belongs(&a.Instrs[i], &a.Instrs[j]) {
				if a.move(j, next) {
					next++
				}
				break
			}
		}
	}
}

// isGradOf reports whether ins is the gradient of a loss.
func isGradOf(loss, ins *ir.Instr) bool {
	return ins.Op == ir.SoftmaxXentGrad && ins.In[0] == loss.Out[1] && ins.In[1] == loss.In[1]
}

// isMetricOf reports whether ins is a metric, by rows, of what a loss is of.
func isMetricOf(loss, ins *ir.Instr) bool {
	return ins.Op == ir.Metric && (ins.Attrs.Metric == ir.Accuracy || ins.Attrs.Metric == ir.TopK) &&
		ins.In[0] == loss.In[0] && ins.In[1] == loss.In[1]
}

// sumsColumns reports whether a sum for a bias can be part of a product: that which
// has the same gradient as its right factor, and nothing behind it.
func sumsColumns(sum, product *ir.Instr) bool {
	a := &product.Attrs
	return product.Op == ir.MatMul && a.TransA && !a.TransB && !a.Bias && !a.GradAct && a.Act == ir.NoAct &&
		product.In[1] == sum.In[0]
}

// move moves instruction i to place j, if it may, and reports whether it is there.
func (a *arranger) move(i, j int) bool {
	step := 1
	if j < i {
		step = -1
	}
	for k := i; k != j; k += step {
		if a.depend(&a.Instrs[i], &a.Instrs[k+step]) {
			return false
		}
	}
	for ; i != j; i += step {
		a.Instrs[i], a.Instrs[i+step] = a.Instrs[i+step], a.Instrs[i]
	}
	return true
}

// depend reports whether one of two instructions writes what the other reads or
// writes.
func (a *arranger) depend(x, y *ir.Instr) bool {
	return a.meet(x.Out, y.In) || a.meet(x.Out, y.Out) || a.meet(x.In, y.Out)
}

func (a *arranger) meet(x, y []ir.Slot) bool {
	for _, s := range x {
		for _, t := range y {
			if s != ir.None && t != ir.None && a.Root(s) == a.Root(t) {
				return true
			}
		}
	}
	return false
}

// asides reports for each instruction whether none of the others needs its results,
// but to add them up: they are for the program that comes after. Their launches may
// run beside the others. What comes after all others is not beside anything, and
// the last of it is not an aside.
func asides(p *ir.Program) []bool {
	list := make([]bool, len(p.Instrs))
	needed := make([]bool, len(p.Values))
	last := true
	for i := len(p.Instrs) - 1; i >= 0; i-- {
		ins := &p.Instrs[i]
		list[i] = beside(ins.Op)
		for _, s := range ins.Out {
			list[i] = list[i] && (s == ir.None || !needed[p.Root(s)])
		}
		if list[i] && last && ins.Op != ir.Metric {
			list[i] = false
		}
		last = last && (list[i] || ins.Op == ir.Metric)
		if list[i] && ins.Op == ir.Accumulate {
			continue
		}
		for _, s := range ins.In {
			if s != ir.None {
				needed[p.Root(s)] = true
			}
		}
	}
	return list
}

// beside reports whether an op is worth a second stream: gradients of weights, and
// metrics.
func beside(op ir.Op) bool {
	switch op {
	case ir.MatMul, ir.Conv2DDW, ir.BiasGrad, ir.EmbeddingGrad, ir.Accumulate, ir.Metric:
		return true
	}
	return false
}

// asideElements bounds the memory, in elements, that Layout spends on letting
// launches run side by side.
const asideElements = 1 << 27

// Layout plans the arena of a program whose launches may run side by side: what
// those beside the others read keeps its memory until the end, so that none of the
// others waits to overwrite it. Where that takes much memory, it is ir.PlanMemory.
func Layout(p *ir.Program) ir.Plan {
	plain := ir.PlanMemory(p)
	kept := *p
	kept.Values = slices.Clone(p.Values)
	for i, aside := range asides(p) {
		// A loss hands its logits on to what is computed with it.
		if !aside && p.Instrs[i].Op != ir.SoftmaxXent {
			continue
		}
		for _, list := range [2][]ir.Slot{p.Instrs[i].In, p.Instrs[i].Out} {
			for _, s := range list {
				if s == ir.None {
					continue
				}
				if v := &kept.Values[p.Root(s)]; v.Kind == ir.Temp {
					v.Kind = ir.Output // lives until the end
				}
			}
		}
	}
	if wide := ir.PlanMemory(&kept); wide.Size-plain.Size <= asideElements {
		return wide
	}
	return plain
}
