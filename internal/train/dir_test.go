package train

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gespann/gespann/model/spec"
)

// mustParse returns a valid spec with the given optimizer and, instead of the
// usual one, model.
func mustParse(t *testing.T, optimizer string, model ...string) *spec.Spec {
	t.Helper()
	text := "data: {source: digits}\nloss: sparse_categorical_crossentropy\noptimizer: {" + optimizer + "}\n"
	if optimizer == "adam" {
		text = strings.Replace(text, "{adam}", "adam", 1)
	}
	if model == nil {
		model = []string{"model: [{dense: {units: 3}}]"}
	}
	s, err := spec.Parse("mlp.yaml", []byte(text+model[0]), spec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCreateNumbers(t *testing.T) {
	s := mustParse(t, "adam")
	s.Train.Dir = filepath.Join(t.TempDir(), "a", "runs")
	for _, want := range []string{"mlp", "mlp-2", "mlp-3"} {
		d, err := Create(s, testSet())
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if got := filepath.Base(d.Path); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		again, err := d.Spec(spec.Options{})
		if err != nil {
			t.Fatal(err)
		}
		got, _ := again.Marshal()
		if want, _ := s.Marshal(); string(got) != string(want) {
			t.Errorf("spec.yaml is\n%s\nwant\n%s", got, want)
		}
		if latest, err := LatestRun(s.Train.Dir); err != nil || filepath.Base(latest) != want {
			t.Errorf("latest run: got %s, %v, want %s", latest, err, want)
		}
	}
}

// TestLatestRun starts runs while the clock is set back: the latest is the one that was
// started last.
func TestLatestRun(t *testing.T) {
	s := mustParse(t, "adam")
	s.Train.Dir = t.TempDir()
	var dirs []*Dir
	for range 3 {
		d, err := Create(s, testSet())
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		dirs = append(dirs, d)
		future := time.Now().AddDate(10, 0, 0).Add(-time.Duration(len(dirs)) * time.Hour)
		if latest, err := LatestRun(s.Train.Dir); err != nil || latest != d.Path {
			t.Errorf("latest run: got %s, %v, want %s", latest, err, d.Path)
		}
		if err := os.Chtimes(d.file(lockName), future, future); err != nil {
			t.Fatal(err)
		}
	}
	dirs[1].Close()
	again, err := Open(dirs[1].Path)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if latest, err := LatestRun(s.Train.Dir); err != nil || latest != again.Path {
		t.Errorf("after a resume: got %s, %v, want %s", latest, err, again.Path)
	}
}

// TestSecondRun checks that one directory takes one run at a time.
func TestSecondRun(t *testing.T) {
	s := mustParse(t, "adam")
	s.Train.Dir, s.Train.Name = t.TempDir(), "mine"
	first, err := Create(s, testSet())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(s.Train.Dir, "mine")
	want := fmt.Sprintf("run directory %s: another run is using it (process %d)", path, os.Getpid())
	if _, err := Open(path); err == nil || err.Error() != want {
		t.Errorf("Open: got %v, want %s", err, want)
	}
	if _, err := Create(s, testSet()); err == nil || err.Error() != want {
		t.Errorf("Create: got %v, want %s", err, want)
	}
	if _, err := View(path); err != nil {
		t.Errorf("View: %v", err)
	}
	first.Close()
	if _, err := Create(s, testSet()); err == nil || !strings.Contains(err.Error(), "has a run already") {
		t.Errorf("Create after the first has ended: got %v, want has a run already", err)
	}
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
}

// TestNoDirectory uses a file as a directory, which not even root can write to.
func TestNoDirectory(t *testing.T) {
	s := mustParse(t, "adam")
	s.Train.Dir = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(s.Train.Dir, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	_, err := Create(s, testSet())
	if want := "run directory " + s.Train.Dir + ": not a directory"; err == nil || err.Error() != want {
		t.Errorf("Create: got %v, want %s", err, want)
	}
	if _, err := Open(s.Train.Dir); err == nil || !strings.Contains(err.Error(), "is a file") {
		t.Errorf("Open: got %v, want is a file", err)
	}
	none := filepath.Join(t.TempDir(), "none")
	_, err = Open(none)
	if want := "run directory " + none + ": no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("Open: got %v, want %s", err, want)
	}
	empty := t.TempDir()
	if _, err := Open(empty); err == nil || !strings.Contains(err.Error(), "has no spec.yaml") {
		t.Errorf("Open: got %v, want has no spec.yaml", err)
	}
}

// TestLinkedLock has a link in the place of a run's lock: what it leads to stays as it is.
func TestLinkedLock(t *testing.T) {
	r := newTestRun(t, plain)
	r.must()
	lock, target := filepath.Join(r.path, lockName), filepath.Join(t.TempDir(), "diary")
	if err := errors.Join(os.WriteFile(target, []byte("123\n"), 0o666), os.Remove(lock), os.Symlink(target, lock)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(r.path); err == nil || !strings.Contains(err.Error(), "lock: is a link") {
		t.Errorf("got %v, want that it is a link", err)
	}
	if text, _ := os.ReadFile(target); string(text) != "123\n" {
		t.Errorf("its target has %q now", text)
	}
}
