package train

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/checkpoint"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/shell"
	"github.com/gespann/gespann/model"
	"github.com/gespann/gespann/model/spec"
)

// newLoop opens what a run needs and puts it where its checkpoints left it.
func newLoop(ctx context.Context, o Options) (l *loop, err error) {
	if o.Events == nil {
		o.Events = func(Event) {}
	}
	t := &o.Spec.Train
	rows, perStep := o.Data.Parts[data.Train].Rows, o.Spec.Data.BatchSize*t.Accumulate
	l = &loop{
		Options: o,
		steps:   (rows + perStep - 1) / perStep,
		every:   t.CheckpointInterval(),
		pace:    stride{refresh: cmp.Or(o.Refresh, time.Second/10)},
		at:      position{Factor: 1, Rows: rows, PerStep: perStep},
		began:   time.Now(),
	}
	l.plateau, _ = t.Schedule.Params.(*spec.ReduceOnPlateau)
	if l.specText, err = o.Spec.Marshal(); err != nil {
		return nil, err
	}
	names := l.reported()
	if err := l.checkMonitors(names); err != nil {
		return nil, err
	}
	values, err := l.resume()
	if err != nil {
		return nil, err
	}
	l.schedule()
	if !l.over() {
		if err := checkBatches(o.Spec, o.Model, o.Data); err != nil {
			return nil, err
		}
	}
	if l.session, err = open(ctx, o); err != nil {
		return nil, err
	}
	if g, ok := l.session.(backend.Granular); ok {
		l.pace.granule = g.Granule()
	}
	var lines int
	if err = l.restore(ctx, values); err == nil {
		l.log, lines, err = openMetrics(o.Dir.file(metricsFile), names, l.at.Epoch)
	}
	if lines < l.at.Epoch {
		l.note("metrics.csv has %d of the %d epochs that are finished: it begins anew, or has lost lines.", lines, l.at.Epoch)
	}
	if err != nil {
		l.session.Close()
		return nil, err
	}
	// Not before: a spec that does not fit the run must not stay with it.
	if err = l.begin(ctx); err != nil {
		l.log.Close()
		l.session.Close()
		return nil, err
	}
	return l, nil
}

// schedule sets the learning rates. What is behind the run counts as it was: its steps may
// have taken other numbers of rows.
func (l *loop) schedule() {
	l.total = l.at.Steps - int64(l.at.Step) + int64(max(l.Spec.Train.Epochs-l.at.Epoch, 0))*int64(l.steps)
	l.rates = model.NewSchedule(l.Spec, l.total).Rate
}

// begin writes what the run is from now on, and tells that it goes on.
func (l *loop) begin(ctx context.Context) error {
	if err := l.setAside(); err != nil {
		return err
	}
	if err := l.Dir.setSpec(l.specText); err != nil {
		return err
	}
	if err := l.Dir.writeData(l.Data); err != nil {
		return err
	}
	if err := l.startResults(); err != nil {
		return err
	}
	l.started()
	for _, text := range l.notes {
		l.Events(Note{text})
	}
	return nil
}

// saveWeights writes the weights of another run that this one is to begin with as its
// first checkpoint, so that it finds them whenever it is interrupted.
func (l *loop) saveWeights() (values [][]float32, err error) {
	values = l.Model.Initial(l.Spec.Train.Seed)
	if err = checkMembers(l.Weights, l.Model.Members()); err != nil {
		return nil, fmt.Errorf("%s: %w", l.From, err)
	}
	weights, err := l.Weights.Weights(l.Model.Vars())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.From, err)
	}
	for i, v := range l.Model.Vars() {
		if v.Role != ir.OptState {
			values[i] = weights[i]
		}
	}
	path := l.Dir.stepPath(0)
	meta := l.meta()
	meta[metaPosition] = l.at.String()
	if err := checkpoint.Write(path, checkpoint.New(l.Model.Vars(), values, meta)); err != nil {
		return nil, err
	}
	l.saved, l.savedAt = path, l.at
	return values, nil
}

// open opens the session of a run.
func open(ctx context.Context, o Options) (backend.Session, error) {
	b := o.Backend
	if b == nil {
		var err error
		if b, err = lookup(o.Spec); err != nil {
			return nil, err
		}
	}
	job, err := NewJob(o.Spec, o.Model, o.Data)
	if err != nil {
		return nil, err
	}
	if job.Cluster != nil {
		job.Cluster.Name = filepath.Base(o.Dir.Path)
	}
	return b.Open(ctx, job)
}

// resume looks at where the run is, and refuses what it may not become there. It
// returns the variables to go on from; nil: the run begins.
func (l *loop) resume() (values [][]float32, err error) {
	if l.Dir.new {
		l.at.Best.follow(l.Spec.Train.EarlyStopping.Monitor)
		if l.plateau != nil {
			l.at.Plateau.follow(l.plateau.Monitor)
		}
		if l.Weights != nil {
			return l.saveWeights()
		}
		return nil, nil
	}
	splits, err := l.Dir.Splits()
	if err != nil {
		return nil, err
	}
	old, err := l.Dir.Spec(spec.Options{})
	if err != nil {
		return nil, err
	}
	newest, err := l.Dir.newest()
	if err != nil {
		return nil, err
	}
	path, state := newest.path, newest.state
	l.damaged = newest.damaged
	if path == "" {
		if err := l.Dir.neverTrained(); err != nil {
			return nil, err
		}
	}
	var other error // than the model of the checkpoint
	if path != "" {
		if err = checkMembers(state, l.Model.Members()); err == nil {
			old, splits, err = l.resumeAt(path, state, splits)
		}
		if err != nil {
			return nil, &checkpoint.FileError{Path: path, Err: err}
		}
		if values, err = state.Values(l.Model.Vars()); err != nil {
			other = &checkpoint.FileError{Path: path, Err: err}
		}
	}
	if other != nil && old.Value("model") != l.Spec.Value("model") {
		return nil, other
	}
	if err := l.checkChanges(old); err != nil {
		return nil, err
	}
	if other != nil {
		return nil, other
	}
	if err := l.Data.Splits.Check(splits, data.Train, data.Validation, data.Test); err != nil {
		return nil, fmt.Errorf("run directory %s: %w\nhint: a run goes on with the rows that it began with; "+
			"a new one may begin with its weights: train --from %s", l.Dir.Path, err, shell.Word(l.Dir.Path))
	}
	if !splits.Recorded() && l.Data.Splits.Recorded() {
		l.note("This run is of an earlier version, which did not record its rows: that these are the same cannot be checked.")
	}
	if path != "" {
		if err := l.was.check(l.at.Rows, l.at.PerStep); err != nil {
			return nil, &checkpoint.FileError{Path: path, Err: err}
		}
	}
	l.schedule()
	l.followMonitors(old)
	if err := l.checkBest(); err != nil {
		return nil, err
	}
	l.followPlateau(old)
	l.noteCosine(old)
	l.noteStrategy()
	return values, nil
}

// resumeAt puts the run where a checkpoint left it, and returns the spec and the rows
// that it had then.
func (l *loop) resumeAt(path string, state *checkpoint.State, recorded *data.Splits) (
	old *spec.Spec, splits *data.Splits, err error,
) {
	at, err := parsePosition(state.Meta[metaPosition])
	if err != nil {
		return nil, nil, err
	}
	if splits, err = SplitsOf(state); err != nil {
		return nil, nil, err
	}
	if !splits.Recorded() {
		splits = recorded
	}
	if old, err = ParseSpec(path, []byte(state.Meta[metaSpec]), spec.Options{}); err != nil {
		return nil, nil, err
	}
	rows, perStep := l.at.Rows, l.at.PerStep
	l.was, l.at = at, at
	l.at.Rows, l.at.PerStep = rows, perStep
	l.saved = path
	if path != l.Dir.bestPath() {
		l.savedAt = l.at
	}
	return old, splits, nil
}

// restore gives the session the variables to go on from, or to begin with.
func (l *loop) restore(ctx context.Context, values [][]float32) error {
	if values != nil {
		return l.session.Restore(ctx, values)
	}
	return l.session.Restore(ctx, l.Model.Initial(l.Spec.Train.Seed))
}

// reported returns the names of the values that each epoch reports.
func (l *loop) reported() []string {
	names := append([]string{lossName}, l.Model.Metrics()...)
	if l.Data.Parts[data.Validation].Rows > 0 {
		for _, name := range names[:len(names):len(names)] {
			names = append(names, valPrefix+name)
		}
	}
	return names
}

// checkMonitors checks that what decides about the run will be there.
func (l *loop) checkMonitors(names []string) error {
	if stop := l.Spec.Train.EarlyStopping; stop.Patience > 0 {
		if err := checkMonitor(l.Spec, "train.early_stopping.monitor", stop.Monitor, names); err != nil {
			return err
		}
	}
	if l.plateau != nil {
		return checkMonitor(l.Spec, "train.schedule.reduce_on_plateau.monitor", l.plateau.Monitor, names)
	}
	return nil
}

func (l *loop) started() {
	e := Started{
		Dir: l.Dir.Path, From: l.saved, Weights: l.From, Parameters: parameters(l.Model.Vars()),
		Epoch: l.at.Epoch, Step: l.at.Step, Epochs: l.Spec.Train.Epochs, StepsPerEpoch: l.steps,
	}
	if l.stopped() && l.at.Epoch < l.Spec.Train.Epochs {
		stop := l.Spec.Train.EarlyStopping
		e.Stopped = fmt.Sprintf("stopped early already: %s was best in epoch %d, %d epochs before the last; "+
			"--set train.early_stopping.patience with more than %[3]d trains on",
			stop.Monitor, l.at.Best.Epoch, l.at.Best.Wait)
	}
	for i := range e.Rows {
		e.Rows[i] = l.Data.Parts[i].Rows
	}
	l.Events(e)
}
