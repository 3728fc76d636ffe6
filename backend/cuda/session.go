package cuda

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/cuda/plan"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/backend/meet"
	"github.com/gespann/gespann/backend/rules"
	"github.com/gespann/gespann/backend/sumtree"
	"github.com/gespann/gespann/internal/data"
)

// A session trains and runs a job on a device, with everything in its memory:
// variables, gradients, one arena that the programs share, the rows of the data
// or the chunks of it in flight, and the Control block.
type session struct {
	job      backend.Job
	dev      device
	planner  planner
	vars     []ir.Var
	at       places // of what all programs share
	owned    sizes
	programs map[programKey]*program
	streamed bool  // rows are brought in chunks; tests set it before
	large    int64 // operations of a product from which on the library is asked
	parts    [3]part
	stages   [numStages]stage
	runs     map[runKey]*run
	host     pinned
	pace     pace
	// reopen opens the device again after it has died; nil where that is not done.
	reopen   func() (device, error)
	unit     int // replayed last
	flat     vector
	partRuns map[partKey]*run
	points   []meet.Point  // of the gradient programs
	others   []*partMemory // of parts that meet, but for the first
	tree     *sumtree.Tree // of the gradients of shards; nil without shards
}

// sizes of the buffers that may have to grow, in bytes.
type sizes struct{ arena, scratch, aside, counters, asideCounters, sums int64 }

// A program is planned, with its table in device memory.
type program struct {
	*plan.Plan
	table address
}

// pinned is the host memory that small copies go through.
type pinned struct {
	control []byte
	// progress is the number of steps that the device has taken of a pass: it
	// writes it itself, so that it is known when nothing can be read any more.
	progress []byte
	sums     []byte // two lists of float64: of a step, of the span
	rates    []byte
}

// open prepares a job on a device, which it owns from then on, also when it
// fails. All programs that training and evaluation need are planned, tried on
// the device without changing anything, and captured here.
func open(ctx context.Context, job backend.Job, dev device, o plan.Options) (backend.Session, error) {
	return newSession(job, dev).opened(ctx, o)
}

func newSession(job backend.Job, dev device) *session {
	s := &session{
		job: job, dev: dev, programs: map[programKey]*program{}, runs: map[runKey]*run{}, partRuns: map[partKey]*run{}, pace: newPace(time.Now),
		large: largeFlop,
	}
	s.planner = planner{job: &s.job, stage: stageBytes, plans: map[programKey]*plan.Plan{}}
	return s
}

// opened is s after it has been opened.
func (s *session) opened(ctx context.Context, o plan.Options) (backend.Session, error) {
	if err := s.dev.Do(func() error { return s.open(ctx, o) }); err != nil {
		return nil, errors.Join(fmt.Errorf("cuda: %w", err), s.dev.Close())
	}
	return s, nil
}

func (s *session) open(ctx context.Context, o plan.Options) error {
	if err := rules.CheckJob(&s.job); err != nil {
		return err
	}
	if err := s.plantTree(); err != nil {
		return err
	}
	s.vars = s.job.Programs.Vars()
	s.planner.vars, s.planner.options = s.vars, o
	if err := rules.CheckData(&s.job, s.vars); err != nil {
		return err
	}
	free, err := s.dev.Free()
	if err != nil {
		return err
	}
	_, streamed, err := s.planner.fit(free)
	if err != nil {
		return err
	}
	s.streamed = s.streamed || streamed
	if err := s.allocate(); err != nil {
		return err
	}
	if err := s.compileAll(keysFor(&s.job, s.job.BatchSize)); err != nil {
		return err
	}
	if err := s.loadData(); err != nil {
		return err
	}
	return s.rehearse(ctx)
}

// allocate takes the memory whose size the job alone decides.
func (s *session) allocate() error {
	vars := int64(0)
	for _, v := range s.vars {
		s.at.vars = append(s.at.vars, address(vars))
		vars += varBytes(v)
	}
	varsAt, err := s.zeros(vars)
	if err != nil {
		return err
	}
	for i := range s.vars {
		s.at.vars[i] += varsAt
	}
	if err := s.placeGradients(); err != nil {
		return err
	}
	if s.at.base[plan.Control], err = s.zeros(plan.ControlBytes); err != nil {
		return err
	}
	if s.host.control, err = s.dev.Pinned(plan.ControlBytes); err != nil {
		return err
	}
	if s.host.progress, err = s.dev.Pinned(8); err != nil {
		return err
	}
	s.at.base[plan.Progress] = s.dev.Visible(s.host.progress)
	if s.job.Data == nil || s.job.Data.Parts[data.Train].Rows == 0 {
		return nil
	}
	ratesBytes := s.planner.stepsPerEpoch(s.job.BatchSize) * 4
	if s.at.base[plan.Rates], err = s.zeros(int64(ratesBytes)); err != nil {
		return err
	}
	s.host.rates, err = s.dev.Pinned(ratesBytes)
	return err
}

// varBytes is the memory of a variable, with what may be read behind it.
func varBytes(v ir.Var) int64 { return align(int64(ir.Size(v.Shape))*4 + 16) }

// zeros allocates memory that is cleared.
func (s *session) zeros(bytes int64) (address, error) {
	if bytes == 0 {
		return 0, nil
	}
	a, err := s.dev.Alloc(bytes)
	if err != nil {
		return 0, advised(err)
	}
	return a, s.dev.Clear(a, bytes)
}

// compileAll plans programs and puts their tables into device memory.
func (s *session) compileAll(keys []programKey) error {
	for _, key := range keys {
		p, err := s.planner.get(key)
		if err != nil {
			return err
		}
		if err := s.reserve(p); err != nil {
			return err
		}
	}
	for _, key := range keys {
		if s.programs[key] != nil {
			continue
		}
		p := &program{Plan: s.planner.plans[key]}
		for i := range p.Launches {
			if err := s.prepare(p.Plan, &p.Launches[i]); err != nil {
				return err
			}
		}
		if p.TableBytes() > 0 {
			var err error
			if p.table, err = s.zeros(p.TableBytes()); err != nil {
				return err
			}
			if err := s.dev.Upload(p.table, s.at.table(p.Table)); err != nil {
				return err
			}
		}
		s.programs[key] = p
	}
	return nil
}

// prepare loads the kernel of a launch.
func (s *session) prepare(p *plan.Plan, l *plan.Launch) error {
	err := s.dev.Prepare(l.Kernel, l.Shared)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("kernel %s: %w", l.Kernel, advised(err))
	if l.Instr < 0 {
		return err
	}
	return &instrError{p.Program, l.Instr, "load", err}
}

// reserve makes the shared buffers at least as large as a plan wants them. What
// was captured before holds addresses of the smaller ones, and goes.
func (s *session) reserve(p *plan.Plan) error {
	grown := false
	for _, b := range []struct {
		buffer plan.Buffer
		have   *int64
		want   int64
	}{
		{plan.Arena, &s.owned.arena, p.ArenaBytes},
		{plan.Scratch, &s.owned.scratch, p.ScratchBytes},
		{plan.AsideScratch, &s.owned.aside, p.AsideBytes},
		{plan.Counters, &s.owned.counters, p.CountersBytes},
		{plan.AsideCounters, &s.owned.asideCounters, p.CountersBytes},
		{plan.Sums, &s.owned.sums, int64(p.SumsSize()) * 16},
	} {
		if b.want <= *b.have {
			continue
		}
		if old := s.at.base[b.buffer]; old != 0 {
			grown = true
			if err := s.dev.Release(old); err != nil {
				return err
			}
		}
		var err error
		if s.at.base[b.buffer], err = s.zeros(b.want); err != nil {
			return err
		}
		*b.have = b.want
	}
	if len(s.host.sums) < int(s.owned.sums) {
		var err error
		if s.host.sums, err = s.dev.Pinned(int(s.owned.sums)); err != nil {
			return err
		}
	}
	if !grown {
		return nil
	}
	return s.relocate()
}

// relocate brings addresses up to date after a shared buffer has moved.
func (s *session) relocate() error {
	for key, r := range s.runs {
		if err := r.graph.Destroy(); err != nil {
			return err
		}
		delete(s.runs, key)
	}
	for key, r := range s.partRuns {
		if err := r.graph.Destroy(); err != nil {
			return err
		}
		delete(s.partRuns, key)
	}
	for _, p := range s.programs {
		if p.table == 0 {
			continue
		}
		if err := s.dev.Upload(p.table, s.at.table(p.Table)); err != nil {
			return err
		}
	}
	return nil
}

// program returns a program, compiled at its first use.
func (s *session) program(key programKey) (*program, error) {
	if p := s.programs[key]; p != nil {
		return p, nil
	}
	if err := s.compileAll([]programKey{key}); err != nil {
		return nil, err
	}
	return s.programs[key], nil
}

// Snapshot returns copies of all variables.
func (s *session) Snapshot(ctx context.Context) ([][]float32, error) {
	if s.dev == nil {
		return nil, errClosed
	}
	vars := make([][]float32, len(s.vars))
	err := s.dev.Do(func() error {
		for i, v := range s.vars {
			vars[i] = make([]float32, ir.Size(v.Shape))
			if err := s.dev.Download(bytesOf(vars[i]), s.at.vars[i]); err != nil {
				return fmt.Errorf("cuda: variable %s: %w", v.Name, advised(err))
			}
		}
		return s.dev.Sync()
	})
	if err != nil {
		return nil, err
	}
	return vars, ctx.Err()
}

// Restore overwrites all variables, or none when a length does not fit.
func (s *session) Restore(ctx context.Context, vars [][]float32) error {
	if s.dev == nil {
		return errClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := rules.CheckAll(s.vars, vars); err != nil {
		return err
	}
	return s.dev.Do(func() error {
		for i, v := range vars {
			if err := s.dev.Upload(s.at.vars[i], bytesOf(v)); err != nil {
				return fmt.Errorf("cuda: variable %s: %w", s.vars[i].Name, advised(err))
			}
		}
		return s.dev.Sync()
	})
}

// Read copies some variables to dst.
func (s *session) Read(ctx context.Context, vars []int, dst []float32) error {
	return s.some(ctx, "read", vars, dst, func(i int, piece []float32) error {
		return s.dev.Download(bytesOf(piece), s.at.vars[i])
	})
}

// Write sets some variables from src.
func (s *session) Write(ctx context.Context, vars []int, src []float32) error {
	return s.some(ctx, "write", vars, src, func(i int, piece []float32) error {
		return s.dev.Upload(s.at.vars[i], bytesOf(piece))
	})
}

// some moves the pieces of x that belong to those variables.
func (s *session) some(ctx context.Context, verb string, vars []int, x []float32, move func(i int, piece []float32) error) error {
	if s.dev == nil {
		return errClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := rules.CheckSome(s.vars, verb, vars, x); err != nil {
		return err
	}
	return s.dev.Do(func() error {
		for _, i := range vars {
			n := ir.Size(s.vars[i].Shape)
			if err := move(i, x[:n]); err != nil {
				return fmt.Errorf("cuda: variable %s: %w", s.vars[i].Name, advised(err))
			}
			x = x[n:]
		}
		return s.dev.Sync()
	})
}

// Close gives the device back. Closing twice is harmless.
func (s *session) Close() error {
	if s.dev == nil {
		return nil
	}
	err := s.dev.Close()
	s.dev, s.programs, s.runs, s.partRuns = nil, nil, nil, nil
	return err
}

// errClosed is what methods return after Close.
var errClosed = errors.New("session is closed")

// bytesOf returns the memory of a slice.
func bytesOf[T float32 | float64 | int32](v []T) []byte {
	if len(v) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), len(v)*int(unsafe.Sizeof(v[0])))
}

// floats returns memory as float64, whose bytes must be aligned.
func floats(b []byte) []float64 {
	if len(b) == 0 {
		return nil
	}
	return unsafe.Slice((*float64)(unsafe.Pointer(&b[0])), len(b)/8)
}

// floats32 returns memory as float32.
func floats32(b []byte) []float32 {
	if len(b) == 0 {
		return nil
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(&b[0])), len(b)/4)
}
