package train

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/gespann/gespann/internal/disk"
	"github.com/gespann/gespann/internal/disk/disktest"
)

// powerSpec saves within epochs and at their ends, prunes, and puts the best weights back.
const powerSpec = `
model: [{dense: {units: 4, activation: relu}}, {dense: {units: 3}}]
optimizer: {sgd: {learning_rate: 0.3, momentum: 0.9}}
train:
  epochs: 4
  accumulate: 4
  checkpoint_every: 2 steps
  keep_checkpoints: 1
  early_stopping: {patience: 9, monitor: val_loss}
`

// TestPowerLoss loses power after each operation of a run, in every way in which what was
// not synced may be lost. The run goes on from a checkpoint that is no older than the
// latest of which it was told that it is saved, and ends with the same bits.
func TestPowerLoss(t *testing.T) {
	whole := newTestRun(t, powerSpec)
	want := whole.outcome(whole.must())
	root := filepath.Join(disktest.Folder(t), "root")
	if err := os.Mkdir(root, 0o777); err != nil {
		t.Fatal(err)
	}
	r := newTestRun(t, powerSpec)
	r.spec.Train.Dir = filepath.Join(root, "new", "runs")
	recorder, stop := disktest.Record(t, root)
	if _, err := r.run(context.Background(), time.Nanosecond, func(e Event) {
		if e, ok := e.(Saved); ok {
			recorder.Mark(strconv.FormatInt(e.Step, 10))
		}
	}); err != nil {
		t.Fatal(err)
	}
	stop()
	every := 1
	if testing.Short() {
		every = 9
	}
	crashes := recorder.Crashes(every)
	t.Logf("%d operations, %d states", recorder.Len(), len(crashes))
	parent := disktest.Folder(t)
	for i, c := range crashes {
		after := filepath.Join(parent, fmt.Sprint(i))
		c.Make(t, after)
		again := newTestRun(t, powerSpec)
		again.spec.Train.Dir = filepath.Join(after, "new", "runs")
		if path := filepath.Join(again.spec.Train.Dir, filepath.Base(r.path)); isRun(path) == nil {
			again.path = path
		} else if len(c.Confirmed) > 0 {
			t.Fatalf("%v: there is no run, and %v steps were saved: %v", c, c.Confirmed, isRun(path))
		}
		from := int64(0)
		result, err := again.run(context.Background(), 0, func(e Event) {
			if e, ok := e.(Started); ok {
				from = int64(e.Epoch*e.StepsPerEpoch + e.Step)
			}
			if e, ok := e.(Note); ok {
				t.Errorf("%v: %s", c, e.Text)
			}
		})
		if err != nil {
			t.Fatalf("%v: %v", c, err)
		}
		for _, saved := range c.Confirmed {
			if n, _ := strconv.ParseInt(saved, 10, 64); from < n {
				t.Errorf("%v: goes on from step %d, and %d were saved", c, from, n)
			}
		}
		same(t, c.String(), again.outcome(result), want)
		if err := os.RemoveAll(after); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFaults has each operation of a run fail in turn, as full and broken disks do. The run
// stops and says why, and goes on when the disk is as it should be, with the same bits.
func TestFaults(t *testing.T) {
	whole := newTestRun(t, powerSpec)
	want := whole.outcome(whole.must())
	errnos := []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.EROFS}
	for i, errno := range errnos {
		stride := 1 + 4*i // the others take the same ways
		if testing.Short() {
			stride = 7 + 20*i
		}
		for n := i; ; n += stride {
			r := newTestRun(t, powerSpec)
			fault := &disktest.Fault{Root: r.spec.Train.Dir, At: n, Err: errno}
			stop := disk.Watch(fault)
			result, err := r.try(t)
			stop()
			op, hit := fault.Hit()
			if !hit {
				if n < 50 {
					t.Errorf("only %d operations", n)
				}
				break
			}
			what := fmt.Sprintf("%v at operation %d, %s %s", errno, n, op.Kind, filepath.Base(op.Path))
			harmless := op.Kind == disk.KindClose || errno == syscall.EROFS && op.Kind == disk.KindOpen
			if !errors.Is(err, errno) && !(harmless && err == nil) {
				t.Errorf("%s: got %v, want it told", what, err)
			}
			if err != nil {
				if isRun(filepath.Join(r.spec.Train.Dir, "test")) != nil {
					r.path = "" // none began
				}
				result = r.must()
			}
			same(t, what, r.outcome(result), want)
		}
	}
}

// try is run, with the errors of making the directory.
func (r *testRun) try(t *testing.T) (result *Result, err error) {
	set := testSet()
	dir, err := Create(r.spec, set)
	if err != nil {
		return nil, err
	}
	r.path = dir.Path
	if err := dir.Close(); err != nil {
		t.Fatal(err)
	}
	return r.run(context.Background(), time.Nanosecond, nil)
}
