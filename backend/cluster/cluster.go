// Package cluster is the backend of several workers. Its session computes nothing:
// it asks a coordinator, which knows the workers, and remembers what it needs to go
// on when all of them are lost. docs/cluster.md tells how a run goes.
//
//	cluster.go   opens sessions
//	session.go   training, and what is remembered
//	recover.go   what happens after a loss
//	exchange.go  a request and its answer
//	line.go      a connection: answers in order, rows on demand
//	probe.go     one worker alone
//	account.go   what the workers cost
//	local.go     a coordinator and workers on this machine
package cluster

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/server/jobs"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/data"
)

// Options say how a Backend reaches its workers.
type Options struct {
	// Dial connects to a coordinator.
	Dial func(ctx context.Context) (dist.Conn, error)
	// Start, if not nil, is in place of Dial: it starts a coordinator in this process, and
	// workers, which have so many threads together where they are on this machine.
	Start func(ctx context.Context, threads int) (Local, error)
	// Probe: one worker alone is measured before the run.
	Probe bool
	// Log tells what happens to the cluster, in lines.
	Log func(format string, args ...any)
	// Patience is how long a coordinator may be away; 0: ten minutes.
	Patience time.Duration
	// Predictor is the backend of what happens in this process, predictions and the
	// evaluation of ensembles: "cpu" if "".
	Predictor string
}

// A Local is a coordinator with workers on this machine.
type Local interface {
	// Dial connects to the coordinator.
	Dial(ctx context.Context) (dist.Conn, error)
	// Failed returns a channel that is closed when the cluster cannot go on; Err
	// then says why.
	Failed() <-chan struct{}
	Err() error
	// Close ends all of it.
	Close() error
}

// A Backend trains on a cluster.
type Backend struct {
	opt   Options
	mu    sync.Mutex
	ready Local // started early, for the next session
}

// New returns a backend.
func New(opt Options) *Backend {
	if opt.Log == nil {
		opt.Log = func(string, ...any) {}
	}
	opt.Patience = cmp.Or(opt.Patience, 10*time.Minute)
	opt.Predictor = cmp.Or(opt.Predictor, "cpu")
	return &Backend{opt: opt}
}

// Start starts the workers that the next session will want, so that they come up
// while the data is read. With a coordinator elsewhere there is nothing to start. The
// caller must end with Discard, in case no session is opened.
func (b *Backend) Start(ctx context.Context, threads int) error {
	if b.opt.Start == nil {
		return nil
	}
	local, err := b.opt.Start(ctx, threads)
	if err != nil {
		return err
	}
	b.mu.Lock()
	old := b.ready
	b.ready = local
	b.mu.Unlock()
	if old != nil {
		return old.Close()
	}
	return nil
}

// Discard ends what Start started and no session has taken.
func (b *Backend) Discard() error {
	if local := b.take(); local != nil {
		return local.Close()
	}
	return nil
}

func (b *Backend) take() Local {
	b.mu.Lock()
	defer b.mu.Unlock()
	local := b.ready
	b.ready = nil
	return local
}

// Open finds the workers, and returns when they have the data and their programs.
func (b *Backend) Open(ctx context.Context, job backend.Job) (backend.Session, error) {
	switch {
	case job.Cluster == nil:
		return nil, errors.New("cluster: no settings for a cluster")
	case job.Data == nil:
		return nil, errors.New("cluster: no data: a cluster trains, other backends predict")
	case b.opt.Start == nil && b.opt.Dial == nil:
		return nil, errors.New("cluster: nothing says how workers are reached")
	case b.opt.Start == nil:
		return b.open(ctx, job, b.opt.Dial, nil)
	}
	local := b.take()
	if local == nil {
		var err error
		if local, err = b.opt.Start(ctx, job.Threads); err != nil {
			return nil, err
		}
	}
	return b.open(ctx, job, local.Dial, local)
}

func (b *Backend) open(
	ctx context.Context, job backend.Job, dial func(context.Context) (dist.Conn, error), local Local,
) (backend.Session, error) {
	s := newSession(b.opt, job, dial)
	if local != nil {
		s.local = local
		if s.wire.DataFrom == "auto" {
			s.wire.DataFrom = "stream" // on one machine that is quicker than to read it again
		}
	}
	if s.wire.DataFrom != "stream" {
		s.wire.Digest = job.Data.Digest()
	}
	if err := s.attach(ctx); err != nil {
		s.fault = err
		s.Close() // err is the cause
		return nil, err
	}
	return s, nil
}

// wireJob returns what workers need to know of a job.
func wireJob(job backend.Job) wire.Job {
	c := job.Cluster
	w := wire.Job{
		ID: jobs.NewID(c.Name), Name: clip(c.Name), Spec: job.Spec,
		Seed: job.Seed, BatchSize: job.BatchSize, Accumulate: job.Accumulate,
		Shuffle: job.Shuffle, Shards: job.Shards,
		Strategy: c.Strategy, Params: c.Params, Wire: c.Wire, DataFrom: c.Data,
		Workers: c.Workers, Rate0: c.Rate, Epochs: c.Epochs,
	}
	w.Digest = w.ID // as unique
	for i := range w.Rows {
		w.Rows[i] = job.Data.Parts[i].Rows
	}
	programs := job.Programs
	if c.Member != nil {
		programs = c.Member
	}
	for _, v := range programs.Vars() {
		w.Vars = append(w.Vars, wire.Var{Name: v.Name, Shape: v.Shape, Role: v.Role.String()})
	}
	return w
}

// clip shortens a name to what a message may hold, with room for an ID.
func clip(name string) string { return name[:min(len(name), wire.MaxName/2)] }

// stepsPerEpoch returns how many optimiser steps an epoch has.
func stepsPerEpoch(job backend.Job) int {
	per := job.BatchSize * job.Accumulate
	return (job.Data.Parts[data.Train].Rows + per - 1) / per
}
