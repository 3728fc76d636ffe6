package train

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/gespann/gespann/internal/checkpoint"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/disk"
	"github.com/gespann/gespann/model/spec"
)

const (
	bestFile   = "best.safetensors"
	stepPrefix = "step-"
	tensorsExt = ".safetensors"
)

// stepPath returns the path of the checkpoint after so many steps.
func (d *Dir) stepPath(step int64) string {
	return d.file(filepath.Join(checkpointsDir, fmt.Sprintf("%s%08d%s", stepPrefix, step, tensorsExt)))
}

func (d *Dir) bestPath() string { return d.file(filepath.Join(checkpointsDir, bestFile)) }

// ModelPath returns the path of the trained weights.
func (d *Dir) ModelPath() string { return d.file(modelFile) }

// stepPaths returns the numbered checkpoints, oldest first.
func (d *Dir) stepPaths() ([]string, error) {
	entries, err := os.ReadDir(d.file(checkpointsDir))
	if errors.Is(err, fs.ErrNotExist) { // a copy of a run that had saved nothing
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	steps := map[string]int64{}
	var paths []string
	for _, e := range entries {
		step, ok := stepOf(e.Name())
		if !ok {
			continue
		}
		path := d.file(filepath.Join(checkpointsDir, e.Name()))
		steps[path] = step
		paths = append(paths, path)
	}
	slices.SortFunc(paths, func(a, b string) int { return cmp.Compare(steps[a], steps[b]) })
	return paths, nil
}

// prune removes all numbered checkpoints but the latest keep.
func (d *Dir) prune(keep int) error {
	paths, err := d.stepPaths()
	if err != nil {
		return err
	}
	for _, path := range paths[:max(len(paths)-keep, 0)] {
		if err := disk.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// readState reads a checkpoint and the position in its metadata.
func readState(path string) (*checkpoint.State, position, error) {
	if bad := damage(path); bad != nil {
		return nil, position{}, bad
	}
	s, err := checkpoint.Read(path)
	var file *checkpoint.FileError
	if errors.As(err, &file) && unreadable(err) {
		file.Damaged = true
	}
	if err != nil {
		return nil, position{}, err
	}
	at, err := parsePosition(s.Meta[metaPosition])
	if err != nil {
		return nil, position{}, &checkpoint.FileError{Path: path, Err: err}
	}
	return s, at, nil
}

// IsCheckpoint reports whether a path is that of a checkpoint of some run.
func IsCheckpoint(path string) bool { return filepath.Base(filepath.Dir(path)) == checkpointsDir }

// Members returns how many members the ensemble has that a checkpoint or model
// file is from; 0: it is from one model.
func Members(s *checkpoint.State) (int, error) {
	text, ok := s.Meta[metaMembers]
	if !ok {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > spec.MaxMembers {
		return 0, fmt.Errorf("metadata: %s is %q, want 1 to %d", metaMembers, text, spec.MaxMembers)
	}
	return n, nil
}

// checkMembers reports a checkpoint of an ensemble of another size than the model.
func checkMembers(s *checkpoint.State, want int) error {
	got, err := Members(s)
	if err != nil || got == want {
		return err
	}
	name := func(n int) string {
		if n == 0 {
			return "one model"
		}
		return fmt.Sprintf("an ensemble of %d members", n)
	}
	return fmt.Errorf("is of %s, but the run is to train %s\nhint: backend.kind, cluster.strategy and "+
		"the number of members stay as they were", name(got), name(want))
}

// SplitsOf returns which rows the run has that a checkpoint or model file is from. Those
// of earlier versions do not say: see data.Splits.Recorded.
func SplitsOf(s *checkpoint.State) (*data.Splits, error) {
	splits := new(data.Splits)
	text, ok := s.Meta[metaSplits]
	if !ok {
		return splits, nil
	}
	if err := json.Unmarshal([]byte(text), splits); err != nil {
		return nil, fmt.Errorf("metadata: %s: %w", metaSplits, err)
	}
	return splits, nil
}

// About returns the spec, in YAML, and the data.Prep, in JSON, of the run that a
// checkpoint or model file is from.
func About(s *checkpoint.State) (specText, prep string, err error) {
	if f := s.Meta[metaFormat]; f != format {
		return "", "", fmt.Errorf("metadata: %s is %q, want %q", metaFormat, f, format)
	}
	return s.Meta[metaSpec], s.Meta[metaPrep], nil
}
