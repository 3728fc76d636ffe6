package server

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/numtest"
	"github.com/gespann/gespann/internal/plain"
)

// TestTrain runs whole jobs with the machine of coord, and looks at what is left
// of them.
func TestTrain(t *testing.T) {
	for _, c := range []struct {
		strategy string
		workers  int
	}{{"sync", 1}, {"downpour", 1}, {"downpour", 3}, {"downpour", 64}, {"single", 2}} {
		t.Run(fmt.Sprint(c.strategy, "-", c.workers), func(t *testing.T) {
			s := start(t, Options{}) // what a run on this machine starts: it checks no specs
			hire(t, s, c.workers)
			job := testJob("run-1", c.strategy)
			job.Workers = c.workers
			p := party{t, dial(t, "driver", s.Driver)}
			vars := drive(p, job, 2)
			want := slices.Repeat([]float32{0.5 * 40}, 13)
			copy(want[8:], []float32{0, 0, 0})
			numtest.Close(t, vars, want, numtest.Tol{Why: "sums of halves are exact"})
			account := bill(p)
			if account.Rows != 160 || account.Strategy != c.strategy || !account.SameMachine {
				t.Errorf("account: got %+v, want 160 rows of %s on one machine", account, c.strategy)
			}
			p.say(&wire.Detach{})
			eventually(t, "the job has ended", func() bool { return stateOf(s, "run-1") == wire.JobDone })
			checkDone(t, s.View().Job("run-1"))
		})
	}
}

func checkDone(t *testing.T, j *JobView) {
	t.Helper()
	if j.Workers < 1 {
		t.Errorf("got %d workers, want those that took part", j.Workers)
	}
	if j.Epoch != 2 || j.Epochs != 2 || j.Step != 20 || j.Steps != 20 || j.Done != 40 {
		t.Errorf("got %+v, want 2 epochs of 20 steps", j.JobStatus)
	}
	var latest []wire.Value
	for _, name := range []string{"loss", "accuracy", "val_loss", "val_accuracy"} {
		latest = append(latest, j.Latest[name])
	}
	numtest.Close(t, append(latest, wire.Value(j.Progress)), []wire.Value{0.5, 0.5, 0.25, 0.75, 1}, exact)
	if j.Account == nil || len(j.Account.Workers) == 0 {
		t.Errorf("account: got %+v, want one with workers", j.Account)
	}
	if j.Curve == nil || len(j.Curve.Train) == 0 || len(j.Curve.Validation) != 2 {
		t.Fatalf("curve: got %+v, want points, 2 of them of the validation", j.Curve)
	}
	last := j.Curve.Train[len(j.Curve.Train)-1]
	if last.Step != 40 {
		t.Errorf("last point: got %+v, want step 40", last)
	}
	numtest.Close(t, []wire.Value{wire.Value(last.Epoch), last.Values["loss"]}, []wire.Value{2, 0.5}, exact)
}

// TestRefuse checks what a driver may not ask for.
func TestRefuse(t *testing.T) {
	for name, c := range map[string]struct {
		change func(a *wire.Attach)
		want   string
	}{
		"protocol": {func(a *wire.Attach) { a.Protocol = 99 }, fmt.Sprintf("the driver speaks protocol 99, this coordinator %d\n", wire.Protocol) +
			"hint: use the same version of gespann everywhere"},
		"id":       {func(a *wire.Attach) { a.Job.ID = "../x" }, `job ID "../x": want 1 to 64 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit`},
		"strategy": {func(a *wire.Attach) { a.Job.Strategy = "hope" }, `strategy: got "hope", want one of sync, local_sgd, diloco, averaging, single, ensemble, downpour, adag, dynsgd, aeasgd, eamsgd`},
		"none":     {func(a *wire.Attach) { a.Job.Vars = nil }, "job: got 0 variables, want 1 to 65536"},
		"large": {func(a *wire.Attach) { a.Job.Vars[1].Shape = []int{1 << 20, 1 << 10} },
			"job: variable m of shape [1048576 1024]: with those before it, more than the 1000 bytes that this coordinator takes"},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, Options{MaxJob: 1000})
			a := &wire.Attach{Protocol: wire.Protocol, Job: testJob("a", "sync")}
			c.change(a)
			conn := dial(t, "driver", s.Driver)
			if err := conn.Send(wire.Frame{Message: a}); err != nil {
				t.Fatal(err)
			}
			f, err := conn.Recv()
			if err != nil {
				t.Fatal(err)
			}
			if m, ok := f.Message.(*wire.Fault); !ok || m.Err != c.want {
				t.Errorf("got %s %+v, want %s", f.Kind(), f.Message, c.want)
			}
			if f, err := conn.Recv(); err == nil {
				t.Errorf("got %s, want the end", f.Kind())
			}
		})
	}
}

// TestInterrupted has drivers leave that wait for their turn, and checks that the queue
// is free at once, and what the history says.
func TestInterrupted(t *testing.T) {
	for err, want := range map[string]string{
		wire.Interrupted: wire.JobCancelled + ": its driver was interrupted", "out of luck": wire.JobFailed + ": out of luck",
	} {
		t.Run(err, func(t *testing.T) {
			s := start(t, Options{})
			hire(t, s, 1)
			job := testJob("large", "sync")
			job.Workers = 2
			p := party{t, dial(t, "large", s.Driver)}
			p.say(&wire.Attach{Protocol: wire.Protocol, Job: job})
			eventually(t, "it waits", func() bool { return stateOf(s, "large") == wire.JobWaiting })
			p.say(&wire.Detach{Err: err})
			drive(party{t, dial(t, "small", s.Driver)}, testJob("small", "sync"), 1)
			eventually(t, "the page has "+want, func() bool {
				j := s.View().Job("large")
				return j != nil && j.State+": "+j.Reason == want
			})
		})
	}
}

// TestTwice lets two drivers ask for one job: the second is refused, unless it
// says that it comes again.
func TestTwice(t *testing.T) {
	s := start(t, Options{})
	first := party{t, dial(t, "first", s.Driver)}
	first.say(&wire.Attach{Protocol: wire.Protocol, Job: testJob("a", "sync")})
	f, err := first.conn.Recv()
	if err != nil || f.Kind() != "queued" {
		t.Fatalf("got %v, %v, want queued", f.Message, err)
	}
	second := party{t, dial(t, "second", s.Driver)}
	second.say(&wire.Attach{Protocol: wire.Protocol, Job: testJob("a", "sync")})
	if m, _ := hear[*wire.Dismiss](second); m.Reason != "job a is here already" {
		t.Errorf("got %q", m.Reason)
	}
	again := party{t, dial(t, "again", s.Driver)}
	again.say(&wire.Attach{Protocol: wire.Protocol, Job: testJob("a", "sync"), Again: true})
	if m, _ := hear[*wire.Dismiss](first); m.Reason != "another connection has taken its place" {
		t.Errorf("got %q", m.Reason)
	}
	hire(t, s, 1)
	hear[*wire.Attached](again)
	again.conn.Close()
	eventually(t, "the job waits", func() bool { return stateOf(s, "a") == wire.JobWaiting })
}

// TestCancelAttached ends a job whose driver is elsewhere.
func TestCancelAttached(t *testing.T) {
	s := start(t, Options{})
	hire(t, s, 1)
	p := party{t, dial(t, "driver", s.Driver)}
	p.say(&wire.Attach{Protocol: wire.Protocol, Job: testJob("abc", "sync")})
	hear[*wire.Attached](p)
	if _, err := s.Cancel("ab"); err != nil {
		t.Fatal(err)
	}
	if m, _ := hear[*wire.Fault](p); m.Err != "cancelled: someone cancelled it" {
		t.Errorf("got %q", m.Err)
	}
	eventually(t, "the job is cancelled", func() bool { return stateOf(s, "abc") == wire.JobCancelled })
	if _, err := s.Cancel("abc"); err == nil || err.Error() != "job abc: has ended already: cancelled" {
		t.Errorf("again: got %v", err)
	}
}

// TestSilence drops a worker that says nothing, and tells the driver's job.
func TestSilence(t *testing.T) {
	s := start(t, Options{})
	hands := hire(t, s, 2)
	eventually(t, "both are there", func() bool { return len(s.View().Workers) == 2 })
	if w := s.View().Workers[0]; w.Name != "worker w01" || w.Address != "10.0.0.1:1" || w.State != "idle" || w.Backend != "cpu" {
		t.Errorf("got %+v", w)
	}
	hands[0].conn.Close()
	eventually(t, "one is there", func() bool { return len(s.View().Workers) == 1 })
	if v := s.View(); v.Workers[0].ID != wire.WorkerID("w02") || v.Totals.WorkersLost != 1 || v.Totals.WorkersJoined != 2 {
		t.Errorf("got %+v, %+v", v.Workers, v.Totals)
	}
	lost := s.View().Lost
	if len(lost) != 1 || lost[0].ID != wire.WorkerID("w01") || lost[0].Name != "worker w01" || lost[0].Why == "" || lost[0].Time.IsZero() || lost[0].State != WorkerLost {
		t.Fatalf("lost: got %+v, want w01 with when and why", lost)
	}
	back := hire(t, s, 1)[0] // w01 is back
	eventually(t, "nobody is lost", func() bool { return len(s.View().Workers) == 2 && len(s.View().Lost) == 0 })
	if err := back.conn.Send(wire.Frame{Message: &wire.Leave{}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it has left", func() bool { return len(s.View().Lost) == 1 })
	v := s.View()
	if got := v.Lost[0]; got.State != WorkerLeft || got.Why != backend.TookLeave || v.Totals.WorkersLeft != 1 || v.Totals.WorkersLost != 1 {
		t.Errorf("after Leave: got %+v, %+v, want it to have left", got, v.Totals)
	}
}

// TestWatch checks that a change is told, and the end as well.
func TestWatch(t *testing.T) {
	s := start(t, Options{})
	changes, stop := s.Watch()
	defer stop()
	hire(t, s, 1)
	for {
		if _, ok := <-changes; !ok {
			t.Fatal("closed before a change")
		}
		if len(s.View().Workers) == 1 {
			break
		}
	}
	go s.Close()
	eventually(t, "the watch is closed", func() bool {
		select {
		case _, ok := <-changes:
			return !ok
		case <-time.After(time.Millisecond):
			return false
		}
	})
}

// TestHostileNames has a worker and a driver with names that would move a terminal: they
// are escaped where they come in.
func TestHostileNames(t *testing.T) {
	const evil = "n\x1b[2J\u009b31m\u202e\nforged"
	s := start(t, Options{State: t.TempDir()})
	p := party{t, dial(t, "worker", s.Worker)}
	first := hello("w1")
	first.Name, first.Version, first.Backend, first.Device, first.Host = evil, evil, "cpu", evil, "h"
	p.say(first)
	d := party{t, dial(t, "driver", s.Driver)}
	job := testJob("j", "sync")
	job.Name = evil
	d.say(&wire.Attach{Protocol: wire.Protocol, Job: job})
	hear[*wire.Welcome](p)
	hear[*wire.Open](p)
	p.say(&wire.Opened{Job: "j", Err: evil})
	eventually(t, "the job has a reason", func() bool {
		j := s.View().Job("j")
		return j != nil && j.Reason != "" && j.Reason != "its driver is gone"
	})
	v := s.View()
	for _, text := range []string{v.Workers[0].Name, v.Workers[0].Version, v.Workers[0].Device, v.Job("j").Name} {
		if plain.Line(text) != text {
			t.Errorf("got raw %q", text)
		}
	}
	if r := v.Job("j").Reason; plain.Text(r) != r {
		t.Errorf("reason: got raw %q", r)
	}
	s.book.Log("j", evil)
	eventually(t, "the log is written", func() bool { return !s.book.Unwritten("j") })
	text, err := s.book.LogTail("j", 1<<16)
	if err != nil || plain.Text(string(text)) != string(text) || strings.Contains(string(text), "\nforged") {
		t.Errorf("log: got %q, %v", text, err)
	}
}
