package server

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/clock/clocktest"
)

// TestClockJumps runs a coordinator, its workers, a driver and submitted jobs while the
// wall clock jumps by hours and years, back and forth, at every look at it.
func TestClockJumps(t *testing.T) {
	train := func(t *testing.T, o Options) (vars [][]float32, s *Server, took time.Duration) {
		var result atomic.Pointer[[]float32]
		began := time.Now()
		o.State, o.Pass = t.TempDir(), 300*time.Millisecond
		o.RunJob = func(ctx context.Context, j Submission) error {
			p := party{t, j.Driver}
			got := drive(p, testJob("of the driver", "sync"), 2)
			result.Store(&got)
			time.Sleep(time.Second) // beats, and a few looks at how long they are ago
			p.say(&wire.Detach{})
			return nil
		}
		o.Check = func(_ context.Context, q Request) (Plan, error) {
			if q.Name == "many" {
				return Plan{Workers: 9}, nil
			}
			return Plan{}, nil
		}
		s = start(t, o)
		hire(t, s, 3)
		// The first of the queue wants more workers than there are, and is passed soon.
		for _, name := range []string{"many", "few"} {
			if _, err := s.Submit(t.Context(), Request{Name: name}); err != nil {
				t.Fatal(err)
			}
		}
		p := party{t, dial(t, "driver", s.Driver)}
		vars = append(vars, drive(p, testJob("run-1", "downpour"), 2))
		p.say(&wire.Detach{})
		eventually(t, "the submitted job is done", func() bool { return s.View().Totals.JobsDone == 2 })
		return append(vars, *result.Load()), s, time.Since(began)
	}
	var want [][]float32
	t.Run("a clock that goes", func(t *testing.T) { want, _, _ = train(t, Options{}) })
	clock := &clocktest.Jumper{}
	got, s, took := train(t, Options{Clock: clock})
	if !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("got %v, want the bits of a clock that goes", got)
	}
	v := s.View()
	if n := v.Totals; n.WorkersLost != 0 || n.WorkersJoined != 3 || n.JobsFailed+n.JobsCancelled != 0 {
		t.Errorf("got %+v, want nobody lost, and no job failed", n)
	}
	if len(v.Lost) > 0 {
		t.Errorf("lost: got %+v", v.Lost)
	}
	for _, w := range v.Workers {
		if w.State == "silent" || w.Heard < 0 || w.Heard > took.Seconds() {
			t.Errorf("worker %s: got %s, heard %v s ago", w.ID, w.State, w.Heard)
		}
	}
	if v.Uptime <= 0 || v.Uptime > took.Seconds()+1 {
		t.Errorf("up for %v s, after %v", v.Uptime, took)
	}
	for _, j := range v.Jobs {
		if j.Name == "many" {
			if j.State != wire.JobQueued {
				t.Errorf("many: got %s, want it queued", j.State)
			}
			continue
		}
		if j.State != wire.JobDone || j.Took <= 0 || j.Took > took.Seconds() {
			t.Errorf("%s: got %s after %v s, want it done within %v", j.Name, j.State, j.Took, took)
		}
		if len(j.Curve.Train) < 2 || len(j.Curve.Validation) != 2 {
			t.Errorf("%s: curve %+v", j.Name, j.Curve)
		}
	}
	if n := clock.Looks(); n < 20 {
		t.Errorf("the clock has jumped %d times only", n)
	}
}

// TestClockSet loses a worker, and sets the clock by years: what is remembered of it
// stays for as long as it should.
func TestClockSet(t *testing.T) {
	clock, ticks := clocktest.At(time.Now(), 0), make(chan time.Time)
	s := start(t, Options{Clock: clock, Ticks: ticks, machine: &script{}})
	w := party{t, dial(t, "w", s.Worker)}
	w.say(hello("w"))
	tick := func() {
		ticks <- time.Time{}
		ticks <- time.Time{}
	}
	eventually(t, "the worker is there", func() bool { tick(); return len(s.View().Workers) == 1 })
	w.conn.Close()
	eventually(t, "the worker is lost", func() bool { tick(); return len(s.View().Lost) == 1 })
	for _, c := range []struct {
		years  int
		passes time.Duration
		want   int
	}{{10, 0, 1}, {-20, 0, 1}, {10, lostTime - time.Second, 1}, {-10, time.Second, 0}} {
		clock.Set(clock.Now().AddDate(c.years, 0, 0))
		clock.Pass(c.passes)
		tick()
		if got := len(s.View().Lost); got != c.want {
			t.Errorf("%d years and %v: %d lost workers are remembered, want %d", c.years, c.passes, got, c.want)
		}
	}
}
