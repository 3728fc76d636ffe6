package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/dist/strategy"
	"github.com/gespann/gespann/dist/wire"
)

// A job is one that is open, with its variables and where they are in the run.
type job struct {
	wire.Job
	replica  backend.Replica
	strategy strategy.Strategy
	all      vector    // all variables
	model    vector    // parameters and states
	at       *place    // where the variables are in the run; nil: they hold nothing
	group    *group    // of which it is a member; nil: none
	solo     *solo     // what it keeps between leases; nil: there was none since Load
	flat     []float32 // all variables, on their way
}

// A place is a wire.Position.
type place struct {
	Epoch, Index int
	Done         int64
	Sums         backend.Stats
}

func (p *place) position() wire.Position {
	return wire.Position{Epoch: p.Epoch, Index: p.Index, Done: p.Done, Sums: wire.FromStats(p.Sums)}
}

// position returns where the variables are. It is nil if they hold nothing, or what
// a worker that takes turns with a center has made of them, which nobody else has.
func (j *job) position() *wire.Position {
	if j.at == nil || j.solo != nil && j.strategy.Pattern != strategy.Alone {
		return nil
	}
	p := j.at.position()
	return &p
}

// leave ends the membership in a group.
func (j *job) leave() {
	if j.group != nil {
		j.group.close()
		j.group = nil
	}
}

func (j *job) close() error {
	j.leave()
	return j.replica.Close()
}

// A vector is some of a job's variables, one after the other, as they travel.
type vector struct {
	vars []int // indices
	len  int   // elements of all
}

func newVector(vars []wire.Var, wants func(role string) bool) vector {
	var v vector
	for i, x := range vars {
		if wants(x.Role) {
			v.vars, v.len = append(v.vars, i), v.len+ir.Size(x.Shape)
		}
	}
	return v
}

// check returns an error when floats are not such a vector.
func (v *vector) check(floats []float32) error {
	if len(floats) != v.len {
		return fmt.Errorf("got tensors of %d elements, want %d", len(floats), v.len)
	}
	return nil
}

// restore gives the replica the variables of a vector, and leaves it the others.
func (j *job) restore(ctx context.Context, v *vector, floats []float32) error {
	if err := v.check(floats); err != nil {
		return err
	}
	return j.replica.Write(ctx, v.vars, floats)
}

// snapshot copies the variables of a vector to dst, which has its length.
func (j *job) snapshot(ctx context.Context, v *vector, dst []float32) error {
	return j.replica.Read(ctx, v.vars, dst)
}

// load sets all variables.
func (s *serving) load(t *task, m *wire.Load, floats []float32) error {
	if err := s.mine(m.Job); err != nil {
		return err
	}
	j := s.held
	j.leave()
	if err := j.restore(t.ctx, &j.all, floats); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	j.solo = nil
	j.at = &place{m.At.Epoch, m.At.Index, m.At.Done, m.At.Sums.Stats()}
	s.account.at(j.at.Done)
	return s.send(&wire.Loaded{Job: j.ID, At: j.at.position()}, nil)
}

// errNowhere says why a worker cannot do something.
var errNowhere = errors.New("this worker holds no variables of the run")

// fetch sends all variables.
func (s *serving) fetch(t *task, m *wire.Fetch) error {
	if err := s.mine(m.Job); err != nil {
		return err
	}
	j := s.held
	if j.at == nil {
		return fmt.Errorf("fetch: %w", errNowhere)
	}
	if j.flat == nil {
		j.flat = make([]float32, j.all.len)
	}
	if err := j.snapshot(t.ctx, &j.all, j.flat); err != nil {
		return fmt.Errorf("fetch: %w", err)
	}
	return s.send(&wire.State{Job: j.ID, At: j.at.position()}, j.flat)
}

// mine returns an error unless a job is the open one.
func (s *serving) mine(id string) error {
	if id != s.held.ID {
		return fmt.Errorf("job %s is not open, %s is", id, s.held.ID)
	}
	return nil
}
