package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/internal/checkpoint"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/data/source"
	"github.com/gespann/gespann/internal/train"
	"github.com/gespann/gespann/model"
	"github.com/gespann/gespann/model/spec"
)

// loadSpec reads a configuration file for this machine, with flags and environment over
// it.
func loadSpec(path string, flags *pflag.FlagSet) (*spec.Spec, error) {
	s, err := readSpec(path, flags)
	if err != nil {
		return nil, err
	}
	return s, s.Locate()
}

// readSpec is loadSpec for any machine: paths are as they are written.
func readSpec(path string, flags *pflag.FlagSet) (*spec.Spec, error) {
	s, err := spec.Load(path, spec.Options{Flags: flags, Env: true})
	var file *fs.PathError
	if errors.As(err, &file) {
		return nil, usageError{err}
	}
	return s, err
}

// load reads the data of a spec, in the form that prep describes, or learning
// that from the data when prep is nil, and builds the model for it: what a cluster
// trains with strategy ensemble is one.
func load(ctx context.Context, s *spec.Spec, prep *data.Prep, t terminal) (*data.Set, *model.Model, error) {
	set, err := loadData(ctx, s, prep, t)
	if err != nil {
		return nil, nil, err
	}
	m, err := build(s, &set.Prep, members(s))
	return set, m, err
}

// loadData reads the data of a spec.
func loadData(ctx context.Context, s *spec.Spec, prep *data.Prep, t terminal) (*data.Set, error) {
	return source.Load(ctx, s.Data, dataOptions(s, prep, t))
}

// dataOptions are how the data of a spec is read: at a terminal, from where it is, and for
// as long as it takes.
func dataOptions(s *spec.Spec, prep *data.Prep, t terminal) source.Options {
	return source.Options{
		Loss: s.Loss.Kind, IntFeatures: model.WantsIntegers(s), Prep: prep, SetBy: givesDelimiter(s),
		Log: func(format string, args ...any) { fmt.Fprintf(t.err, format+"\n", args...) },
	}
}

// givesDelimiter returns the flag or variable that gives the delimiter of CSV files, or "".
func givesDelimiter(s *spec.Spec) string {
	const key = "data.csv.delimiter"
	if !s.Overridden(key) {
		return ""
	}
	return s.Errorf(key, "").File
}

// members returns how many members the ensemble has that a run trains; 0: it trains
// one model.
func members(s *spec.Spec) int {
	if usedKind(s) != kindCluster {
		return 0
	}
	return s.Cluster.Members()
}

// build builds the model of a spec for data of that form.
func build(s *spec.Spec, p *data.Prep, members int) (*model.Model, error) {
	m, err := model.Build(s, input(p))
	if err == nil && members > 0 {
		m = m.Ensemble(members)
	}
	return m, err
}

// input returns the input of a model for data of that form.
func input(p *data.Prep) model.Input {
	in := model.Input{Shape: p.Shape, Integer: p.Ints, Classes: p.Classes, Least: p.Least}
	if p.Target != data.Classes {
		in.Target = p.TargetShape()
	}
	return in
}

// saved is a trained model read from a file.
type saved struct {
	path    string
	text    string     // the run's spec
	spec    *spec.Spec // with what flags and the environment say
	prep    *data.Prep
	splits  *data.Splits
	members int // of an ensemble; 0: it is none
	state   *checkpoint.State
	sum     [sha256.Size]byte // of the file
}

// openSaved reads the trained weights of a run directory, or those in a file, to use
// them with what flags and the environment say of settings that are followed; the others
// stay as in the run.
func openSaved(t terminal, path string, flags *pflag.FlagSet, follows func(spec.ChangeRule) bool) (*saved, error) {
	s, err := readSaved(path)
	if err != nil {
		return nil, err
	}
	was := s.spec
	s.spec, err = train.ParseSpec(s.path, []byte(s.text), spec.Options{
		Flags: flags, Env: true,
		Unheeded: func(key string) bool { return !follows(spec.ChangeOf(key)) || !was.Applies(key) },
	})
	if err != nil {
		return nil, err
	}
	var bad spec.Errors
	for _, d := range spec.Differences(was, s.spec) {
		if !follows(spec.ChangeOf(d.Key)) {
			bad = append(bad, s.spec.Errorf(d.Key, "got %s, but this is a trained model, with %s", d.New, cmp.Or(d.Old, "nothing")))
		}
	}
	if len(bad) > 0 {
		return nil, bad
	}
	noteUnheeded(t, s.spec)
	return s, nil
}

// noteUnheeded tells which variables of the environment say other than a run, where it
// is for the run to say.
func noteUnheeded(t terminal, s *spec.Spec) {
	for _, u := range s.Unheeded() {
		if spec.ChangeOf(u.Key).When == spec.Never && s.Applies(u.Key) {
			fmt.Fprintf(t.err, "%s has no effect on a run that is there: its %s is %s\n",
				u.Variable, u.Key, cmp.Or(s.Value(u.Key), "not set"))
		}
	}
}

// readSaved reads the trained weights of a run directory, or those in a file. A run that
// is under way may remove a checkpoint that was found: then it has a newer one.
func readSaved(path string) (*saved, error) {
	const tries = 3
	for i := 1; ; i++ {
		s, err := readOnce(path)
		if err == nil || i == tries || !errors.Is(err, fs.ErrNotExist) {
			return s, err
		}
	}
}

func readOnce(path string) (*saved, error) {
	file, err := weightsOf(path)
	if err != nil {
		return nil, err
	}
	state, sum, err := checkpoint.ReadSum(file)
	if errors.Is(err, checkpoint.ErrForeign) && file == path && filepath.Ext(path) != ".safetensors" {
		return nil, &notRunError{path}
	} else if err != nil {
		return nil, err
	}
	s := &saved{path: file, state: state, sum: sum}
	var prep string
	s.text, prep, err = train.About(state)
	if err != nil {
		return nil, &checkpoint.FileError{Path: file, Err: err}
	}
	if s.prep, err = data.ParsePrep([]byte(prep)); err != nil {
		return nil, &checkpoint.FileError{Path: file, Err: fmt.Errorf("metadata: prep: %w", err)}
	}
	if s.members, err = train.Members(state); err != nil {
		return nil, &checkpoint.FileError{Path: file, Err: err}
	}
	if s.splits, err = train.SplitsOf(state); err != nil {
		return nil, &checkpoint.FileError{Path: file, Err: err}
	}
	s.spec, err = train.ParseSpec(file, []byte(s.text), spec.Options{})
	return s, err
}

// weightsOf returns the file with the weights to use: path itself, or of a run
// directory the trained model, or else its latest checkpoint.
func weightsOf(path string) (string, error) {
	info, err := os.Stat(path)
	var file *fs.PathError
	if errors.As(err, &file) {
		file.Op = "run" // not stat
	}
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return path, nil
	}
	dir, err := train.View(path)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(dir.ModelPath()); err == nil {
		return dir.ModelPath(), nil
	}
	latest, _, err := dir.Latest()
	if err == nil && latest == "" {
		err = fmt.Errorf("run directory %s: has no weights yet", filepath.Clean(path))
	}
	return latest, err
}

// model builds the model.
func (s *saved) model() (*model.Model, error) { return build(s.spec, s.prep, s.members) }

// session opens the backend with the weights.
func (s *saved) session(ctx context.Context, m *model.Model, set *data.Set) (backend.Session, error) {
	values, err := s.state.Weights(m.Vars())
	if err != nil {
		return nil, &checkpoint.FileError{Path: s.path, Err: err}
	}
	session, err := train.OpenSession(ctx, s.spec, m, set)
	if err != nil {
		return nil, err
	}
	if err := session.Restore(ctx, values); err != nil {
		session.Close()
		return nil, err
	}
	return session, nil
}
