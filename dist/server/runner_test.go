package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gespann/gespann/dist/server/client"
	"github.com/gespann/gespann/dist/wire"
)

// visit connects a client.
func visitor(t testing.TB, s *Server) *client.Client {
	t.Helper()
	c, err := client.New(dial(t, "client", s.Client), "v1")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// loop is a training loop for tests: it trains two epochs with the workers that
// there are, and writes a model.
func loop(t testing.TB) func(context.Context, Submission) error {
	return func(ctx context.Context, j Submission) error {
		j.Tell("begins with " + string(j.Spec))
		p := party{t, j.Driver}
		drive(p, testJob("of the driver", "sync"), 2)
		p.say(&wire.Detach{})
		if err := os.Mkdir(filepath.Join(j.Dir, "checkpoints"), 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(j.Dir, "checkpoints", "1"), make([]byte, 3*wire.MaxPiece/2), 0o666); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(j.Dir, "model"), []byte("weights"), 0o666)
	}
}

// TestSubmit has a client submit a job, follow its log and fetch its files.
func TestSubmit(t *testing.T) {
	s := start(t, Options{
		State: t.TempDir(), Version: "v2", RunJob: loop(t),
		Check: func(context.Context, Request) (Plan, error) {
			return Plan{Name: "small", Epochs: 2, Spec: []byte("a spec"), Data: "/t.csv: 9 rows"}, nil
		},
	})
	c := visitor(t, s)
	if c.Version != "v2" {
		t.Errorf("version: got %q, want v2", c.Version)
	}
	job, err := c.Submit("", []byte("a relative spec"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if job.Data != "/t.csv: 9 rows" {
		t.Errorf("data: got %q, want that of the plan", job.Data)
	}
	if !strings.HasPrefix(job.Job, "small-") || job.Position != 1 {
		t.Errorf("got %+v, want place 1 and an ID from the plan's name", job)
	}
	hire(t, s, 2)
	var log bytes.Buffer
	if err := c.Logs(job.Job, true, &log); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{" begins with a spec\n", " has opened "} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log: got\n%swant %q in it", &log, want)
		}
	}
	status, err := c.Show("small")
	if err != nil {
		t.Fatal(err)
	}
	if status.State != wire.JobDone || status.ID != job.Job || status.Epochs != 2 ||
		status.Ended.Before(status.Started) || status.Started.IsZero() {
		t.Errorf("status: got %+v", status)
	}
	eventually(t, "the page has it", func() bool { return stateOf(s, job.Job) == wire.JobDone })
	checkDone(t, s.View().Job(job.Job))

	dir := t.TempDir()
	var names []string
	end, err := c.Fetch(job.Job, dir, func(path string, size int64) { names = append(names, fmt.Sprint(path, " ", size)) })
	if err != nil || end.Files != 2 {
		t.Fatalf("fetch: got %+v, %v", end, err)
	}
	if want := fmt.Sprint("[checkpoints/1 ", 3*wire.MaxPiece/2, " model 7]"); fmt.Sprint(names) != want {
		t.Errorf("files: got %v, want %v", names, want)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "model")); string(text) != "weights" || err != nil {
		t.Errorf("model: got %q, %v", text, err)
	}
	if removed, err := c.Prune(0); err != nil || len(removed) != 1 {
		t.Errorf("prune: got %v, %v", removed, err)
	}
	if all, err := c.List(); err != nil || len(all) != 0 {
		t.Errorf("list: got %v, %v, want none", all, err)
	}
}

// TestFetchNothing checks that a job without files says how it is, in place of an
// empty folder.
func TestFetchNothing(t *testing.T) {
	g := newStage("a")
	s := start(t, Options{State: t.TempDir(), RunJob: g.run})
	c := visitor(t, s)
	var ids []string
	for _, name := range []string{"a", "b"} {
		job, err := c.Submit(name, []byte("spec"), nil)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, job.Job)
	}
	eventually(t, "a has begun", func() bool { return g.began() == "a" })
	refused := func(id, want string) {
		t.Helper()
		dir := filepath.Join(t.TempDir(), "fetched")
		_, err := c.Fetch(id, dir, nil)
		var no *client.RefusedError
		if !errors.As(err, &no) || no.Reason != "job "+id+": "+want {
			t.Errorf("got %v, want %s", err, want)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Error("there is a folder")
		}
	}
	refused(ids[0], "starting: nothing has been saved yet")
	refused(ids[1], "queued, place 1: nothing has been saved yet")
	g.ends["a"] <- errors.New("no luck")
	eventually(t, "a has failed", func() bool { return stateOf(s, ids[0]) == wire.JobFailed })
	refused(ids[0], "failed: nothing has been saved: no luck")
}

// A stage lets a test decide when its jobs end, and how.
type stage struct {
	mu   sync.Mutex
	runs []string // names, in the order in which they began
	ends map[string]chan error
}

func (g *stage) run(ctx context.Context, j Submission) error {
	g.mu.Lock()
	g.runs = append(g.runs, j.Name)
	end := g.ends[j.Name]
	g.mu.Unlock()
	select {
	case err := <-end:
		return err
	case <-ctx.Done():
		return errors.New("interrupted, and saved")
	}
}

func (g *stage) began() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return strings.Join(g.runs, " ")
}

func newStage(names ...string) *stage {
	g := &stage{ends: map[string]chan error{}}
	for _, name := range names {
		g.ends[name] = make(chan error, 1)
	}
	return g
}

// states lists the names and states of all jobs, as a client sees them.
func states(t testing.TB, c *client.Client) string {
	t.Helper()
	all, err := c.List()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, j := range all {
		out = append(out, j.Name+":"+j.State)
	}
	return strings.Join(out, " ")
}

// TestQueue runs jobs in their order, cancels one that waits and one that runs,
// and lets one fail.
func TestQueue(t *testing.T) {
	g := newStage("a", "b", "c", "d")
	s := start(t, Options{State: t.TempDir(), RunJob: g.run})
	c := visitor(t, s)
	for _, name := range []string{"a", "b", "c", "d"} {
		if _, err := c.Submit(name, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "a runs", func() bool { return states(t, c) == "a:starting b:queued c:queued d:queued" })
	if _, err := c.Cancel("c-"); err != nil {
		t.Fatal(err)
	}
	g.ends["a"] <- errors.New("bad luck")
	eventually(t, "b runs", func() bool { return states(t, c) == "b:starting d:queued a:failed c:cancelled" })
	if status, _ := c.Show("a-"); status.Reason != "bad luck" {
		t.Errorf("a: got %q, want its error", status.Reason)
	}
	if _, err := c.Cancel("b-"); err != nil {
		t.Fatal(err)
	}
	g.ends["d"] <- nil
	eventually(t, "all have ended", func() bool { return states(t, c) == "d:done b:cancelled a:failed c:cancelled" })
	if got := g.began(); got != "a b d" {
		t.Errorf("began %s, want a b d", got)
	}
	if v := s.View().Totals; v.JobsDone+v.JobsFailed > 2 {
		t.Errorf("totals: got %+v", v)
	}
}

// TestRestart stops a coordinator while a job runs, and another waits: both go on
// with the next coordinator, in order.
func TestRestart(t *testing.T) {
	g := newStage("a", "b")
	state := t.TempDir()
	s := start(t, Options{State: state, RunJob: g.run})
	for _, name := range []string{"a", "b"} {
		if _, err := s.Submit(t.Context(), Request{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "a runs", func() bool { return g.began() == "a" })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = start(t, Options{State: state, RunJob: g.run})
	eventually(t, "a runs again", func() bool { return g.began() == "a a" })
	c := visitor(t, s)
	if got := states(t, c); got != "a:starting b:queued" {
		t.Errorf("got %s", got)
	}
	g.ends["a"] <- nil
	g.ends["b"] <- nil
	eventually(t, "both are done", func() bool { return states(t, c) == "b:done a:done" })
}

// TestPanic shows that a training loop that panics fails its job alone.
func TestPanic(t *testing.T) {
	s := start(t, Options{State: t.TempDir(), RunJob: func(context.Context, Submission) error { panic("oops") }})
	job, err := s.Submit(t.Context(), Request{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it has failed", func() bool { return stateOf(s, job.ID) == wire.JobFailed })
	if got := s.View().Job(job.ID).Reason; got != "the training loop panicked: oops" {
		t.Errorf("got %q", got)
	}
}

// TestStubborn cancels a job whose training loop waits for the coordinator, and
// looks at nothing else.
func TestStubborn(t *testing.T) {
	begun := make(chan struct{})
	s := start(t, Options{
		State: t.TempDir(), Grace: 10 * time.Millisecond,
		RunJob: func(_ context.Context, j Submission) error {
			close(begun)
			_, err := j.Driver.Recv()
			return err
		},
	})
	job, err := s.Submit(t.Context(), Request{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	<-begun
	if _, err := s.Cancel(job.ID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is cancelled", func() bool { return stateOf(s, job.ID) == wire.JobCancelled })
}

// TestRefusals shows what clients hear when something cannot be.
func TestRefusals(t *testing.T) {
	s := start(t, Options{
		State: t.TempDir(), RunJob: newStage().run,
		Check: func(_ context.Context, q Request) (Plan, error) {
			if string(q.Spec) == "bad" {
				return Plan{}, errors.New("spec.yaml:1:1: got bad")
			}
			return Plan{}, nil
		},
	})
	c := visitor(t, s)
	for what, err := range map[string]error{
		"spec.yaml:1:1: got bad":                                     second(c.Submit("x", []byte("bad"), nil)),
		"job \"none\": there is none\nhint: gespann jobs lists them": second(c.Show("none")),
		"job \"no\": there is none\nhint: gespann jobs lists them":   second(c.Cancel("no")),
	} {
		var refused *client.RefusedError
		if !errors.As(err, &refused) || refused.Reason != what {
			t.Errorf("got %v, want %s", err, what)
		}
	}
}

// TestNoFolder submits a job to a coordinator that keeps none.
func TestNoFolder(t *testing.T) {
	if err := second(visitor(t, start(t, Options{})).Submit("x", nil, nil)); err == nil ||
		err.Error() != "this coordinator keeps no jobs: it was started without a folder for them" {
		t.Errorf("got %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

// TestLeave lets a client go that follows a log.
func TestLeave(t *testing.T) {
	g := newStage("x")
	s := start(t, Options{State: t.TempDir(), RunJob: g.run})
	job, err := s.Submit(t.Context(), Request{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	conn := dial(t, "client", s.Client)
	c, err := client.New(conn, "")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- c.Logs(job.ID, true, new(bytes.Buffer)) }()
	eventually(t, "it is there", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.peers) == 2 // the client and the job's driver
	})
	conn.Close()
	if err := <-done; err == nil {
		t.Error("got nil, want the connection's end")
	}
	eventually(t, "it is gone", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.peers) == 1
	})
}

// TestPass submits a job that wants more workers than there are, and a small one behind
// it: the small one goes first, and both say why, wherever one looks.
func TestPass(t *testing.T) {
	g := newStage("large", "small", "next")
	s := start(t, Options{State: t.TempDir(), RunJob: g.run, Pass: 50 * time.Millisecond,
		Check: func(_ context.Context, q Request) (Plan, error) {
			return Plan{Epochs: 1, Workers: map[string]int{"large": 3, "small": 1}[string(q.Spec)]}, nil
		}})
	hire(t, s, 1)
	eventually(t, "the worker is there", func() bool { return len(s.View().Workers) == 1 })
	c := visitor(t, s)
	large, err := c.Submit("large", []byte("large"), nil)
	if err != nil {
		t.Fatal(err)
	}
	const why = "waiting for workers: it wants 3, and 1 is connected; jobs that want fewer go first"
	if large.Note != why {
		t.Errorf("submit: got %q, want %q", large.Note, why)
	}
	small, err := c.Submit("small", []byte("small"), nil)
	if err != nil || small.Note != "" {
		t.Fatalf("submit: got %+v, %v", small, err)
	}
	eventually(t, "the small one runs", func() bool { return g.began() == "small" })
	eventually(t, "the page says why", func() bool {
		j := s.View().Job(large.Job)
		return j != nil && j.Reason == why
	})
	if j, err := c.Show(large.Job); err != nil || j.Reason != why || j.Position != 1 || j.Wants != 3 {
		t.Errorf("show: got %+v, %v", j, err)
	}
	var log bytes.Buffer
	if err := c.Logs(large.Job, false, &log); err != nil || !strings.Contains(log.String(), why) {
		t.Errorf("log: got %q, %v", &log, err)
	}
	hire(t, s, 3)
	if _, err := c.Submit("next", []byte("small"), nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all are there", func() bool { return len(s.View().Workers) == 3 })
	g.ends["small"] <- nil
	eventually(t, "the large one is next", func() bool { return g.began() == "small large" })
	g.ends["large"] <- nil
	g.ends["next"] <- nil
	eventually(t, "all are done", func() bool { return s.View().Totals.JobsDone == 3 })
}

// TestPassBarred submits a job that wants two workers, of which one cannot open it, and
// another behind it: the first says why it waits, and the second goes first.
func TestPassBarred(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for seconds")
	}
	run := func(_ context.Context, j Submission) error {
		job := testJob("of the driver", "sync")
		job.Name, job.Workers = j.Name, map[string]int{"barred": 2, "other": 1}[j.Name]
		if err := j.Driver.Send(wire.Frame{Message: &wire.Attach{Protocol: wire.Protocol, Job: job}}); err != nil {
			return err
		}
		for {
			f, err := j.Driver.Recv()
			if err != nil {
				return err
			}
			if _, ok := f.Message.(*wire.Attached); ok {
				return j.Driver.Send(wire.Frame{Message: &wire.Detach{}})
			}
		}
	}
	s := start(t, Options{State: t.TempDir(), RunJob: run, Pass: 50 * time.Millisecond, Grace: 10 * time.Millisecond})
	hire(t, s, 2)
	eventually(t, "the workers are there", func() bool { return len(s.View().Workers) == 2 })
	c := visitor(t, s)
	barred, err := c.Submit("barred", []byte("spec"), nil)
	if err != nil {
		t.Fatal(err)
	}
	other, err := c.Submit("other", []byte("spec"), nil)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other is done", func() bool { return stateOf(s, other.Job) == wire.JobDone })
	eventually(t, "the reason is said", func() bool {
		j, err := c.Show(barred.Job)
		return err == nil && j.State == wire.JobWaiting && strings.Contains(j.Reason, " cannot take part: data: other rows")
	})
	if _, err := s.Cancel(barred.Job); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is cancelled", func() bool { return stateOf(s, barred.Job) == wire.JobCancelled })
}

// TestTooManyFiles has a job find no file to open: that passes, and so the job pauses.
func TestTooManyFiles(t *testing.T) {
	for _, c := range []struct {
		errno syscall.Errno
		want  string
	}{
		{syscall.EMFILE, "the coordinator has too many files open: checkpoint x: too many open files\n" +
			"hint: raise its limit (ulimit -n), or have fewer connections; the job goes on by itself"},
		{syscall.ENFILE, "the machine of the coordinator has too many files open: checkpoint x: too many open files in system\n" +
			"hint: end what has them open; the job goes on by itself"},
	} {
		t.Run(c.errno.Error(), func(t *testing.T) {
			var runs atomic.Int32
			s := start(t, Options{
				State: t.TempDir(), RetryDisk: time.Second,
				RunJob: func(context.Context, Submission) error {
					if runs.Add(1) == 1 {
						return fmt.Errorf("checkpoint x: %w", c.errno)
					}
					return nil
				},
			})
			job, err := s.Submit(t.Context(), Request{Name: "x"})
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "the job pauses", func() bool { return stateOf(s, job.ID) == wire.JobPaused })
			if got := s.View().Job(job.ID).Reason; got != c.want {
				t.Errorf("reason: got %q, want %q", got, c.want)
			}
			eventually(t, "the job is done", func() bool { return stateOf(s, job.ID) == wire.JobDone })
		})
	}
}
