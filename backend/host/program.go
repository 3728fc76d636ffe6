package host

import (
	"fmt"
	"math"
	"strings"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/backend/meet"
	"github.com/gespann/gespann/backend/rules"
	"github.com/gespann/gespann/internal/data"
)

const (
	forward  = rules.Forward
	gradient = rules.Gradient
	update   = rules.Update
)

// A programKey names a program of the job. The variant is targets for forward,
// add for gradient.
type programKey struct {
	kind    rules.Kind
	rows    int
	variant bool
	memory  int // of a gradient program: see together.go
}

// maxPrograms bounds the programs that a session keeps: two for each of 64 sizes
// of parts, which change with the shares of the workers of a cluster.
const maxPrograms = 128

// A program is compiled, with the memory that the session reads and writes.
type program struct {
	gatherer Gatherer // nil: none
	Runner
	used       int64      // session.clock at its last use
	both       StepRunner // of this gradient program and the update program with, or nil
	with       *program
	p          *ir.Program
	marks      []mark // of a gradient program
	points     []meet.Point
	meeter     Meeter // where there are points
	next       int    // instruction of a run that stops on the way
	marked     int    // marks that it has passed
	slots      Slots
	x, y       input
	seed, rate []float32 // [1], or nil
	tick, step []int32   // [1], or nil
	loss       []float32 // [1], or nil
	prediction []float32
	shape      []int // of the prediction
	metrics    []metric
}

// An input is the memory of x or y: one of the two, or neither.
type input struct {
	f []float32
	i []int32
}

type metric struct {
	name string
	sums []float32
}

// program returns the compiled program of that name.
func (s *session) program(kind rules.Kind, rows int, variant bool) (*program, error) {
	return s.programIn(0, kind, rows, variant)
}

// programIn is program on one of the session's memories.
func (s *session) programIn(memory int, kind rules.Kind, rows int, variant bool) (*program, error) {
	key := programKey{kind, rows, variant, memory}
	if s.ex == nil {
		return nil, errClosed
	}
	if s.programs[key] == nil {
		if err := s.compileAll([]programKey{key}); err != nil {
			return nil, err
		}
	}
	pr := s.programs[key]
	s.clock++
	pr.used = s.clock
	return pr, nil
}

// keep remembers a compiled program, and forgets the one that was not used for
// the longest time when there are too many.
func (s *session) keep(key programKey, pr *program) {
	if len(s.programs) >= maxPrograms {
		var oldest programKey
		least := int64(math.MaxInt64)
		for k, p := range s.programs {
			if p.used < least {
				oldest, least = k, p.used
			}
		}
		delete(s.programs, oldest)
	}
	s.clock++
	pr.used = s.clock
	s.programs[key] = pr
}

// build gets a program of the job for a number of rows, and verifies it.
func (s *session) build(key programKey) (*ir.Program, error) {
	return rules.Build(&s.job, s.vars, key.kind, key.rows, key.variant)
}

// compile lays out a program's memory and finds its inputs and outputs.
func (s *session) compile(key programKey, p *ir.Program) (*program, error) {
	plan, m := s.plan(p), s.memoryOf(key.memory)
	m.reserve(plan.Size)
	pr := &program{p: p, slots: s.slots(p, plan, m)}
	pr.gatherer, _ = s.ex.(Gatherer)
	for i := range p.Values {
		v := &p.Values[i]
		if err := pr.bind(v, ir.Slot(i)); err != nil {
			return nil, fmt.Errorf("program %s: %v %s: %w", p.Name, v.Kind, v.Name, err)
		}
	}
	if key.kind == gradient {
		pr.marks, pr.points = s.layout.marks(p), meet.Points(p)
	}
	var err error
	pr.Runner, err = s.ex.Compile(p, pr.slots)
	if err != nil {
		return nil, fmt.Errorf("program %s: %w", p.Name, err)
	}
	var ok bool
	if pr.meeter, ok = pr.Runner.(Meeter); !ok {
		pr.points = nil
	}
	return pr, nil
}

// bind notes where an input or output is.
func (pr *program) bind(v *ir.Value, s ir.Slot) error {
	f, i := pr.slots.F[s], pr.slots.I[s]
	scalar := func(t ir.Type) error {
		if v.Type != t || v.Size() != 1 {
			return fmt.Errorf("got %v%v, want %v[1]", v.Type, v.Shape, t)
		}
		return nil
	}
	switch {
	case v.Kind == ir.Input:
		return pr.bindInput(v, f, i, scalar)
	case v.Kind != ir.Output:
		return nil
	case v.Name == ir.OutLoss:
		pr.loss = f
		return scalar(ir.Float)
	case v.Type != ir.Float:
		return fmt.Errorf("got %v%v, want floats", v.Type, v.Shape)
	case v.Name == ir.OutPrediction:
		pr.prediction, pr.shape = f, v.Shape
	default:
		if name, ok := strings.CutPrefix(v.Name, ir.MetricPrefix); ok {
			pr.metrics = append(pr.metrics, metric{name, f})
		}
	}
	return nil
}

func (pr *program) bindInput(v *ir.Value, f []float32, i []int32, scalar func(ir.Type) error) error {
	switch v.Name {
	case ir.InX:
		pr.x = input{f, i}
	case ir.InY:
		pr.y = input{f, i}
	case ir.InSeed:
		pr.seed = f
		return scalar(ir.Float)
	case ir.InRate:
		pr.rate = f
		return scalar(ir.Float)
	case ir.InTick:
		pr.tick = i
		return scalar(ir.Int)
	case ir.InStep:
		pr.step = i
		return scalar(ir.Int)
	default:
		return fmt.Errorf("got an unknown name")
	}
	return nil
}

// gather fills an input with rows of the table.
func (pr *program) gather(in input, t *data.Table, rows []uint32) {
	switch {
	case in.i != nil:
		t.GatherInt(in.i, rows)
	case in.f != nil && pr.gatherer != nil:
		pr.gatherer.Gather(in.f, t, rows)
	case in.f != nil:
		t.Gather(in.f, rows)
	}
}
