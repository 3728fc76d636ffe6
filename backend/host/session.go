package host

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/data"
)

type session struct {
	job      backend.Job
	ex       Executor
	vars     []ir.Var
	values   [][]float32 // by variable
	grads    [][]float32 // by variable; nil for optimiser state
	arena    []float32   // shared by all programs, of which one runs at a time
	programs map[programKey]*program
	rows     []uint32      // of the batch being gathered, [BatchSize]
	sums     backend.Stats // of the step being taken; kept for its memory
}

// Open prepares a job on an executor, which it owns from then on, also when it
// fails. The programs that training needs are compiled here, others when they
// are first used.
func Open(job backend.Job, ex Executor) (backend.Session, error) {
	s := &session{job: job, ex: ex, programs: map[programKey]*program{}}
	if err := s.open(); err != nil {
		ex.Close()
		return nil, err
	}
	return s, nil
}

func (s *session) open() error {
	if s.job.BatchSize < 1 || s.job.Accumulate < 1 {
		return fmt.Errorf("batch size is %d and accumulation %d, want >= 1",
			s.job.BatchSize, s.job.Accumulate)
	}
	s.rows = make([]uint32, s.job.BatchSize)
	s.vars = s.job.Programs.Vars()
	s.values = make([][]float32, len(s.vars))
	s.grads = make([][]float32, len(s.vars))
	for i, v := range s.vars {
		s.values[i] = Alloc(ir.Size(v.Shape))
		if v.Role != ir.OptState {
			s.grads[i] = Alloc(ir.Size(v.Shape))
		}
	}
	return s.prepare()
}

// prepare builds the programs of a whole batch, so that the arena is as large as
// the largest from the start, and checks the data against them.
func (s *session) prepare() error {
	if s.job.Data == nil {
		return nil
	}
	var keys []programKey
	if n := s.job.Data.Parts[data.Train].Rows; n > 0 {
		rows := min(n, s.job.BatchSize)
		keys = append(keys, programKey{update, 0, false}, programKey{gradient, rows, false})
		if s.job.Accumulate > 1 && n > rows {
			keys = append(keys, programKey{gradient, rows, true})
		}
	}
	for split := range s.job.Data.Parts {
		if n := s.job.Data.Parts[split].Rows; n > 0 {
			keys = append(keys, programKey{forward, min(n, s.job.BatchSize), true})
		}
	}
	if err := s.compileAll(keys); err != nil {
		return err
	}
	return s.checkData()
}

func (s *session) compileAll(keys []programKey) error {
	built := make([]*ir.Program, len(keys))
	size := 0
	for i, key := range keys {
		var err error
		if built[i], err = s.build(key); err != nil {
			return err
		}
		size = max(size, ir.PlanMemory(built[i]).Size)
	}
	s.reserve(size)
	for i, key := range keys {
		if s.programs[key] != nil {
			continue
		}
		pr, err := s.compile(built[i])
		if err != nil {
			return err
		}
		s.programs[key] = pr
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
	if len(vars) != len(s.values) {
		return fmt.Errorf("restore: got %d variables, want %d", len(vars), len(s.values))
	}
	for i, v := range vars {
		if len(v) != len(s.values[i]) {
			return fmt.Errorf("restore: variable %s: got %d elements, want %d (%v)",
				s.vars[i].Name, len(v), len(s.values[i]), s.vars[i].Shape)
		}
	}
	for i, v := range vars {
		copy(s.values[i], v)
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

// errClosed is what methods return after Close.
var errClosed = errors.New("session is closed")
