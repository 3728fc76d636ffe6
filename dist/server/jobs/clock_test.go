package jobs

import (
	"testing"
	"time"

	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/clock/clocktest"
)

// TestEndsInOrder ends jobs while the clock is set back, also by a restart, and checks
// that the latest are those that ended last: they are what is kept.
func TestEndsInOrder(t *testing.T) {
	folder, c := t.TempDir(), clocktest.At(noon, time.Second)
	reopen := func() *Book {
		b, err := Open(folder, c, func(err error) { t.Error(err) })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		return b
	}
	b := reopen()
	var ids []string
	for _, name := range []string{"a", "b", "c", "d"} {
		ids = append(ids, submit(t, b, name))
	}
	set(b, ids[3], wire.JobDone)
	c.Set(noon.Add(-time.Hour))
	set(b, ids[0], wire.JobDone)
	if err := b.Flush(false); err != nil {
		t.Fatal(err)
	}
	b.Close()
	c.Set(noon.AddDate(-10, 0, 0))
	b = reopen()
	set(b, ids[1], wire.JobFailed)
	c.Set(noon.AddDate(10, 0, 0))
	check(t, "all", list(b), "c queued 1", "b failed", "a done", "d done")
	removed, err := b.Prune(1, func(*Record) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	check(t, "removed", removed, ids[0], ids[3])
	check(t, "kept", list(b), "c queued 1", "b failed")
}

// TestTookJumps runs a job while the wall clock jumps.
func TestTookJumps(t *testing.T) {
	c := clocktest.At(noon, 0)
	b, err := Open(t.TempDir(), c, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	id := submit(t, b, "a")
	for _, step := range clocktest.Steps {
		set(b, id, wire.JobRunning)
		c.Pass(3 * time.Second)
		c.Set(c.Now().Add(step))
		set(b, id, wire.JobPaused)
		c.Pass(time.Minute)
	}
	if r, err := b.Find(id); err != nil || r.Took != 3*float64(len(clocktest.Steps)) {
		t.Errorf("took %v s, %v, want 3 s for each of %d times", r.Took, err, len(clocktest.Steps))
	}
}
