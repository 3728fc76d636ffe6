package jobs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/clock/clocktest"
	"github.com/gespann/gespann/internal/disk"
	"github.com/gespann/gespann/internal/disk/disktest"
)

// life submits, runs, cancels and removes jobs in a folder that is not there yet, and tells
// what is confirmed: "NAME STATE", "NAME going" when it is to be removed, and "NAME gone".
func life(t *testing.T, folder string, confirm func(string)) {
	t.Helper()
	b, err := Open(folder, clocktest.At(noon, 0), func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ids := map[string]string{}
	put := func(name string) {
		r, err := b.Submit(Submission{Name: name, Spec: []byte("spec of " + name), Origin: &wire.Origin{File: name + ".yaml"}})
		must(err)
		ids[name] = r.ID
		confirm(name + " queued")
	}
	turn := func(name, state string) {
		set(b, ids[name], state)
		b.Log(ids[name], "is "+state)
		must(b.Flush(true))
		if wire.Ended(state) {
			confirm(name + " " + state)
		}
	}
	put("a")
	put("b")
	turn("a", wire.JobStarting)
	turn("a", wire.JobRunning)
	c := (&Curve{}).Clone()
	c.AddTrain(Point{Step: 3, Rows: 4})
	b.SetCurve(ids["a"], c)
	b.Attach("elsewhere", "elsewhere", dist.Principal{})
	must(b.Flush(false))
	turn("b", wire.JobCancelled)
	turn("a", wire.JobDone)
	put("c")
	confirm("b going")
	removed, err := b.Prune(1, func(*Record) bool { return true })
	must(err)
	if !slices.Equal(removed, []string{ids["b"]}) {
		t.Errorf("removed %v, want b", removed)
	}
	confirm("b gone")
}

// TestPowerLoss loses power after each operation of a coordinator's book, in every way in
// which what was not synced may be lost: the folder opens without a warning, what was
// confirmed is so, and no job is there by halves.
func TestPowerLoss(t *testing.T) {
	folder := filepath.Join(disktest.Folder(t), "root")
	if err := os.Mkdir(folder, 0o777); err != nil {
		t.Fatal(err)
	}
	r, stop := disktest.Record(t, folder)
	life(t, filepath.Join(folder, "new", "state"), r.Mark)
	stop()
	every := 1
	if testing.Short() {
		every = 5
	}
	crashes := r.Crashes(every)
	t.Logf("%d operations, %d states", r.Len(), len(crashes))
	parent := disktest.Folder(t)
	for i, c := range crashes {
		after := filepath.Join(parent, fmt.Sprint(i))
		c.Make(t, after)
		reopened(t, c, filepath.Join(after, "new", "state"))
		if err := os.RemoveAll(after); err != nil {
			t.Fatal(err)
		}
	}
}

// reopened opens what is left.
func reopened(t *testing.T, c *disktest.Crash, folder string) {
	t.Helper()
	b, err := Open(folder, clocktest.At(noon, 0), func(err error) { t.Errorf("%v: %v", c, err) })
	if err != nil {
		t.Fatalf("%v: %v", c, err)
	}
	defer b.Close()
	got := map[string]string{}
	for _, r := range b.All() {
		if _, twice := got[r.Name]; twice {
			t.Errorf("%v: %s is there twice", c, r.Name)
		}
		got[r.Name] = r.State
		if !r.Submitted {
			continue
		}
		spec, err := b.Spec(r.ID)
		if string(spec) != "spec of "+r.Name || err != nil {
			t.Errorf("%v: %s: spec %q, %v", c, r.Name, spec, err)
		}
		if info, err := os.Stat(b.RunDir(r.ID)); err != nil || !info.IsDir() {
			t.Errorf("%v: %s: run directory: %v", c, r.Name, err)
		}
		if o := b.Origin(r.ID); o == nil || o.File != r.Name+".yaml" {
			t.Errorf("%v: %s: origin %+v", c, r.Name, o)
		}
		if _, err := b.Curve(r.ID); err != nil {
			t.Errorf("%v: %s: %v", c, r.Name, err)
		}
	}
	want := map[string]string{}
	for _, text := range c.Confirmed {
		name, state, _ := strings.Cut(text, " ")
		want[name] = state
	}
	for name, state := range want {
		now := got[name]
		ok := now == state
		switch state {
		case "gone":
			ok = now == ""
		case "going":
			ok = now == "" || now == wire.JobCancelled
		case wire.JobQueued:
			ok = now != ""
		}
		if !ok {
			t.Errorf("%v: %s is %q, and was confirmed to be %s", c, name, now, state)
		}
	}
	// And it works on.
	if _, err := b.Submit(Submission{Name: "next", Spec: []byte("spec")}); err != nil {
		t.Errorf("%v: the next job: %v", c, err)
	}
	if err := b.Flush(false); err != nil {
		t.Errorf("%v: %v", c, err)
	}
	left, err := os.ReadDir(filepath.Join(folder, jobsFolder))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		if strings.HasPrefix(e.Name(), ".tmp-") {
			t.Errorf("%v: %s is left", c, e.Name())
		}
	}
}

// TestFaults has each operation of a book fail in turn, as full and broken disks do: the
// caller is told, what was there stays, and the next try succeeds.
func TestFaults(t *testing.T) {
	errnos := []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.EROFS}
	if testing.Short() {
		errnos = errnos[:1]
	}
	for _, errno := range errnos {
		for n := 0; ; n++ {
			if hit := oneFault(t, errno, n); !hit {
				if n < 20 {
					t.Errorf("only %d operations", n)
				}
				break
			}
		}
	}
}

// oneFault has operation n fail of: a submission, a job that turns to done, its log and its
// curve, and the removal of another.
func oneFault(t *testing.T, errno error, n int) (hit bool) {
	folder := disktest.Folder(t)
	b := open(t, folder)
	old, gone := submit(t, b, "old"), submit(t, b, "gone")
	set(b, gone, wire.JobFailed)
	if err := b.Flush(false); err != nil {
		t.Fatal(err)
	}
	fault := &disktest.Fault{Root: folder, At: n, Err: errno}
	stop := disk.Watch(fault)
	_, submitErr := b.Submit(Submission{Name: "new", Spec: []byte("spec of new")})
	set(b, old, wire.JobDone)
	b.Log(old, "a line")
	c := (&Curve{}).Clone()
	c.AddTrain(Point{Step: 3, Rows: 4})
	b.SetCurve(old, c)
	flushErr := b.Flush(false)
	removed, pruneErr := b.Prune(1, func(*Record) bool { return true })
	roomErr := b.Room(100)
	stop()
	op, hit := fault.Hit()
	if !hit {
		return false
	}
	what := fmt.Sprintf("%v at operation %d, %s %s", errno, n, op.Kind, filepath.Base(op.Path))
	told := errors.Is(errors.Join(submitErr, flushErr, pruneErr, roomErr), errno)
	harmless := op.Kind == disk.KindRemove || // of what is temporary
		op.Kind == disk.KindClose && filepath.Base(op.Path) == logFile || // it has been synced
		op.Kind == disk.KindOpen && errno == syscall.EROFS // the file in it can be written
	if !told && !harmless {
		t.Errorf("%s: nobody is told: %v, %v, %v, %v", what, submitErr, flushErr, pruneErr, roomErr)
	}
	if NoSpace(submitErr) && !strings.HasPrefix(submitErr.Error(), "the disk of the coordinator is full, and the job was not taken: ") {
		t.Errorf("%s: submit says %v", what, submitErr)
	}
	onDisk := func(when string, name string, want ...string) {
		t.Helper()
		other, err := Open(copied(t, folder), clocktest.At(noon, 0), func(err error) { t.Errorf("%s: %s: %v", what, when, err) })
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		state := ""
		for _, r := range other.All() {
			if r.Name == name {
				state = r.State
			}
		}
		if !slices.Contains(want, state) {
			t.Errorf("%s: %s: %s is %q, want %q", what, when, name, state, want)
		}
	}
	if submitErr == nil {
		onDisk("after", "new", wire.JobQueued)
	} else {
		onDisk("after", "new", "")
	}
	if flushErr == nil {
		onDisk("after", "old", wire.JobDone)
	} else {
		onDisk("after", "old", wire.JobDone, wire.JobQueued)
	}
	if pruneErr == nil && len(removed) == 1 {
		onDisk("after", "gone", "")
	} else {
		onDisk("after", "gone", "", wire.JobFailed)
	}
	// With the disk as it should be.
	if err := b.Flush(false); err != nil || b.Err() != nil {
		t.Errorf("%s: the next flush: %v, %v", what, err, b.Err())
	}
	if _, err := b.Prune(1, func(*Record) bool { return true }); err != nil {
		t.Errorf("%s: the next prune: %v", what, err)
	}
	if submitErr != nil {
		if _, submitErr = b.Submit(Submission{Name: "new", Spec: []byte("spec of new")}); submitErr != nil {
			t.Errorf("%s: the next submission: %v", what, submitErr)
		}
	}
	onDisk("in the end", "new", wire.JobQueued)
	onDisk("in the end", "old", wire.JobDone)
	onDisk("in the end", "gone", "")
	if text, err := b.LogTail(old, 1000); err != nil || strings.Count(string(text), "a line\n") != 1 {
		t.Errorf("%s: log %q, %v, want the line once", what, text, err)
	}
	b.Close()
	return true
}

// copied copies a folder: the lock of the first is held.
func copied(t *testing.T, folder string) string {
	t.Helper()
	to := filepath.Join(disktest.Folder(t), "copy")
	if err := os.CopyFS(to, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	return to
}
