package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/dist/strategy"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/data"
)

// open prepares a job, unless it is open. What goes wrong is the answer.
func (s *serving) open(t *task, m *wire.Open) error {
	s.account.pause()
	if j := s.held; j != nil && (j.ID != m.Job.ID || !bytes.Equal(j.Spec, m.Job.Spec)) {
		s.drop()
	}
	answer := &wire.Opened{Job: m.Job.ID}
	if s.held == nil {
		s.account.reset()
		s.account.enter(opening)
		held, err := s.prepare(t.ctx, &m.Job)
		s.account.enter(idle)
		switch {
		case t.ctx.Err() != nil && held != nil:
			held.close() // what ended it is the cause
			return context.Cause(t.ctx)
		case t.ctx.Err() != nil:
			return context.Cause(t.ctx)
		case err != nil:
			s.Monitor.note(func(v *View) { v.Failures++ })
			s.Log.Error("cannot open the job", "job", m.Job.Name, "error", err)
			answer.Err = err.Error()
		default:
			s.Log.Info("job is open", "job", m.Job.Name, "id", m.Job.ID)
			s.held = held
			s.Monitor.opened(m.Job.ID)
		}
	}
	if s.held != nil {
		answer.At = s.held.position()
		s.allow()
	}
	return s.send(answer, nil)
}

// allow lets the coordinator send all variables of the open job.
func (s *serving) allow() {
	s.conn.Allow(max(4*int64(s.held.all.len), data.PieceBytes))
}

// prepare reads the data of a job, and builds and opens it.
func (s *serving) prepare(ctx context.Context, m *wire.Job) (*job, error) {
	strat, ok := strategy.Lookup(m.Strategy)
	if !ok {
		return nil, fmt.Errorf("strategy %q: this worker does not know it", m.Strategy)
	}
	set, err := s.rows(ctx, m)
	if err != nil {
		return nil, err
	}
	session, err := s.Open(ctx, *m, set)
	if err != nil {
		return nil, err
	}
	replica, ok := session.(backend.Replica)
	if !ok {
		session.Close()
		return nil, fmt.Errorf("backend %s cannot train together with others", s.Backend)
	}
	j := &job{
		Job: *m, replica: replica, strategy: strat,
		all:   newVector(m.Vars, func(string) bool { return true }),
		model: newVector(m.Vars, func(role string) bool { return role != ir.OptState.String() }),
	}
	if err := j.checkSizes(ctx); err != nil {
		replica.Close() // err is the cause
		return nil, err
	}
	return j, nil
}

// checkSizes checks the variables of the session against those of the job.
func (j *job) checkSizes(ctx context.Context) error {
	vars, err := j.replica.Snapshot(ctx)
	if err != nil {
		return err
	}
	if len(vars) != len(j.Vars) {
		return fmt.Errorf("the model built here has %d variables, the job's %d", len(vars), len(j.Vars))
	}
	for i, v := range j.Vars {
		if size := ir.Size(v.Shape); len(vars[i]) != size {
			return fmt.Errorf("variable %s has %d elements here, and %d in the job",
				v.Name, len(vars[i]), size)
		}
	}
	return nil
}

// CheckVars returns an error that names the first variable of programs built from
// a job's spec that is not as the job says.
func CheckVars(job []wire.Var, built []ir.Var) error {
	if len(job) != len(built) {
		return fmt.Errorf("the model built here has %d variables, the job's %d", len(built), len(job))
	}
	for i, want := range Vars(built) {
		got := job[i]
		if got.Name != want.Name || got.Role != want.Role || !slices.Equal(got.Shape, want.Shape) {
			return fmt.Errorf("variable %d is %s %s %v here, and %s %s %v in the job",
				i, want.Role, want.Name, want.Shape, got.Role, got.Name, got.Shape)
		}
	}
	return nil
}

// Vars returns variables as a job has them.
func Vars(built []ir.Var) []wire.Var {
	vars := make([]wire.Var, len(built))
	for i, v := range built {
		vars[i] = wire.Var{Name: v.Name, Shape: append([]int{}, v.Shape...), Role: v.Role.String()}
	}
	return vars
}

// rows returns the job's rows: those of the latest job when they are the same, this
// worker's own copy, or else what the coordinator sends.
func (s *serving) rows(ctx context.Context, m *wire.Job) (*data.Set, error) {
	if s.data != nil && s.digest == m.Digest {
		return s.data, nil
	}
	s.data = nil // not two sets at a time
	why := "the job says so"
	if m.DataFrom != "stream" {
		set, err := s.own(ctx, m)
		if err == nil {
			s.data, s.digest = set, m.Digest
			return set, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if m.DataFrom == "local" {
			return nil, fmt.Errorf("%w\nhint: with cluster.data: auto the rows are sent to workers that lack them", err)
		}
		why, _, _ = strings.Cut(err.Error(), "\nhint: ") // the rows come all the same
	}
	set, err := s.receive(ctx, m, why)
	if err != nil {
		return nil, err
	}
	s.data, s.digest = set, m.Digest
	return set, nil
}

// own reads this worker's copy.
func (s *serving) own(ctx context.Context, m *wire.Job) (*data.Set, error) {
	if s.Load == nil {
		return nil, errors.New("this worker has no data of its own")
	}
	set, err := s.ownRows(ctx, m)
	if err != nil {
		return nil, err
	}
	if err := sameRows(set, m); err != nil {
		return nil, fmt.Errorf("%s has other rows than the job: %w", set.Source, err)
	}
	return set, nil
}

// ownRows is Load that is not waited for when the job is not wanted any more: a file that
// does not answer must not keep the worker from the next one.
func (s *serving) ownRows(ctx context.Context, m *wire.Job) (*data.Set, error) {
	type result struct {
		set *data.Set
		err error
	}
	job := *m // whoever is left behind has its own
	read := make(chan result, 1)
	go func() {
		set, err := s.Load(ctx, &job)
		read <- result{set, err}
	}()
	select {
	case r := <-read:
		return r.set, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// sameRows compares a set with what the job says of its data.
func sameRows(set *data.Set, m *wire.Job) error {
	for i := range set.Parts {
		if got, want := set.Parts[i].Rows, m.Rows[i]; got != want {
			return fmt.Errorf("got %d %v rows, want %d", got, data.Split(i), want)
		}
	}
	if m.DataFrom == "stream" {
		return nil // there are no others, and the digest is only a name
	}
	if got := set.Digest(); got != m.Digest {
		return fmt.Errorf("got digest %.12s, want %.12s", got, m.Digest)
	}
	return nil
}

// receive asks the coordinator for the rows.
func (s *serving) receive(ctx context.Context, m *wire.Job, why string) (*data.Set, error) {
	s.Log.Info("asking for the rows", "job", m.Name, "because", why)
	s.conn.Allow(data.PieceBytes)
	if err := s.send(&wire.NeedData{Job: m.ID, Why: why}, nil); err != nil {
		return nil, err
	}
	limit := s.MaxData
	if limit == 0 {
		limit = DefaultMaxData
	}
	var r *data.Receiver
	for {
		f, err := s.next(ctx)
		if err != nil {
			return nil, err
		}
		p, ok := f.Message.(*wire.Rows)
		if !ok || p.Job != m.ID || (p.Table != nil) != (r == nil) {
			return nil, fmt.Errorf("got %s, want the rows of job %s from the first on", f.Kind(), m.ID)
		}
		if r == nil {
			if r, err = data.NewReceiver(*p.Table, limit); err != nil {
				return nil, fmt.Errorf("rows of the job: %w", err)
			}
		}
		if _, err := r.Write(f.Bytes); err != nil {
			return nil, err
		}
		if p.Last {
			break
		}
	}
	set, err := r.Set()
	if err != nil {
		return nil, err
	}
	if err := sameRows(set, m); err != nil {
		return nil, fmt.Errorf("the rows that came are not those of the job: %w", err)
	}
	return set, nil
}
