package server

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gespann/gespann/dist/wire"
)

// TestNoSpace fills the coordinator's disk while a job runs: the job pauses, the
// coordinator lives, and goes on when there is room.
func TestNoSpace(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=3m"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("mounting a tmpfs: %v", err)
		}
		t.Skipf("TestNoSpace: mounting a tmpfs needs root: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 3<<19), 0o666); err != nil {
		t.Fatal(err)
	}
	var runs atomic.Int32
	s := start(t, Options{
		State: dir, RetryDisk: 10 * time.Millisecond,
		RunJob: func(_ context.Context, j Submission) error {
			runs.Add(1)
			if err := os.WriteFile(filepath.Join(j.Dir, fmt.Sprint("saved", runs.Load())), make([]byte, 2<<20), 0o666); err != nil {
				return fmt.Errorf("checkpoint: %w", err)
			}
			return nil
		},
	})
	job, err := s.Submit(t.Context(), Request{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the job pauses", func() bool { return stateOf(s, job.ID) == wire.JobPaused })
	reason := s.View().Job(job.ID).Reason
	if !strings.HasPrefix(reason, "the disk of the coordinator is full: checkpoint: write ") ||
		!strings.HasSuffix(reason, ": no space left on device\nhint: make room; the job goes on by itself") {
		t.Errorf("reason: got %q", reason)
	}
	if _, err := s.Submit(t.Context(), Request{Name: "another", Spec: make([]byte, 1<<20)}); err == nil {
		t.Error("a job was taken for which there is no room")
	}
	if n := runs.Load(); n != 1 {
		t.Errorf("%d attempts without room, want 1", n)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=16m"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the job is done", func() bool { return stateOf(s, job.ID) == wire.JobDone })
	if r := s.View().Job(job.ID); r.Reason != "" {
		t.Errorf("reason: got %q, want none", r.Reason)
	}
}
