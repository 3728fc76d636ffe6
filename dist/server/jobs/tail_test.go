package jobs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/internal/clock"
)

// TestLogTail checks the end of a log, on disk.
func TestLogTail(t *testing.T) {
	b := open(t, t.TempDir())
	id := submit(t, b, "a")
	if got, err := b.LogTail(id, 100); got != nil || err != nil {
		t.Errorf("no log yet: got %q, %v, want nil", got, err)
	}
	b.Log(id, "one")
	b.Log(id, "two")
	if err := b.Flush(false); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		bytes int
		want  string
	}{{4, "two\n"}, {2, "o\n"}, {0, ""}} {
		if got, err := b.LogTail(id, c.bytes); string(got) != c.want || err != nil {
			t.Errorf("LogTail(%d) = %q, %v, want %q", c.bytes, got, err, c.want)
		}
	}
	if got, err := b.LogTail(id, 1000); strings.Count(string(got), "\n") != 2 || err != nil {
		t.Errorf("all of it: got %q, %v, want two lines", got, err)
	}
	if got, err := b.LogTail("none", 10); err == nil {
		t.Errorf("a job that there is none of: got %q, want an error", got)
	}
}

// TestKeepSpec checks whose spec is where.
func TestKeepSpec(t *testing.T) {
	for _, folder := range []string{"", t.TempDir()} {
		b := open(t, folder)
		b.Attach("elsewhere", "elsewhere", dist.Principal{})
		if got, err := b.Spec("elsewhere"); err == nil {
			t.Errorf("before: got %q, want an error", got)
		}
		b.KeepSpec("elsewhere", []byte("model: []"))
		if got, err := b.Spec("elsewhere"); string(got) != "model: []" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		b.Attach("large", "large", dist.Principal{})
		b.KeepSpec("large", make([]byte, maxKept+1))
		b.KeepSpec("none", []byte("x"))
		for _, id := range []string{"large", "none"} {
			if got, err := b.Spec(id); err == nil {
				t.Errorf("%s: got %d bytes, want an error", id, len(got))
			}
		}
	}
	b := open(t, t.TempDir())
	id := submit(t, b, "a")
	b.KeepSpec(id, []byte("another"))
	if got, err := b.Spec(id); string(got) != "spec of a" || err != nil {
		t.Errorf("a submitted job: got %q, %v, want what was submitted", got, err)
	}
}

// TestLinkedLock has a link in the place of the lock: what it leads to stays as it is.
func TestLinkedLock(t *testing.T) {
	folder, target := t.TempDir(), filepath.Join(t.TempDir(), "diary")
	if err := errors.Join(os.WriteFile(target, []byte("123\n"), 0o666), os.Symlink(target, filepath.Join(folder, lockFile))); err != nil {
		t.Fatal(err)
	}
	_, err := Open(folder, clock.System{}, func(error) {})
	if err == nil || !strings.Contains(err.Error(), "lock: is a link") {
		t.Errorf("got %v, want that it is a link", err)
	}
	if text, _ := os.ReadFile(target); string(text) != "123\n" {
		t.Errorf("its target has %q now", text)
	}
}
