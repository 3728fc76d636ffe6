package host

import (
	"context"
	"errors"
	"slices"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/backend/meet"
	"github.com/gespann/gespann/backend/rules"
	"github.com/gespann/gespann/backend/sumtree"
)

type session struct {
	job      backend.Job
	ex       Executor
	vars     []ir.Var
	values   [][]float32  // by variable
	layout   *layout      // nil until a program needs the gradients
	points   []meet.Point // of the gradient programs
	memories []*memory    // the first is that of all programs but of parts that meet
	meeting  meeting
	shards   []backend.Part   // of the run being taken
	how      backend.Together // of shards that are all here
	programs map[programKey]*program
	clock    int64         // counts uses of programs
	rows     []uint32      // of the batch being gathered, [BatchSize]
	sums     backend.Stats // of the step being taken; kept for its memory
	tree     *sumtree.Tree // of the shards' gradients, if the job has shards
}

// Open prepares a job on an executor, which it owns from then on, also when it
// fails. The programs that training needs are compiled here, others when they
// are first used.
func Open(job backend.Job, ex Executor) (backend.Session, error) {
	s := &session{job: job, ex: ex, programs: map[programKey]*program{}, memories: []*memory{{}}, how: backend.Together{Meet: inTree}}
	if err := s.open(); err != nil {
		ex.Close()
		return nil, err
	}
	return s, nil
}

func (s *session) open() error {
	if err := rules.CheckJob(&s.job); err != nil {
		return err
	}
	if n := s.job.Shards; n != 0 {
		var add func(sum, x []float32)
		if a, ok := s.ex.(Adder); ok {
			add = a.Add
		}
		var err error
		if s.tree, err = sumtree.New(n, add); err != nil {
			return err
		}
	}
	s.rows = make([]uint32, s.job.BatchSize)
	s.vars = s.job.Programs.Vars()
	if err := s.checkMemory(); err != nil {
		return err
	}
	s.values = make([][]float32, len(s.vars))
	for i, v := range s.vars {
		s.values[i] = Alloc(ir.Size(v.Shape))
	}
	return s.prepare()
}

// prepare builds the programs of whole batches, or of the shards of a whole step,
// so that the arena is as large as the largest from the start, and checks the data
// against them.
func (s *session) prepare() error {
	if s.job.Data == nil {
		return nil
	}
	var keys []programKey
	if s.trainRows() > 0 {
		if err := s.layOut(); err != nil {
			return err
		}
		keys = append(keys, programKey{update, 0, false, 0})
		keys = append(keys, s.gradientKeys()...)
	}
	for split := range s.job.Data.Parts {
		if n := s.job.Data.Parts[split].Rows; n > 0 {
			keys = append(keys, programKey{forward, min(n, s.job.BatchSize), true, 0})
		}
	}
	if err := s.compileAll(keys); err != nil {
		return err
	}
	return rules.CheckData(&s.job, s.vars)
}

// gradientKeys names the gradient programs of the first step.
func (s *session) gradientKeys() []programKey {
	rows := s.stepRows(0)
	n := s.cut().Parts(rows)
	if s.tree != nil && len(s.points) > 0 {
		return s.meetingKeys(rows)
	}
	part := func(i int) int { return s.part(backend.StepAt{}, rows, i, 0).Rows }
	if s.tree != nil {
		keys := []programKey{{gradient, part(n - 1), false, 0}} // as large as any
		if least := part(0); least > 0 && least < keys[0].rows {
			keys = append(keys, programKey{gradient, least, false, 0})
		}
		return keys
	}
	keys := []programKey{{gradient, part(0), false, 0}}
	if n > 1 {
		keys = append(keys, programKey{gradient, part(1), true, 0})
	}
	return keys
}

// meetingKeys names the gradient programs of the first run, whose shards meet.
func (s *session) meetingKeys(rows int) (keys []programKey) {
	for i := range s.cut().PerRun() {
		if n := s.part(backend.StepAt{}, rows, i, 0).Rows; n > 0 {
			keys = append(keys, programKey{gradient, n, false, i})
		}
	}
	return keys
}

func (s *session) compileAll(keys []programKey) error {
	for _, key := range keys {
		if key.kind != forward {
			if err := s.layOut(); err != nil {
				return err
			}
		}
	}
	built := make([]*ir.Program, len(keys))
	sizes := map[int]int{}
	for i, key := range keys {
		var err error
		if built[i], err = s.build(key); err != nil {
			return err
		}
		sizes[key.memory] = max(sizes[key.memory], s.plan(built[i]).Size)
	}
	for i, size := range sizes {
		s.memoryOf(i).reserve(size)
	}
	for i, key := range keys {
		if s.programs[key] != nil {
			continue
		}
		pr, err := s.compile(key, built[i])
		if err != nil {
			return err
		}
		s.keep(key, pr)
	}
	return nil
}

// Snapshot returns copies of all variables.
func (s *session) Snapshot(ctx context.Context) ([][]float32, error) {
	vars := make([][]float32, len(s.values))
	for i, v := range s.values {
		vars[i] = slices.Clone(v)
	}
	return vars, ctx.Err()
}

// Restore overwrites all variables, or none when a length does not fit.
func (s *session) Restore(ctx context.Context, vars [][]float32) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := rules.CheckAll(s.vars, vars); err != nil {
		return err
	}
	for i, v := range vars {
		copy(s.values[i], v)
	}
	return nil
}

// Read copies some variables to dst.
func (s *session) Read(ctx context.Context, vars []int, dst []float32) error {
	if err := rules.CheckSome(s.vars, "read", vars, dst); err != nil {
		return err
	}
	for _, i := range vars {
		dst = dst[copy(dst, s.values[i]):]
	}
	return ctx.Err()
}

// Write sets some variables from src.
func (s *session) Write(ctx context.Context, vars []int, src []float32) error {
	if err := errors.Join(ctx.Err(), rules.CheckSome(s.vars, "write", vars, src)); err != nil {
		return err
	}
	for _, i := range vars {
		src = src[copy(s.values[i], src):]
	}
	return nil
}

// Close ends the executor. Closing twice is harmless.
func (s *session) Close() error {
	if s.ex != nil {
		s.ex.Close()
		s.ex, s.programs = nil, nil
	}
	return nil
}

var (
	// errClosed is what methods return after Close.
	errClosed = errors.New("session is closed")
	errNoData = errors.New("the job has no data")
)
