package train

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/gespann/gespann/internal/checkpoint"
	"github.com/gespann/gespann/internal/shell"
)

const (
	damagedExt = ".damaged"
	// keepDamaged is how many damaged checkpoints stay, for whoever wants to look at them.
	keepDamaged = 3
)

// A found is where a run can go on.
type found struct {
	path    string // "": nowhere
	state   *checkpoint.State
	at      position
	damaged []*checkpoint.FileError // that are, or may be, further in the run; the furthest first
}

// newest returns the whole checkpoint that is furthest in the run. The best one counts,
// too: it is as complete as the others, and newer when the run ended just after it was
// written. What cannot be read for another reason than damage is an error: nothing is
// known of it.
func (d *Dir) newest() (found, error) {
	paths, err := d.stepPaths()
	if err != nil {
		return found{}, err
	}
	var f found
	slices.Reverse(paths)
	for _, path := range paths {
		state, at, err := readState(path)
		if step, _ := stepOf(path); err == nil && step != at.Steps {
			err = &checkpoint.FileError{Path: path, Err: fmt.Errorf("is of step %d, which its name does not say", at.Steps), Damaged: true}
		}
		if err == nil {
			f.path, f.state, f.at = path, state, at
			break
		}
		if err := f.add(err); err != nil {
			return found{}, err
		}
	}
	state, at, err := readState(d.bestPath())
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		if err := f.add(err); err != nil {
			return found{}, err
		}
	case f.state == nil || at.after(f.at):
		f.path, f.state, f.at = d.bestPath(), state, at
	}
	if f.state == nil && len(f.damaged) > 0 {
		return found{}, d.noneWhole(f.damaged)
	}
	return f, nil
}

// add notes a checkpoint that is damaged; any other error comes back.
func (f *found) add(err error) error {
	var file *checkpoint.FileError
	if !errors.As(err, &file) || !file.Damaged {
		return err
	}
	f.damaged = append(f.damaged, file)
	return nil
}

// noneWhole is the error of a run that has damaged checkpoints only.
func (d *Dir) noneWhole(damaged []*checkpoint.FileError) error {
	text := fmt.Sprintf("run directory %s: no checkpoint is whole, so that it cannot go on:", d.Path)
	for _, f := range damaged {
		text += fmt.Sprintf("\n  %s: %v", f.Path, f.Err)
	}
	if exists(d.ModelPath()) {
		text += fmt.Sprintf("\nhint: a new run may begin with its weights: train --from %s", shell.Word(d.Path))
	}
	return errors.New(text)
}

// Latest returns the path and state of the checkpoint that is furthest in the run, or ""
// when there is none. When that one is damaged, it is an error: others are of other steps.
func (d *Dir) Latest() (string, *checkpoint.State, error) {
	f, err := d.newest()
	if err != nil {
		return "", nil, err
	}
	for _, bad := range f.damaged {
		if bad.Path != d.bestPath() { // the best one need not be the latest
			return "", nil, bad
		}
	}
	return f.path, f.state, nil
}

// Whole returns the path of the whole checkpoint that is furthest in the run, and the
// epochs that were finished then; "": there is none.
func (d *Dir) Whole() (path string, epoch int) {
	f, err := d.newest()
	if err != nil {
		return "", 0
	}
	return f.path, f.at.Epoch
}

// damage is what is wrong with a file in the place of a checkpoint that is no file, or
// that the disk cannot read; nil: it may be whole.
func damage(path string) *checkpoint.FileError {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		return &checkpoint.FileError{Path: path, Err: errors.New("is a folder, not a file"), Damaged: true}
	} else if err == nil && !info.Mode().IsRegular() {
		return &checkpoint.FileError{Path: path, Err: errors.New("is no regular file"), Damaged: true}
	}
	return nil
}

// unreadable reports whether err is of a disk that has lost what a file had.
func unreadable(err error) bool { return errors.Is(err, syscall.EIO) }

// setAside renames damaged checkpoints, so that the run does not meet them again, and
// notes from where it goes on in their place. A few of them are kept.
func (l *loop) setAside() error {
	steps := int64(0) // that are repeated, as far as names say
	for _, bad := range l.damaged {
		aside := bad.Path + damagedExt
		os.RemoveAll(aside) // of an earlier time
		if err := os.Rename(bad.Path, aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return runError(l.Dir.Path, fmt.Errorf("setting a damaged checkpoint aside: %w", err))
		}
		l.note("The checkpoint %s is damaged (%v); it is set aside as %s.", bad.Path, bad.Err, filepath.Base(aside))
		if step, ok := stepOf(bad.Path); ok {
			steps = max(steps, step-l.at.Steps)
		}
	}
	if steps > 0 {
		l.note("The run goes on from %s, the newest checkpoint that is whole, and repeats %d steps.", l.saved, steps)
	} else if len(l.damaged) > 0 {
		l.note("The run goes on from %s, and repeats no step.", l.saved)
	}
	return l.Dir.pruneDamaged()
}

// stepOf returns the step in the name of a numbered checkpoint.
func stepOf(path string) (int64, bool) {
	digits, ok := strings.CutPrefix(strings.TrimSuffix(filepath.Base(path), tensorsExt), stepPrefix)
	step, err := strconv.ParseInt(digits, 10, 64)
	return step, ok && err == nil
}

// pruneDamaged removes all that was set aside but the latest few.
func (d *Dir) pruneDamaged() error {
	entries, err := os.ReadDir(d.file(checkpointsDir))
	if err != nil {
		return err
	}
	var aside []fs.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasSuffix(e.Name(), tensorsExt+damagedExt) {
			aside = append(aside, info)
		}
	}
	slices.SortFunc(aside, func(a, b fs.FileInfo) int {
		return cmp.Or(a.ModTime().Compare(b.ModTime()), strings.Compare(a.Name(), b.Name()))
	})
	for _, info := range aside[:max(len(aside)-keepDamaged, 0)] {
		if err := os.RemoveAll(filepath.Join(d.file(checkpointsDir), info.Name())); err != nil {
			return err
		}
	}
	return nil
}
