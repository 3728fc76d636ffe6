package server

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/server/jobs"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/clock"
)

// hanging is a training loop that does not look at its context, until it is released.
func hanging(others func(context.Context, Submission) error) (run func(context.Context, Submission) error, begun chan string, end func()) {
	release := make(chan struct{})
	begun = make(chan string, 10)
	return func(ctx context.Context, j Submission) error {
		if !strings.HasPrefix(j.Name, "hangs") {
			return others(ctx, j)
		}
		begun <- j.ID
		<-release
		j.Tell("a late word")
		return nil
	}, begun, func() { close(release) }
}

// logOf returns what the log of a job has.
func logOf(t *testing.T, s *Server, id string) string {
	t.Helper()
	var text strings.Builder
	if err := visitor(t, s).Logs(id, false, &text); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// TestHangsAtCancel cancels a job whose training loop never ends: it is cancelled, and the
// queue goes on.
func TestHangsAtCancel(t *testing.T) {
	run, begun, release := hanging(func(context.Context, Submission) error { return nil })
	defer release()
	s := start(t, Options{State: t.TempDir(), RunJob: run, Grace: 10 * time.Millisecond})
	var ids []string
	for _, name := range []string{"hangs", "next"} {
		job, err := s.Submit(t.Context(), Request{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, job.ID)
	}
	<-begun
	if _, err := s.Cancel(ids[0]); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is cancelled", func() bool { return stateOf(s, ids[0]) == wire.JobCancelled })
	eventually(t, "the next is done", func() bool { return stateOf(s, ids[1]) == wire.JobDone })
	eventually(t, "the log says so", func() bool { return strings.Contains(logOf(t, s, ids[0]), "was left behind") })
}

// TestHangsAtStop stops a coordinator whose job never ends: it stops, and the job is in the
// queue of the next one.
func TestHangsAtStop(t *testing.T) {
	noneLeft(t)
	run, begun, release := hanging(nil)
	defer release()
	state := t.TempDir()
	s, err := New(Options{State: state, RunJob: run, Leave: 10 * time.Millisecond, Grace: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	job, err := s.Submit(t.Context(), Request{Name: "hangs", Owner: dist.Principal{Account: true}})
	if err != nil {
		t.Fatal(err)
	}
	<-begun
	began := time.Now()
	if _, err := s.Cancel("no such job"); err == nil {
		t.Error("cancelled what is not there")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("closed after %v", took)
	}
	book, err := jobs.Open(state, clock.System{}, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	r, err := book.Find(job.ID)
	if err != nil || r.State != wire.JobQueued || !r.By.Account {
		t.Errorf("got %+v, %v, want it queued, and of the account", r, err)
	}
	f, err := book.OpenLog(job.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text := make([]byte, 1<<16)
	n, _ := f.Read(text)
	if got := string(text[:n]); !strings.Contains(got, "was left behind") || !strings.Contains(got, "goes on when it starts again") {
		t.Errorf("log: got\n%s", got)
	}
}

// TestHangsInCheck submits a job that is never checked, and leaves.
func TestHangsInCheck(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	s := start(t, Options{State: t.TempDir(), RunJob: newStage().run, Check: func(context.Context, Request) (Plan, error) {
		<-release
		return Plan{}, nil
	}})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Submit(ctx, Request{}); err == nil || len(s.book.All()) > 0 {
		t.Errorf("got %v and %d jobs, want an error and none", err, len(s.book.All()))
	}
}

// TestOwn checks that workers are told whose a job is by the coordinator, not by its
// driver.
func TestOwn(t *testing.T) {
	for _, account := range []bool{true, false} {
		t.Run(fmt.Sprint(account), func(t *testing.T) {
			s := start(t, Options{})
			w := party{t, dial(t, "worker", s.Worker)}
			w.say(hello("w"))
			hear[*wire.Welcome](w)
			d := party{t, dial(t, "driver", func(ctx context.Context, c dist.Conn, who dist.Principal) error {
				who.Account = account
				return s.Driver(ctx, c, who)
			})}
			job := testJob("j", "sync")
			job.Own = !account
			d.say(&wire.Attach{Protocol: wire.Protocol, Job: job})
			if m, _ := hear[*wire.Open](w); m.Job.Own != account {
				t.Errorf("own: got %v, want %v", m.Job.Own, account)
			}
			d.conn.Close()
		})
	}
}
