package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/wire"
)

// crashed returns a copy of a coordinator's folder as it is now: what one finds that is
// started after this one was killed.
func crashed(t testing.TB, state string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	for i := 0; ; i++ { // what is being written may go on its way meanwhile
		os.RemoveAll(dir)
		err := os.CopyFS(dir, os.DirFS(state))
		if err == nil {
			return dir
		}
		if i == 20 {
			t.Fatal(err)
		}
	}
}

// TestCancelIsDurable cancels jobs in every state, has the coordinator killed as soon as
// the answer is there, and starts another: none of them is back.
func TestCancelIsDurable(t *testing.T) {
	for _, state := range []string{
		wire.JobQueued, wire.JobStarting, wire.JobWaiting, wire.JobRunning, wire.JobPaused,
	} {
		t.Run(state, func(t *testing.T) {
			folder, release := t.TempDir(), make(chan struct{})
			s := start(t, Options{State: folder, RetryDisk: time.Hour, RunJob: func(ctx context.Context, j Submission) error {
				p := party{t, j.Driver}
				switch {
				case state == wire.JobPaused && j.Name == "victim":
					return syscall.ENOSPC
				case state == wire.JobWaiting && j.Name == "victim":
					p.say(&wire.Attach{Protocol: wire.Protocol, Job: testJob("x", "sync")})
				case state == wire.JobRunning && j.Name == "victim":
					p.say(&wire.Attach{Protocol: wire.Protocol, Job: testJob("x", "sync")})
					hear[*wire.Attached](p)
				}
				<-release // as slow as a file that does not answer
				return ctx.Err()
			}})
			if state == wire.JobQueued {
				if _, err := s.Submit(t.Context(), Request{Name: "before"}); err != nil {
					t.Fatal(err)
				}
			}
			if state == wire.JobRunning {
				hire(t, s, 1)
			}
			job, err := s.Submit(t.Context(), Request{Name: "victim"})
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "it is "+state, func() bool { return stateOf(s, job.ID) == state })
			if _, err := visitor(t, s).Cancel(job.ID); err != nil {
				t.Fatal(err)
			}
			left := crashed(t, folder)
			close(release)
			s.Close()
			var began atomic.Int32
			again := start(t, Options{State: left, RunJob: func(_ context.Context, j Submission) error {
				if j.Name == "victim" {
					began.Add(1)
				}
				return nil
			}})
			eventually(t, "others are done", func() bool {
				r, err := again.book.Find(job.ID)
				return err == nil && r.State == wire.JobCancelled && len(again.book.Queue()) == 0
			})
			if n := began.Load(); n != 0 {
				t.Errorf("it began %d times after it was cancelled", n)
			}
		})
	}
}

// TestCancelDriverElsewhere cancels jobs whose drivers are elsewhere, while they are
// there, and when they are lost. A driver that comes back is told so, by the coordinator
// that was asked and by the next.
func TestCancelDriverElsewhere(t *testing.T) {
	refused := func(t *testing.T, s *Server) {
		t.Helper()
		p := party{t, dial(t, "driver", s.Driver)}
		p.say(&wire.Attach{Protocol: wire.Protocol, Job: testJob("elsewhere", "sync")})
		if m, _ := hear[*wire.Fault](p); m.Err != "job elsewhere: was cancelled" {
			t.Errorf("attaching again: got %q", m.Err)
		}
	}
	for _, lost := range []bool{false, true} {
		t.Run(fmt.Sprint("lost ", lost), func(t *testing.T) {
			folder := t.TempDir()
			s := start(t, Options{State: folder})
			p := party{t, dial(t, "driver", s.Driver)}
			p.say(&wire.Attach{Protocol: wire.Protocol, Job: testJob("elsewhere", "sync")})
			hear[*wire.Queued](p)
			eventually(t, "it waits", func() bool { return stateOf(s, "elsewhere") == wire.JobWaiting })
			if lost {
				eventually(t, "it is on disk", func() bool {
					_, err := os.Stat(filepath.Join(folder, "jobs", "elsewhere", "job.json"))
					return err == nil
				})
				folder = crashed(t, folder)
				s.Close()
				s = start(t, Options{State: folder})
				if got := stateOf(s, "elsewhere"); got != wire.JobLost {
					t.Fatalf("got %s, want it lost", got)
				}
			}
			if _, err := visitor(t, s).Cancel("elsewhere"); err != nil {
				t.Fatal(err)
			}
			left := crashed(t, folder)
			eventually(t, "it has ended", func() bool { return stateOf(s, "elsewhere") == wire.JobCancelled })
			refused(t, s)
			s.Close()
			refused(t, start(t, Options{State: left}))
		})
	}
}

// TestCancelNotOnDisk has the disk fail: the answer says that the job is cancelled and
// that it would be back, and once more asked for, what is missing is written.
func TestCancelNotOnDisk(t *testing.T) {
	folder, g := t.TempDir(), newStage("a")
	s := start(t, Options{State: folder, RunJob: g.run})
	job, err := s.Submit(t.Context(), Request{Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it has begun", func() bool { return g.began() == "a" && !s.book.Urgent() })
	path := filepath.Join(folder, "jobs", job.ID)
	if err := os.Rename(path, path+".aside"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o666); err != nil { // nothing can be written below it
		t.Fatal(err)
	}
	_, err = s.Cancel(job.ID)
	var late *NotOnDiskError
	if !errors.As(err, &late) || !strings.HasPrefix(late.Error(), "cancelled, but that is not on disk yet: ") {
		t.Errorf("got %v, want that it is not on disk", err)
	}
	c := visitor(t, s)
	if m, err := c.Cancel(job.ID); err != nil || !strings.HasPrefix(m.Note, "cancelled, but that is not on disk yet: ") {
		t.Errorf("got %+v, %v, want a note", m, err)
	}
	eventually(t, "it has ended", func() bool { return stateOf(s, job.ID) == wire.JobCancelled })
	if err := errors.Join(os.Remove(path), os.Rename(path+".aside", path)); err != nil {
		t.Fatal(err)
	}
	if m, err := c.Cancel(job.ID); err == nil || err.Error() != "job "+job.ID+": has ended already: cancelled" {
		t.Errorf("got %+v, %v, want it on disk", m, err)
	}
	left := crashed(t, folder)
	s.Close()
	again := start(t, Options{State: left, RunJob: g.run})
	if r, err := again.book.Find(job.ID); err != nil || r.State != wire.JobCancelled {
		t.Errorf("got %s, %v, want it cancelled", r.State, err)
	}
}

// TestPruneIsDurable removes jobs and has the coordinator killed: they are gone.
func TestPruneIsDurable(t *testing.T) {
	folder := t.TempDir()
	s := start(t, Options{State: folder, RunJob: func(context.Context, Submission) error { return nil }})
	job, err := s.Submit(t.Context(), Request{Name: "a", Owner: dist.Principal{Roles: dist.AllRoles}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(crashed(t, folder), "jobs", job.ID, "spec.yaml")); err != nil {
		t.Errorf("submitted: got %v, want it on disk", err)
	}
	eventually(t, "it is done", func() bool { return stateOf(s, job.ID) == wire.JobDone })
	if _, err := visitor(t, s).Prune(0); err != nil {
		t.Fatal(err)
	}
	left := crashed(t, folder)
	s.Close()
	if all := start(t, Options{State: left}).book.All(); len(all) != 0 {
		t.Errorf("got %v, want none", all)
	}
}
