package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/gespann/gespann/internal/checkpoint"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/plain"
	"github.com/gespann/gespann/internal/train"
	"github.com/gespann/gespann/model"
	"github.com/gespann/gespann/model/spec"
)

// An ancestor is a run whose weights another begins with.
type ancestor struct {
	*saved
	run    string // as the user calls it
	name   string // for directories of runs that have its spec; "": they have their own
	origin string // path and digest of the weights
}

// trainFrom starts a run with the weights of another: with a configuration of its own,
// or that of the other.
func trainFrom(ctx context.Context, t terminal, path string, args []string, flags *pflag.FlagSet, sink sink) error {
	old, err := readSaved(path)
	if err != nil {
		return err
	}
	from := &ancestor{saved: old, run: filepath.Clean(path)}
	if from.origin, err = filepath.Abs(old.path); err != nil {
		return err
	}
	from.origin += fmt.Sprintf(" (sha256 %x)", old.sum)
	if len(args) == 1 {
		s, err := loadSpec(args[0], flags)
		if err != nil {
			return err
		}
		return start(ctx, t, s, from, sink)
	}
	s, err := train.ParseSpec(old.path, []byte(old.text), spec.Options{Flags: flags, Env: true})
	if err != nil {
		return err
	}
	if s.Train.Name == old.spec.Train.Name {
		s.Train.Name = ""
	}
	home, err := runOf(old.path)
	if err != nil {
		return err
	}
	if from.name = filepath.Base(home); !s.Overridden("train.dir") {
		s.Train.Dir = filepath.Dir(home) // beside the other
	}
	return start(ctx, t, s, from, sink)
}

// runOf returns the directory of the run that a file of weights belongs to; for one that
// is no run's, what would be that beside it.
func runOf(file string) (string, error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	dir, given := filepath.Dir(path), filepath.Dir(file)
	if train.IsCheckpoint(path) {
		dir, given = filepath.Dir(dir), filepath.Join(given, "..")
	}
	if _, err := train.View(dir); err == nil {
		if filepath.Base(given) == filepath.Base(dir) {
			return given, nil
		}
		return dir, nil
	}
	return filepath.Join("runs", strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))), nil
}

// readsAs lists the settings that decide in which form rows are read.
var readsAs = []string{
	"data.source", "data.csv.label", "data.csv.task", "data.csv.features", "data.csv.categorical",
	"data.normalize", "data.one_hot", "loss",
}

// load reads the data of a spec and builds its model. Where the spec reads rows as the
// ancestor did, what that has learnt of its rows holds for these: the weights belong to
// it. What the ancestor was trained on must not be held out.
func (a *ancestor) load(ctx context.Context, s *spec.Spec, t terminal) (*data.Set, *model.Model, error) {
	note := func(format string, args ...any) { fmt.Fprintf(t.err, "note   "+format+"\n", args...) }
	var other []string
	for _, key := range readsAs {
		if s.Value(key) != a.spec.Value(key) {
			other = append(other, key)
		}
	}
	prep := a.prep
	if model.WantsIntegers(s) != model.WantsIntegers(a.spec) || len(other) > 0 {
		prep = nil
	}
	set, m, err := load(ctx, s, prep, t)
	if err != nil {
		return nil, nil, err
	}
	if prep == nil {
		note("%s is other than in %s: what there is to know of the rows was learnt anew.", strings.Join(other, ", "), a.run)
		if was, is := a.prep.Labels, set.Prep.Labels; len(was) > 0 && !slices.Equal(was, is) {
			note("The outputs stood for the classes %s, and stand for %s now.", plain.Line(strings.Join(was, ", ")), plain.Line(strings.Join(is, ", ")))
		}
	}
	if _, err := a.state.Weights(m.Vars()); err != nil {
		return nil, nil, &checkpoint.FileError{Path: a.path, Err: err}
	}
	if s.Value("model") != a.spec.Value("model") {
		note("The model is other than in %s, although the weights fit it.", a.run)
	}
	for _, split := range []data.Split{data.Validation, data.Test} {
		switch yes, known := set.Splits.HoldsOut(split, a.splits); {
		case yes:
		case known && set.Splits.Parts[split] == a.splits.Parts[data.Train]:
			return nil, nil, fmt.Errorf("the %v rows are those that %s was trained on", split, a.run)
		case known:
			return nil, nil, fmt.Errorf("the %v rows are not those that %s held out, so that its weights were trained on some of them: "+
				"it has %s, this run %s\nhint: leave the splits as they are", split, a.run, a.splits.Drawn(), set.Splits.Drawn())
		default:
			why := "its data was other"
			if !a.splits.Recorded() {
				why = "it is of an earlier version, which did not record its rows"
			}
			note("Whether %s was trained on some of the %v rows cannot be known: %s.", a.run, split, why)
		}
	}
	return set, m, nil
}
