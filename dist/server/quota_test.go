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
	"github.com/gespann/gespann/internal/disk"
	"github.com/gespann/gespann/internal/disk/disktest"
	"github.com/gespann/gespann/internal/outfile"
)

// TestNoRoom runs a job whose file does not fit, each operation of writing it in turn: it
// pauses where the disk or its share of it is full, and goes on by itself; other faults of
// a disk fail it, in their words.
func TestNoRoom(t *testing.T) {
	for _, c := range []struct {
		errno  error
		pauses bool
	}{{syscall.ENOSPC, true}, {syscall.EDQUOT, true}, {syscall.EIO, false}} {
		for at, kind := range []disk.Kind{disk.KindOpen, disk.KindWrite, disk.KindSync, disk.KindRename, disk.KindClose, disk.KindSyncFolder} {
			t.Run(fmt.Sprint(kind, " ", c.errno), func(t *testing.T) {
				var runs atomic.Int32
				s := start(t, Options{
					State: disktest.Folder(t), RetryDisk: 5 * time.Millisecond,
					RunJob: func(_ context.Context, j Submission) error {
						first := runs.Add(1) == 1
						if first {
							stop := disk.Watch(&disktest.Fault{Root: j.Dir, At: at, Err: c.errno})
							defer stop()
						}
						if err := outfile.Bytes(filepath.Join(j.Dir, "saved"), []byte("whole")); err != nil {
							return fmt.Errorf("checkpoint: %w", err)
						}
						if first {
							t.Error("it did not fail")
						}
						return nil
					},
				})
				job, err := s.Submit(t.Context(), Request{Name: "x"})
				if err != nil {
					t.Fatal(err)
				}
				if !c.pauses {
					eventually(t, "the job has failed", func() bool { return stateOf(s, job.ID) == wire.JobFailed })
					if got := s.View().Job(job.ID).Reason; !strings.Contains(got, "input/output error") {
						t.Errorf("reason: %q", got)
					}
					return
				}
				eventually(t, "the job is done", func() bool { return stateOf(s, job.ID) == wire.JobDone })
				if text, err := os.ReadFile(filepath.Join(s.book.RunDir(job.ID), "saved")); string(text) != "whole" || runs.Load() != 2 {
					t.Errorf("%q is there, %v, after %d attempts", text, err, runs.Load())
				}
				log, err := s.LogTail(job.ID, 1<<10)
				if !strings.Contains(string(log), "paused: the disk ") || !strings.Contains(string(log), c.errno.Error()) {
					t.Errorf("log %q, %v, want that it paused", log, err)
				}
			})
		}
	}
}
