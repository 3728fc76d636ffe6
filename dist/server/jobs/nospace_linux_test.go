package jobs

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gespann/gespann/dist/wire"
)

// tmpfs mounts a small file system in memory.
func tmpfs(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("mounting a tmpfs: %v", err)
		}
		t.Skipf("%s: mounting a tmpfs needs root: %v", t.Name(), err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// TestNoSpace fills the disk: nothing that was complete is lost, a job is not taken
// by halves, and what could not be written is when there is room.
func TestNoSpace(t *testing.T) {
	folder := tmpfs(t, "size=256k")
	b := open(t, folder)
	id := submit(t, b, "first")
	b.Log(id, "before")
	if err := b.Flush(false); err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(folder, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o666); !NoSpace(err) {
		t.Fatalf("ballast: got %v, want the disk full", err)
	}
	if err := b.Room(1); !NoSpace(err) {
		t.Errorf("room: got %v, want none", err)
	}

	_, err := b.Submit(Submission{Name: "second", Spec: []byte("spec")})
	if !NoSpace(err) || !strings.HasPrefix(err.Error(), "the disk of the coordinator is full, and the job was not taken: ") {
		t.Errorf("submit: got %v", err)
	}
	set(b, id, wire.JobDone)
	b.Log(id, "after")
	if err := b.Flush(true); !NoSpace(err) || b.Err() != err {
		t.Errorf("flush: got %v, and %v, want the disk full", err, b.Err())
	}
	if left, _ := os.ReadDir(filepath.Join(folder, jobsFolder)); len(left) != 1 {
		t.Errorf("got %v, want the first job alone", left)
	}
	if r, err := readRecord(b.path(id, recordFile)); err != nil || r.State != wire.JobQueued {
		t.Errorf("on disk: got %+v, %v, want it as it was", r, err)
	}

	os.Remove(ballast)
	if err := b.Room(1 << 10); err != nil {
		t.Errorf("room: got %v", err)
	}
	if err := b.Flush(false); err != nil || b.Err() != nil {
		t.Fatal(err)
	}
	if r, err := readRecord(b.path(id, recordFile)); err != nil || r.State != wire.JobDone {
		t.Errorf("on disk: got %+v, %v, want it done", r, err)
	}
	f, err := b.OpenLog(id)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if text, _ := io.ReadAll(f); strings.Count(string(text), " before\n") != 1 || strings.Count(string(text), " after\n") != 1 {
		t.Errorf("log: got %q, want each line once", text)
	}
}
