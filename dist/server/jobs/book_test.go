package jobs

import (
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/clock"
	"github.com/gespann/gespann/internal/clock/clocktest"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func open(t testing.TB, folder string) *Book {
	t.Helper()
	b, err := Open(folder, clocktest.At(noon, time.Second), func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func submit(t testing.TB, b *Book, name string) string {
	t.Helper()
	r, err := b.Submit(Submission{Name: name, Spec: []byte("spec of " + name), Epochs: 3, Wants: 2})
	if err != nil {
		t.Fatal(err)
	}
	return r.ID
}

func set(b *Book, id, state string) { b.Update(id, func(r *Record) { r.State = state }) }

// list returns the names and states of all jobs.
func list(b *Book) (out []string) {
	for _, r := range b.All() {
		s := r.Name + " " + r.State
		if r.Position > 0 {
			s += fmt.Sprint(" ", r.Position)
		}
		out = append(out, s)
	}
	return out
}

func check(t testing.TB, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// TestRestart fills a book, kills its process in all states of jobs, and reads
// what a new one makes of it.
func TestRestart(t *testing.T) {
	folder := t.TempDir()
	b := open(t, folder)
	ids := map[string]string{}
	for _, name := range []string{"done", "failed", "running", "paused", "cancel", "first", "second"} {
		ids[name] = submit(t, b, name)
	}
	b.Attach("elsewhere", "elsewhere", dist.Principal{})
	for _, name := range []string{"done", "failed", "running", "paused"} {
		set(b, ids[name], name)
	}
	b.Update(ids["cancel"], func(r *Record) { r.State, r.Cancel = wire.JobRunning, true })
	b.Log(ids["done"], "a line")
	if err := b.Flush(false); err != nil {
		t.Fatal(err)
	}
	check(t, "before", list(b), "running running", "paused paused", "cancel running", "elsewhere waiting",
		"first queued 1", "second queued 2", "failed failed", "done done")
	os.MkdirAll(b.path(".tmp-x"), 0o777) // a submission that was killed
	b.Close()

	b = open(t, folder)
	check(t, "after", list(b), "running queued 1", "paused queued 2", "first queued 3", "second queued 4",
		"elsewhere lost", "cancel cancelled", "failed failed", "done done")
	if _, err := os.Stat(b.path(".tmp-x")); !os.IsNotExist(err) {
		t.Errorf("what was left behind: got %v, want it gone", err)
	}
	spec, err := b.Spec(ids["first"])
	if string(spec) != "spec of first" || err != nil {
		t.Errorf("spec: got %q, %v", spec, err)
	}
	f, err := b.OpenLog(ids["done"])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if text, _ := io.ReadAll(f); !strings.HasSuffix(string(text), " a line\n") {
		t.Errorf("log: got %q", text)
	}
	if err := b.Flush(false); err != nil {
		t.Fatal(err)
	}
	queue := b.Queue()
	if len(queue) != 4 {
		t.Fatalf("queue: got %d jobs, want 4", len(queue))
	}
	next := queue[0]
	if next.ID != ids["running"] || next.Epochs != 3 {
		t.Errorf("next: got %+v, want %s with 3 epochs", next, ids["running"])
	}
	if r, _ := b.Find(submit(t, b, "new")); r.Position != 5 || r.Order <= next.Order {
		t.Errorf("a new job: got %+v, want place 5", r)
	}
}

// TestLost lets a driver stay away over two restarts.
func TestLost(t *testing.T) {
	folder := t.TempDir()
	for i, want := range []string{"x waiting", "x lost", "x failed", "x failed"} {
		b := open(t, folder)
		if i == 0 {
			b.Attach("x", "x", dist.Principal{})
		}
		check(t, fmt.Sprint("life ", i), list(b), want)
		if err := b.Flush(false); err != nil {
			t.Fatal(err)
		}
		b.Close()
	}
}

// TestFind looks jobs up by the beginning of their ID.
func TestFind(t *testing.T) {
	b := open(t, "")
	for _, id := range []string{"mnist-1", "mnist-12", "mlp-3"} {
		b.Attach(id, id, dist.Principal{})
	}
	for id, want := range map[string]string{
		"mlp": "mlp-3", "mnist-1": "mnist-1", "mnist-12": "mnist-12",
		"":  "job \"\": there is none\nhint: gespann jobs lists them",
		"m": `job "m": could be mlp-3, mnist-1, mnist-12`,
	} {
		r, err := b.Find(id)
		got := r.ID
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", id, got, want)
		}
	}
}

// TestNames checks that any name makes an ID, and that no ID leaves its folder.
func TestNames(t *testing.T) {
	for _, name := range []string{"", "MNIST CNN", "../../etc", "ümläut", strings.Repeat("x", 500), "a\nb"} {
		if id := NewID(name); CheckID(id) != nil {
			t.Errorf("%q: got ID %q: %v", name, id, CheckID(id))
		}
		if got := cutName(name); len([]rune(got)) > maxName || strings.Contains(got, "\n") {
			t.Errorf("%q: got name %q", name, got)
		}
	}
	for _, id := range []string{"", "..", ".hidden", "a/b", "A", strings.Repeat("x", 65)} {
		if CheckID(id) == nil {
			t.Errorf("ID %q: got nil, want an error", id)
		}
	}
}

// TestBounds fills the queue, and sends a spec that is too long.
func TestBounds(t *testing.T) {
	b := open(t, t.TempDir())
	if _, err := b.Submit(Submission{Name: "x", Spec: make([]byte, wire.MaxSpec+1)}); err == nil ||
		err.Error() != "spec: has 524289 bytes, want at most 524288" {
		t.Errorf("a long spec: got %v", err)
	}
	for i := range wire.MaxQueue {
		id := fmt.Sprint("j", i)
		b.entries[id] = &entry{Record: Record{JobStatus: wire.JobStatus{ID: id, State: wire.JobQueued}}}
	}
	if _, err := b.Submit(Submission{Name: "x"}); err == nil || err.Error() != "the queue is full: 1000 jobs wait" {
		t.Errorf("a full queue: got %v", err)
	}
	if _, err := open(t, "").Submit(Submission{Name: "x"}); err != ErrNoFolder {
		t.Errorf("no folder: got %v, want %v", err, ErrNoFolder)
	}
}

// TestOneBook opens a folder twice.
func TestOneBook(t *testing.T) {
	folder := t.TempDir()
	open(t, folder)
	_, err := Open(folder, clock.System{}, func(error) {})
	want := fmt.Sprintf("state folder %s: another coordinator is using it (process %d)", folder, os.Getpid())
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestDamaged leaves a job out that cannot be read, and its files alone.
func TestDamaged(t *testing.T) {
	folder := t.TempDir()
	b := open(t, folder)
	bad, good := submit(t, b, "bad"), submit(t, b, "good")
	path := b.path(bad, recordFile)
	if err := os.WriteFile(path, []byte("{"), 0o666); err != nil {
		t.Fatal(err)
	}
	b.Close()
	var warned []string
	b, err := Open(folder, clock.System{}, func(err error) { warned = append(warned, err.Error()) })
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	check(t, "jobs", list(b), "good queued 1")
	check(t, "warnings", warned, path+": unexpected end of JSON input")
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	_ = good
}

// TestPrune removes what has ended, the oldest first, and nothing else.
func TestPrune(t *testing.T) {
	b := open(t, t.TempDir())
	var ids []string
	for i := range 5 {
		ids = append(ids, submit(t, b, fmt.Sprint("n", i)))
	}
	for _, i := range []int{2, 0, 3} {
		set(b, ids[i], wire.JobDone)
	}
	removed, err := b.Prune(1, func(*Record) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(removed)
	check(t, "removed", removed, ids[0], ids[2])
	check(t, "left", list(b), "n1 queued 1", "n4 queued 2", "n3 done")
	for i, id := range ids {
		_, err := os.Stat(b.Dir(id))
		if gone := i == 0 || i == 2; os.IsNotExist(err) != gone {
			t.Errorf("folder of n%d: got %v, want it gone: %t", i, err, gone)
		}
	}
}

// TestHistory keeps so many jobs of drivers elsewhere, on disk and in memory.
func TestHistory(t *testing.T) {
	for _, folder := range []string{"", t.TempDir()} {
		b := open(t, folder)
		for i := range keepAttached + 3 {
			id := fmt.Sprint("j", i)
			b.Attach(id, id, dist.Principal{})
			set(b, id, wire.JobDone)
		}
		if err := b.Flush(false); err != nil {
			t.Fatal(err)
		}
		all := b.All()
		if len(all) != keepAttached || all[0].ID != fmt.Sprint("j", keepAttached+2) {
			t.Errorf("folder %q: got %d jobs, the first %s", folder, len(all), all[0].ID)
		}
		if folder == "" {
			continue
		}
		if left, _ := os.ReadDir(filepath.Join(folder, jobsFolder)); len(left) != keepAttached {
			t.Errorf("got %d folders, want %d", len(left), keepAttached)
		}
	}
}

// TestFiles shows what of a run directory can be fetched.
func TestFiles(t *testing.T) {
	dir, secret := t.TempDir(), filepath.Join(t.TempDir(), "secret")
	os.WriteFile(secret, []byte("secret"), 0o666)
	os.Mkdir(filepath.Join(dir, "checkpoints"), 0o777)
	for _, name := range []string{"spec.yaml", "lock", ".tmp-model", "checkpoints/a", "empty"} {
		os.WriteFile(filepath.Join(dir, name), []byte(strings.TrimPrefix(name, "empty")), 0o666)
	}
	os.Symlink(secret, filepath.Join(dir, "link"))
	os.Symlink(filepath.Dir(secret), filepath.Join(dir, "folder"))
	var got []string
	err := EachFile(dir, func(name string, size int64, content io.Reader) error {
		text, err := io.ReadAll(content)
		got = append(got, fmt.Sprintf("%s %d %s", name, size, text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	check(t, "files", got, "checkpoints/a 13 checkpoints/a", "empty 0 ", "spec.yaml 9 spec.yaml")
	if err := EachFile(filepath.Join(dir, "none"), nil); err != nil {
		t.Errorf("no folder: got %v, want nil", err)
	}
}

// TestTook checks that a job took as long as it was running: not while it waited,
// and also over a restart.
func TestTook(t *testing.T) {
	folder, c := t.TempDir(), clocktest.At(noon, 0)
	b, err := Open(folder, c, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	id := submit(t, b, "a")
	b.Attach("b", "b", dist.Principal{})
	pass := func(seconds int, state string) {
		c.Pass(time.Duration(seconds) * time.Second)
		for _, id := range []string{id, "b"} {
			b.Update(id, func(r *Record) { r.State, r.Workers = state, 3 })
		}
	}
	took := func(want float64) {
		t.Helper()
		for _, r := range b.All() {
			if math.Abs(r.Took-want) > 1e-9 {
				t.Errorf("%s took %v s, want %v", r.Name, r.Took, want)
			}
		}
	}
	pass(20, wire.JobWaiting)
	pass(7, wire.JobRunning)
	c.Pass(5 * time.Second)
	took(5)
	if err := b.Flush(false); err != nil {
		t.Fatal(err)
	}
	b.Close() // as if it was killed
	if b, err = Open(folder, c, func(err error) { t.Error(err) }); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	took(5)
	b.Attach("b", "b", dist.Principal{})
	pass(100, wire.JobRunning)
	pass(2, wire.JobWaiting)
	pass(50, wire.JobRunning)
	pass(1, wire.JobDone)
	c.Pass(time.Hour)
	took(8)
	for _, r := range b.All() {
		if want := noon.Add(27 * time.Second); !r.Started.Equal(want) {
			t.Errorf("%s: started %v, want %v", r.Name, r.Started, want)
		}
	}
}

// TestWorkersOfThePast checks that the history knows how many workers a job had,
// also after a restart.
func TestWorkersOfThePast(t *testing.T) {
	folder := t.TempDir()
	b := open(t, folder)
	id := submit(t, b, "a")
	b.Update(id, func(r *Record) { r.State, r.Workers = wire.JobDone, 3 })
	if err := b.Flush(false); err != nil {
		t.Fatal(err)
	}
	b.Close()
	if r, err := open(t, folder).Find(id); err != nil || r.Workers != 3 {
		t.Errorf("got %d workers, %v, want 3", r.Workers, err)
	}
}

// TestKilledWhileStarting opens a book again and again whose coordinator was killed while a
// job was starting, as by the memory that it takes: others go first in the end.
func TestKilledWhileStarting(t *testing.T) {
	folder := t.TempDir()
	b := open(t, folder)
	id := submit(t, b, "large")
	for i := 1; ; i++ {
		set(b, id, wire.JobStarting)
		if err := b.Flush(false); err != nil {
			t.Fatal(err)
		}
		b.Close()
		b = open(t, folder)
		r, err := b.Find(id)
		if err != nil {
			t.Fatal(err)
		}
		if want := map[bool]string{true: wire.JobQueued, false: wire.JobFailed}[i < maxDied]; r.State != want {
			t.Fatalf("killed %d times: got %s, want %s", i, r.State, want)
		}
		if i == maxDied {
			if !strings.Contains(r.Reason, "was killed 3 times in a row while the job was starting") {
				t.Errorf("got reason %s", r.Reason)
			}
			return
		}
	}
}
