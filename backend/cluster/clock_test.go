package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/disttest"
	"github.com/gespann/gespann/dist/server"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/dist/worker"
	"github.com/gespann/gespann/internal/clock/clocktest"
	"github.com/gespann/gespann/internal/data"
)

// TestClock trains on a coordinator whose wall clock jumps by hours and years at each
// look at it, with workers and a session as they are everywhere else: nobody is dropped,
// nothing is repeated, and the bits are those of no cluster.
func TestClock(t *testing.T) {
	job, net := job(t), disttest.NewNetwork()
	job.Shards = backend.ShardsFor(job.Accumulate)
	alone := openOn(t, ref(t), job)
	if err := alone.Restore(t.Context(), initial(job)); err != nil {
		t.Fatal(err)
	}
	wantVars, wantStats := trainAll(t, alone, 7)
	coordinator, err := server.New(server.Options{Clock: &clocktest.Jumper{}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	var all sync.WaitGroup
	defer func() {
		cancel(errors.New("end of the test"))
		all.Wait()
		if err := coordinator.Close(); err != nil {
			t.Error(err)
		}
	}()
	for i := range 3 {
		name := fmt.Sprint("worker ", i+1)
		all.Go(func() {
			worker.Run(ctx, worker.Options{
				Dial: func(context.Context) (dist.Conn, error) { // whose context ends with it
					a, b := disttest.Pipe(name, "coordinator")
					all.Go(func() { coordinator.Worker(ctx, b, dist.Principal{Roles: dist.AllRoles}) })
					return a, nil
				},
				Peers: net.Peers(name), Name: name, Backend: "ref", Threads: 1,
				Load: func(context.Context, *wire.Job) (*data.Set, error) { return job.Data, nil },
				Open: func(ctx context.Context, _ wire.Job, set *data.Set) (backend.Session, error) {
					own := job
					own.Data, own.Cluster = set, nil
					return ref(t).Open(ctx, own)
				},
			})
		})
	}
	job.Cluster = &backend.Cluster{Workers: 3, Strategy: "sync", Wire: "fp32", Data: "auto", Name: "run"}
	s, err := New(Options{
		Dial: func(context.Context) (dist.Conn, error) { return coordinator.Connect(), nil },
		Log:  func(format string, a ...any) { t.Logf(format, a...) },
	}).Open(ctx, job)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Restore(ctx, initial(job)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	vars, stats := trainAll(t, s, 7)
	time.Sleep(1500 * time.Millisecond) // signs of life, and looks at how long they are ago
	if _, err := s.Evaluate(ctx, data.Test); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	sameVars(t, vars, wantVars)
	sameStats(t, stats, wantStats)
	v := coordinator.View()
	if v.Totals.WorkersLost != 0 || v.Totals.WorkersJoined != 3 {
		t.Errorf("after %v: %+v, want nobody lost", time.Since(began), v.Totals)
	}
	for _, w := range v.Workers {
		if w.State == "silent" || w.Heard > time.Since(began).Seconds() {
			t.Errorf("%s: %s, heard %v s ago", w.Name, w.State, w.Heard)
		}
	}
	if !slices.ContainsFunc(v.Jobs, func(j server.JobView) bool { return j.Took > 0 && j.Took <= time.Since(began).Seconds()+1 }) {
		t.Errorf("jobs: %+v, want one that took at most %v", v.Jobs, time.Since(began))
	}
}
