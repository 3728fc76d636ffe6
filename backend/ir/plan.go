package ir

import "slices"

// Align is the alignment of offsets in a Plan, in elements: 64 bytes, the size
// of a cache line and of the widest vector register.
const Align = 16

// A Plan places a program's inputs, outputs and temporaries in one arena. All
// elements, Float or Int, are 4 bytes.
type Plan struct {
	// Offset by slot, in elements, a multiple of Align; -1 for values that are
	// not in the arena: variables, gradients and their views.
	Offset []int
	// Size of the arena in elements, a multiple of Align.
	Size int
}

// PlanMemory lays out the arena of a verified program. Values that live at the
// same time do not overlap. An input lives from the start to its last use, an
// output from its instruction to the end, a temporary from its instruction to
// its last use; uses of a view are uses of what it shows. So inputs must be
// written again before each run.
//
// In order of execution each value takes the smallest gap that it fits in, else
// the end of the arena. The program must not be for any number of rows.
func PlanMemory(p *Program) Plan {
	if p.Batch == B {
		panic("ir: invariant: memory is for a number of rows")
	}
	plan := Plan{Offset: slices.Repeat([]int{-1}, len(p.Values))}
	lives := Lifetimes(p)
	ends := make([][]Slot, len(p.Instrs)+1) // values by the instruction of their last use
	for s, l := range lives {
		if l.inArena() {
			ends[l.Last+1] = append(ends[l.Last+1], Slot(s))
		}
	}
	var a arena
	place := func(s Slot) {
		if lives[s].inArena() && plan.Offset[s] < 0 {
			plan.Offset[s] = a.take(aligned(p.Values[s].Size()))
		}
	}
	for s := range p.Values {
		if p.Values[s].Kind == Input {
			place(Slot(s))
		}
	}
	for i := range p.Instrs {
		for _, s := range p.Instrs[i].Out {
			if s != None {
				place(p.Root(s))
			}
		}
		if i+1 < len(ends) {
			for _, s := range ends[i+1] {
				a.give(plan.Offset[s], aligned(p.Values[s].Size()))
			}
		}
	}
	for s := range p.Values {
		if p.Values[s].Kind == View {
			plan.Offset[s] = plan.Offset[p.Values[s].Of]
		}
	}
	plan.Size = a.size
	return plan
}

// Root returns the value that owns s's memory: what a view shows, else s.
func (p *Program) Root(s Slot) Slot {
	if p.Values[s].Kind == View {
		return p.Values[s].Of
	}
	return s
}

// A Lifetime is the range of instructions during which a value must keep its
// memory: First ≤ i ≤ Last. An input's First is -1, an output's Last the number
// of the last instruction. Values outside the arena, and views, have {0, -2}.
type Lifetime struct{ First, Last int }

func (l Lifetime) inArena() bool { return l.First <= l.Last }

// Lifetimes returns the lifetimes of the values of a verified program, by slot.
func Lifetimes(p *Program) []Lifetime {
	lives := slices.Repeat([]Lifetime{{0, -2}}, len(p.Values))
	for s := range p.Values {
		if p.Values[s].Kind == Input {
			lives[s] = Lifetime{-1, -1}
		}
	}
	for i := range p.Instrs {
		for _, s := range p.Instrs[i].Out {
			if s == None {
				continue
			}
			switch r := p.Root(s); p.Values[r].Kind {
			case Temp:
				lives[r] = Lifetime{i, i}
			case Output:
				lives[r] = Lifetime{i, len(p.Instrs) - 1}
			}
		}
		for _, s := range p.Instrs[i].In {
			if r := p.Root(s); lives[r].inArena() {
				lives[r].Last = max(lives[r].Last, i)
			}
		}
	}
	return lives
}

// aligned rounds a size up to a multiple of Align.
func aligned(n int) int { return (n + Align - 1) / Align * Align }

// An arena hands out ranges and takes them back.
type arena struct {
	size int
	gaps []gap // free ranges below size, in order, never adjacent
}

type gap struct{ at, n int }

// take returns the offset of n elements: in the smallest gap that has them, else
// at the end.
func (a *arena) take(n int) int {
	best := -1
	for i, g := range a.gaps {
		if g.n >= n && (best < 0 || g.n < a.gaps[best].n) {
			best = i
		}
	}
	if best < 0 {
		at := a.size
		if k := len(a.gaps) - 1; k >= 0 && a.gaps[k].at+a.gaps[k].n == a.size {
			at = a.gaps[k].at
			a.gaps = a.gaps[:k]
		}
		a.size = at + n
		return at
	}
	at := a.gaps[best].at
	if a.gaps[best].n == n {
		a.gaps = slices.Delete(a.gaps, best, best+1)
	} else {
		a.gaps[best].at += n
		a.gaps[best].n -= n
	}
	return at
}

// give takes back n elements at offset at.
func (a *arena) give(at, n int) {
	i, _ := slices.BinarySearchFunc(a.gaps, at, func(g gap, at int) int { return g.at - at })
	a.gaps = slices.Insert(a.gaps, i, gap{at, n})
	if i+1 < len(a.gaps) && a.gaps[i].at+a.gaps[i].n == a.gaps[i+1].at {
		a.gaps[i].n += a.gaps[i+1].n
		a.gaps = slices.Delete(a.gaps, i+1, i+2)
	}
	if i > 0 && a.gaps[i-1].at+a.gaps[i-1].n == a.gaps[i].at {
		a.gaps[i-1].n += a.gaps[i].n
		a.gaps = slices.Delete(a.gaps, i, i+1)
	}
}
