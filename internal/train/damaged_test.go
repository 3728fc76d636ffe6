package train

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gespann/gespann/internal/checkpoint"
)

// damages are what can become of a file.
var damages = map[string]func(path string) error{
	"truncated": func(path string) error { return os.Truncate(path, 1000) },
	"empty":     func(path string) error { return os.Truncate(path, 0) },
	"flipped bit": func(path string) error {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text[len(text)*2/3] ^= 4
		return os.WriteFile(path, text, 0o666)
	},
	"folder": func(path string) error {
		return errors.Join(os.Remove(path), os.Mkdir(path, 0o777))
	},
	"of another step": func(path string) error {
		files, err := filepath.Glob(filepath.Join(filepath.Dir(path), stepPrefix+"*"))
		if err != nil || len(files) < 2 {
			return fmt.Errorf("%v, %v", files, err)
		}
		text, err := os.ReadFile(files[0])
		if err != nil {
			return err
		}
		return os.WriteFile(path, text, 0o666)
	},
}

// damagedYAML saves after every step, so that there are several checkpoints.
func damagedYAML(name string) string {
	return strings.Replace(resumeSpecs[name], "  epochs:", "  checkpoint_every: 1 steps\n  keep_checkpoints: 5\n  epochs:", 1)
}

// TestDamagedCheckpoint damages the latest checkpoints of a run in every way: it goes on
// from the newest whole one, says so, and ends with the bits, metrics and results of a run
// that was never interrupted.
func TestDamagedCheckpoint(t *testing.T) {
	const name = "sgd, batch norm, plateau, early stopping"
	whole := newTestRun(t, damagedYAML(name))
	want := whole.outcome(whole.must())
	for how, damage := range damages {
		for _, count := range []int{1, 2} {
			t.Run(fmt.Sprint(how, " ", count), func(t *testing.T) {
				r := newTestRun(t, damagedYAML(name))
				if r.until(16) != nil {
					t.Fatal("ended early")
				}
				dir := &Dir{Path: r.path}
				paths, err := dir.stepPaths()
				if err != nil || len(paths) < 4 {
					t.Fatalf("checkpoints: %v, %v", paths, err)
				}
				bad := paths[len(paths)-count:]
				for _, path := range bad {
					if err := damage(path); err != nil {
						t.Fatal(err)
					}
				}
				var notes []string
				var from Started
				result, err := r.run(context.Background(), 0, func(e Event) {
					switch e := e.(type) {
					case Note:
						notes = append(notes, e.Text)
					case Started:
						from = e
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				same(t, "in the end", r.outcome(result), want)
				if from.From != paths[len(paths)-count-1] {
					t.Errorf("went on from %s, want %s", from.From, paths[len(paths)-count-1])
				}
				for i, path := range slices.Backward(bad) {
					note := notes[len(bad)-1-i]
					if !strings.HasPrefix(note, "The checkpoint "+path+" is damaged (") ||
						!strings.HasSuffix(note, "); it is set aside as "+filepath.Base(path)+".damaged.") {
						t.Errorf("noted %q of %s", note, path)
					}
					if _, err := os.Stat(path + damagedExt); err != nil {
						t.Errorf("set aside: %v", err)
					}
				}
				if want := fmt.Sprintf("The run goes on from %s, the newest checkpoint that is whole, and repeats %d steps.",
					from.From, count); notes[len(bad)] != want {
					t.Errorf("noted %q, want %q", notes[len(bad)], want)
				}
				r.must() // again: there is nothing to say any more
			})
		}
	}
}

// TestAllDamaged checks that a run without a whole checkpoint is refused, with each, and
// stays as it is; so is one that may not be read, which is no damage.
func TestAllDamaged(t *testing.T) {
	r := newTestRun(t, damagedYAML("sgd, batch norm, plateau, early stopping"))
	r.until(3)
	paths, err := (&Dir{Path: r.path}).stepPaths()
	if err != nil || len(paths) < 3 {
		t.Fatalf("checkpoints: %v, %v", paths, err)
	}
	for i, path := range paths {
		if err := os.Truncate(path, int64(i)); err != nil {
			t.Fatal(err)
		}
	}
	before := r.metrics()
	_, err = r.run(context.Background(), 0, nil)
	want := "run directory " + r.path + ": no checkpoint is whole, so that it cannot go on:"
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Fatalf("got %v, want %s...", err, want)
	}
	for _, path := range paths {
		if !strings.Contains(err.Error(), "\n  "+path+": truncated: ") {
			t.Errorf("got %v, want %s in it", err, path)
		}
		if _, err := os.Stat(path); err != nil {
			t.Errorf("it was not left as it was: %v", err)
		}
	}
	if r.metrics() != before {
		t.Error("metrics.csv was changed")
	}
}

// TestUnreadableCheckpoint checks that a file which may not be read is not taken for a
// damaged one.
func TestUnreadableCheckpoint(t *testing.T) {
	var f found
	err := &checkpoint.FileError{Path: "x", Err: fs.ErrPermission}
	if got := f.add(err); got != err || len(f.damaged) > 0 {
		t.Errorf("got %v, %v, want the error", got, f.damaged)
	}
	if os.Getuid() == 0 {
		return // may read everything
	}
	r := newTestRun(t, damagedYAML("sgd, batch norm, plateau, early stopping"))
	r.until(3)
	paths, _ := (&Dir{Path: r.path}).stepPaths()
	if err := os.Chmod(paths[len(paths)-1], 0); err != nil {
		t.Fatal(err)
	}
	if _, err := r.run(context.Background(), 0, nil); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v, want permission denied", err)
	}
}

// TestDamagedBest checks a best checkpoint that is damaged: a run that has steps left says
// so and looks for the best anew, and one without refuses.
func TestDamagedBest(t *testing.T) {
	r := newTestRun(t, resumeSpecs["sgd, batch norm, plateau, early stopping"])
	if r.until(15) != nil {
		t.Fatal("ended early")
	}
	best := (&Dir{Path: r.path}).bestPath()
	if err := os.Truncate(best, 100); err != nil {
		t.Fatal(err)
	}
	notes, _, result := notesOf(r)
	text := strings.Join(notes, "\n")
	for _, want := range []string{"The checkpoint " + best + " is damaged (truncated", "the best is looked for anew", "repeats no step"} {
		if !strings.Contains(text, want) {
			t.Errorf("noted\n%s\nwant %s", text, want)
		}
	}
	if result == nil {
		t.Fatal("it did not end")
	}
	if err := os.Truncate(best, 100); err != nil {
		t.Fatal(err)
	}
	_, err := r.run(context.Background(), 0, nil)
	if want := "the best, are not there"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("complete: got %v, want ... %s", err, want)
	}
}

// TestDamagedKept checks that what is set aside stays, but not without end.
func TestDamagedKept(t *testing.T) {
	r := newTestRun(t, damagedYAML("sgd, batch norm, plateau, early stopping"))
	for range 6 {
		r.until(6)
		paths, err := (&Dir{Path: r.path}).stepPaths()
		if err != nil || len(paths) < 3 {
			t.Fatalf("checkpoints: %v, %v", paths, err)
		}
		if err := os.Truncate(paths[len(paths)-1], 0); err != nil {
			t.Fatal(err)
		}
	}
	r.until(1)
	if aside, _ := filepath.Glob(filepath.Join(r.path, checkpointsDir, "*"+damagedExt)); len(aside) != keepDamaged {
		t.Errorf("set aside: got %v, want %d", aside, keepDamaged)
	}
}
