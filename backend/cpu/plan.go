package cpu

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/cpu/gemm"
	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ir"
)

// Plan implements backend.Planner. Each line is what the instruction's function in
// table.go told while it compiled, or what became of it in a whole step.
func (cpu) Plan(job backend.Job, programs ...*ir.Program) (string, error) {
	low, err := lowPrecision(job.Precision)
	if err != nil {
		return "", err
	}
	return plan(gemm.Kit{}, low, job, programs)
}

// plan describes programs as compiled for a kit, in precision bf16 or fp32.
func plan(kit gemm.Kit, bf16 bool, job backend.Job, programs []*ir.Program) (string, error) {
	var all []*planned
	for _, p := range programs {
		e := executorFor(job, kit, bf16) // with scratch memory for one program
		defer e.Close()
		next, err := e.plan(p)
		if err != nil {
			return "", err
		}
		if n := len(all); n > 0 && job.Accumulate <= 1 && job.Shards == 0 {
			all[n-1].ex.Step(all[n-1].runner, next.runner)
		}
		all = append(all, next)
	}
	var texts []string
	for _, p := range all {
		texts = append(texts, p.String())
	}
	return strings.Join(texts, "\n"), nil
}

// planned is a program that is compiled to be described.
type planned struct {
	p      *ir.Program
	ex     *executor
	layout ir.Plan
	runner host.Runner
	told   []*notes
}

// plan compiles a program to describe it.
func (e *executor) plan(p *ir.Program) (*planned, error) {
	told := make([]*notes, len(p.Instrs))
	for i := range told {
		told[i] = &notes{}
	}
	layout := e.Arrange(p)
	r, err := e.compile(p, stand(p, layout), told)
	return &planned{p, e, layout, r, told}, err
}

// String describes the program.
func (d *planned) String() string {
	var b strings.Builder
	e, p := d.ex, d.p
	precision, shared := "", len(e.pool.Shared())
	if e.round != nil {
		precision = ", bf16"
		if e.round.pairs != nil {
			precision += " by " + e.round.pairs.Name()
		}
		shared += len(e.round.memory[0]) + len(e.round.memory[1])
	}
	fmt.Fprintf(&b, "plan %s batch %d on cpu: %s kernels%s, %d threads, arena %d KiB, scratch %d KiB shared and %d KiB per thread\n",
		p.Name, p.Batch, e.kit.Name(), precision, e.pool.Threads(), kib(d.layout.Size), kib(shared), kib(len(e.pool.Local(0))))
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for i := range p.Instrs {
		fmt.Fprintf(w, "%3d\t%s\t%s\t%s\n", i, p.Instrs[i].Op, p.Instrs[i].Layer, d.told[i])
	}
	w.Flush() // to memory
	return b.String()
}

// kib is the size of n floats, rounded up.
func kib(n int) int { return ceilDiv(n, 256) }

// stand returns memory for a program, laid out as a session does it. It is never
// touched, so that the system need not find it.
func stand(p *ir.Program, layout ir.Plan) host.Slots {
	arena := host.Alloc(layout.Size)
	s := host.Slots{F: make([][]float32, len(p.Values)), I: make([][]int32, len(p.Values))}
	owned := make([][]float32, len(p.Values))
	for i := range p.Values {
		v := &p.Values[i]
		switch {
		case v.Kind == ir.View: // Of comes before
			owned[i] = owned[v.Of]
		case layout.Offset[i] >= 0:
			owned[i] = arena[layout.Offset[i]:][:v.Size()]
		default:
			owned[i] = host.Alloc(v.Size())
		}
		if v.Type == ir.Int {
			s.I[i] = host.Ints(owned[i])
		} else {
			s.F[i] = owned[i]
		}
	}
	return s
}

// notes are what a function tells of the decisions that it takes while it compiles
// an instruction. A nil *notes keeps nothing.
type notes struct{ list []string }

// tell adds a note.
func (n *notes) tell(format string, args ...any) {
	if n != nil {
		n.list = append(n.list, fmt.Sprintf(format, args...))
	}
}

// ask adds what describe returns.
func (n *notes) ask(describe func() string) {
	if n != nil {
		n.list = append(n.list, describe())
	}
}

// instead is ask, for what replaces all decisions told before.
func (n *notes) instead(describe func() string) {
	if n != nil {
		n.list = []string{describe()}
	}
}

// clear forgets all notes.
func (n *notes) clear() {
	if n != nil {
		n.list = nil
	}
}

// cut notes how elements are cut into chunks, and whether one thread takes them all.
func (n *notes) cut(chunks, elements int, alone bool) {
	switch {
	case alone && chunks == 1:
		n.tell("%d elements on one thread", elements)
	case alone:
		n.tell("%d elements in %d chunks on one thread", elements, chunks)
	default:
		n.tell("%d elements in %d chunks", elements, chunks)
	}
}

// folded notes that so many rows are taken as one.
func (n *notes) folded(rows int) {
	if rows > 1 {
		n.tell("%d rows as one", rows)
	}
}

// String joins the notes in the order of the decisions.
func (n *notes) String() string {
	if len(n.list) == 0 {
		return "on one thread"
	}
	return strings.Join(n.list, "; ")
}
