package train

import (
	"cmp"
	"context"
	"path/filepath"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/internal/checkpoint"
	"github.com/gespann/gespann/internal/data"
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
	}
	l.plateau, _ = t.Schedule.Params.(*spec.ReduceOnPlateau)
	l.rates = model.NewSchedule(o.Spec, l.steps).Rate
	if l.specText, err = o.Spec.Marshal(); err != nil {
		return nil, err
	}
	names := l.reported()
	if err := l.checkMonitors(names); err != nil {
		return nil, err
	}
	if l.session, err = open(ctx, o); err != nil {
		return nil, err
	}
	if g, ok := l.session.(backend.Granular); ok {
		l.pace.granule = g.Granule()
	}
	if err = l.restore(ctx); err == nil {
		l.log, err = openMetrics(o.Dir.file(metricsFile), names, l.at.Epoch)
	}
	if err != nil {
		l.session.Close()
		return nil, err
	}
	// Not before: a spec that does not fit the run must not stay with it.
	if err = o.Dir.setSpec(l.specText); err != nil {
		l.log.Close()
		l.session.Close()
		return nil, err
	}
	l.started()
	return l, nil
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

// restore continues from the latest checkpoint, or begins.
func (l *loop) restore(ctx context.Context) error {
	path, state, err := l.Dir.Latest()
	if err != nil {
		return err
	}
	if path == "" {
		return l.session.Restore(ctx, l.Model.Initial(l.Spec.Train.Seed))
	}
	if err := checkMembers(state, l.Model.Members()); err != nil {
		return &checkpoint.FileError{Path: path, Err: err}
	}
	values, err := state.Values(l.Model.Vars())
	if err != nil {
		return &checkpoint.FileError{Path: path, Err: err}
	}
	at, err := parsePosition(state.Meta[metaPosition])
	if err == nil {
		err = at.check(l.at.Rows, l.at.PerStep)
	}
	if err != nil {
		return &checkpoint.FileError{Path: path, Err: err}
	}
	at.Rows, at.PerStep, l.at = l.at.Rows, l.at.PerStep, at
	l.saved = path
	if path != l.Dir.bestPath() {
		l.savedAt = l.at
	}
	return l.session.Restore(ctx, values)
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
		Dir: l.Dir.Path, From: l.saved, Parameters: parameters(l.Model.Vars()),
		Epoch: l.at.Epoch, Step: l.at.Step, Epochs: l.Spec.Train.Epochs, StepsPerEpoch: l.steps,
	}
	for i := range e.Rows {
		e.Rows[i] = l.Data.Parts[i].Rows
	}
	l.Events(e)
}
