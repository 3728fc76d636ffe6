package host

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/backend/meet"
)

// maxMarks bounds about how often one gradient run reports progress: a ring that
// reduces pieces smaller than a thirtieth only waits more often.
const maxMarks = 32

// A layout places all gradients in one vector, in the order in which the gradient
// program of a whole batch completes them: the last layers first. So what is
// complete while the program still runs is always the beginning.
type layout struct {
	order   []int // variables by offset; optimiser state is not among them
	offset  []int // by variable, a multiple of ir.Align
	size    int   // a multiple of ir.Align
	metrics backend.Layout
}

// newLayout lays out the gradients of p. Those that p does not use come last.
func newLayout(p *ir.Program, vars []ir.Var) *layout {
	l := &layout{offset: make([]int, len(vars))}
	last := lastUses(p, len(vars))
	for i, v := range vars {
		if v.Role == ir.OptState {
			continue
		}
		l.order = append(l.order, i)
		if last[i] < 0 {
			last[i] = math.MaxInt
		}
	}
	slices.SortStableFunc(l.order, func(a, b int) int { return cmp.Compare(last[a], last[b]) })
	for _, i := range l.order {
		l.offset[i] = l.size
		l.size += (ir.Size(vars[i].Shape) + ir.Align - 1) / ir.Align * ir.Align
	}
	l.metrics = metricsOf(p)
	return l
}

// lastUses returns, by variable, the last instruction that reads or writes its
// gradient, -1 if none does.
func lastUses(p *ir.Program, vars int) []int {
	last := slices.Repeat([]int{-1}, vars)
	for i := range p.Instrs {
		for _, list := range [2][]ir.Slot{p.Instrs[i].In, p.Instrs[i].Out} {
			for _, s := range list {
				if s == ir.None {
					continue
				}
				if v := &p.Values[p.Root(s)]; v.Kind == ir.Grad {
					last[v.Var] = i
				}
			}
		}
	}
	return last
}

// A mark says that from instruction instr on, the gradients before end are final.
type mark struct{ instr, end int }

// marks returns the marks of a gradient program, in order. The last is at the end
// of the vector.
func (l *layout) marks(p *ir.Program) []mark {
	last := lastUses(p, len(l.offset))
	var all []mark
	at := -1
	for k, i := range l.order {
		end := l.size
		if k+1 < len(l.order) {
			end = l.offset[l.order[k+1]]
		}
		at = max(at, last[i])
		if n := len(all); n > 0 && all[n-1].instr == at {
			all[n-1].end = end
			continue
		}
		all = append(all, mark{at, end})
	}
	few, done := all[:0], 0
	for k, m := range all {
		if k == len(all)-1 || m.end-done >= l.size/maxMarks {
			few, done = append(few, m), m.end
		}
	}
	return few
}

// layOut lays out and allocates the gradients, if that has not been done.
func (s *session) layOut() error {
	if s.layout != nil {
		return nil
	}
	p, err := s.build(programKey{gradient, s.job.BatchSize, false, 0})
	if err != nil {
		return err
	}
	s.layout = newLayout(p, s.vars)
	first := s.memories[0]
	first.flat = Alloc(s.layout.size)
	first.grads = s.layout.views(s.vars, first.flat)
	s.points = meet.Points(p)
	for _, point := range s.points {
		s.meeting.totals = append(s.meeting.totals, point.Vector())
	}
	return nil
}

// views returns the gradient of each variable in a vector of all, nil for optimiser
// state.
func (l *layout) views(vars []ir.Var, flat []float32) [][]float32 {
	grads := make([][]float32, len(vars))
	for _, i := range l.order {
		off, n := l.offset[i], ir.Size(vars[i].Shape)
		grads[i] = flat[off : off+n : off+n+Slack]
	}
	return grads
}

// metricsOf describes the metrics of a program, in the order of its values.
func metricsOf(p *ir.Program) (l backend.Layout) {
	for i := range p.Values {
		v := &p.Values[i]
		if name, ok := strings.CutPrefix(v.Name, ir.MetricPrefix); ok && v.Kind == ir.Output {
			l.Names = append(l.Names, name)
			l.Sizes = append(l.Sizes, v.Size())
		}
	}
	return l
}
