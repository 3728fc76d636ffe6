package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"time"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/checkpoint"
	"github.com/gespann/gespann/internal/disk"
)

const format = "gespann 1"

// save writes a checkpoint of where the run is, and removes those that are more
// than enough.
func (l *loop) save(ctx context.Context) error {
	path := l.Dir.stepPath(l.at.Steps)
	if err := l.saveAs(ctx, path); err != nil {
		return err
	}
	l.savedAt = l.at
	return l.Dir.prune(l.Spec.Train.KeepCheckpoints)
}

// saveEpoch writes the checkpoints that the end of an epoch asks for.
func (l *loop) saveEpoch(ctx context.Context, best bool) error {
	if best {
		if err := l.saveAs(ctx, l.Dir.bestPath()); err != nil {
			return err
		}
	}
	if n := l.every.Epochs; n > 0 && l.at.Epoch%n == 0 {
		return l.save(ctx)
	}
	return nil
}

// lastWords is how long a session has for its variables when ctx has ended: one whose
// workers are all gone would wait for others.
const lastWords = 15 * time.Second

// saveAs writes the whole state of the run, whether or not ctx has ended.
func (l *loop) saveAs(ctx context.Context, path string) error {
	vars := l.Model.Vars()
	outlive, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		time.AfterFunc(lastWords, cancel)
	})()
	values, err := l.session.Snapshot(outlive)
	if err != nil {
		return err
	}
	// A step can spoil the weights although its own loss was still finite. Such a
	// state must not take the place of a good one.
	if name := notFinite(vars, values); name != "" {
		return &BadWeightsError{Step: l.at.Steps, Variable: name}
	}
	// The model of a run that was complete before would not be of the same step.
	if err := disk.Remove(l.Dir.ModelPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	meta := l.meta()
	meta[metaPosition] = l.at.String()
	if err := checkpoint.Write(path, checkpoint.New(vars, values, meta)); err != nil {
		return err
	}
	l.saved = path
	if l.results.NothingSaved { // before it is told: from now on a run without checkpoints has lost them
		l.results.NothingSaved = false
		if err := l.Dir.writeJSON(resultsFile, &l.results); err != nil {
			return err
		}
	}
	l.Events(Saved{Path: path, Step: l.at.Steps})
	return nil
}

// saveModel writes the trained weights without the optimiser's variables.
func (l *loop) saveModel(ctx context.Context) error {
	values, err := l.session.Snapshot(ctx)
	if err != nil {
		return err
	}
	s := checkpoint.New(l.Model.Vars(), values, l.meta())
	weights := s.Tensors[:0]
	for i, v := range l.Model.Vars() {
		if v.Role != ir.OptState {
			weights = append(weights, s.Tensors[i])
		}
	}
	s.Tensors = weights
	return checkpoint.Write(l.Dir.ModelPath(), s)
}

// meta returns what makes a file of weights usable without its directory.
func (l *loop) meta() map[string]string {
	prep, err := json.Marshal(l.Data.Prep)
	if err != nil {
		panic("train: invariant: prep: " + err.Error())
	}
	splits, err := json.Marshal(l.Data.Splits)
	if err != nil {
		panic("train: invariant: splits: " + err.Error())
	}
	meta := map[string]string{
		metaFormat:  format,
		metaVersion: l.Version,
		metaSpec:    string(l.specText),
		metaPrep:    string(prep),
		metaSplits:  string(splits),
	}
	if n := l.Model.Members(); n > 0 {
		meta[metaMembers] = strconv.Itoa(n)
	}
	return meta
}

// notFinite returns the name of the first variable with a NaN or an infinity.
func notFinite(vars []ir.Var, values [][]float32) string {
	for i, v := range vars {
		for _, x := range values[i] {
			if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
				return v.Name
			}
		}
	}
	return ""
}

// A BadWeightsError reports a variable that is no longer finite.
type BadWeightsError struct {
	Step     int64 // optimiser steps taken
	Variable string
}

func (e *BadWeightsError) Error() string {
	return fmt.Sprintf("step %d: variable %s is no longer finite", e.Step, e.Variable)
}
