// Package disktest records the operations of package disk, has them fail, and makes the
// folders that a loss of power could leave behind.
package disktest

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gespann/gespann/internal/disk"
)

// mark is the Kind of what Mark records.
const mark disk.Kind = "mark"

// A Recorder remembers the operations below a folder. It does them, except that nothing
// waits for a disk.
type Recorder struct {
	Root string

	mu  sync.Mutex
	ops []disk.Op
}

// Record records the operations below a folder until stop is called, at the latest by the
// end of the test.
func Record(t testing.TB, root string) (r *Recorder, stop func()) {
	r = &Recorder{Root: root}
	stop = disk.Watch(r)
	t.Cleanup(stop)
	return r, stop
}

// Do implements disk.Watcher.
func (r *Recorder) Do(op disk.Op, do func(disk.Op) error) error {
	if !below(r.Root, op.Path) {
		return do(op)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if op.Kind != disk.KindSync && op.Kind != disk.KindSyncFolder {
		if err := do(op); err != nil {
			return err
		}
	}
	op.Data = bytes.Clone(op.Data)
	r.ops = append(r.ops, op)
	return nil
}

// Mark notes what is confirmed by now, for Crash.
func (r *Recorder) Mark(confirmed string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, disk.Op{Kind: mark, Path: confirmed})
}

// Len returns how many operations there were.
func (r *Recorder) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ops)
}

// Folder returns a temporary folder, in memory where there is such a file system: disks
// are slow at syncing.
func Folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "gespann-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func below(root, path string) bool {
	path = filepath.Clean(path)
	return path == root || strings.HasPrefix(path, root+string(filepath.Separator))
}

// A Fault has one operation below a folder fail, once.
type Fault struct {
	Root string
	At   int   // counts the operations, from 0
	Err  error // of the system

	mu   sync.Mutex
	seen int
	op   disk.Op
	hit  bool
}

// Do implements disk.Watcher. A write is done by half before it fails, as it is where a
// disk becomes full; nothing waits for a disk.
func (f *Fault) Do(op disk.Op, do func(disk.Op) error) error {
	if !below(f.Root, op.Path) {
		return do(op)
	}
	f.mu.Lock()
	n := f.seen
	f.seen++
	if n == f.At {
		f.op, f.hit = op, true
	}
	f.mu.Unlock()
	switch {
	case n == f.At && op.Kind == disk.KindWrite:
		op.Data = op.Data[:len(op.Data)/2]
		if err := do(op); err != nil {
			return err
		}
		return f.Err
	case n == f.At:
		return f.Err
	case op.Kind == disk.KindSync, op.Kind == disk.KindSyncFolder:
		return nil
	}
	return do(op)
}

// Hit returns the operation that has failed, if there were as many.
func (f *Fault) Hit() (disk.Op, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.op, f.hit
}
