package train

import (
	"context"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/internal/checkpoint"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/exact"
	"github.com/gespann/gespann/model/spec"
)

// A loop is a run under way.
type loop struct {
	Options
	session  backend.Session
	rates    func(step int64, factor float64) float32
	log      *metricsLog
	at       position
	steps    int                   // per epoch
	total    int64                 // of the run
	every    spec.Interval         // between checkpoints
	plateau  *spec.ReduceOnPlateau // nil: none
	pace     stride
	specText []byte
	saved    string                  // the latest checkpoint, or ""
	damaged  []*checkpoint.FileError // that it does not go on from
	savedAt  position                // where the run was at the latest numbered one
	was      position                // that of the checkpoint, as it was saved
	began    time.Time
	notes    []string // to tell when the run has started
	results  results
}

// run trains until the last epoch, early stopping, or the end of ctx.
func (l *loop) run(ctx context.Context) error {
	for !l.over() {
		if err := l.epoch(ctx); err != nil {
			return err
		}
	}
	return nil
}

// stopped reports whether early stopping has ended the run.
func (l *loop) stopped() bool {
	patience := l.Spec.Train.EarlyStopping.Patience
	return patience > 0 && l.at.Best.Wait >= patience
}

// epoch finishes the epoch at hand: its steps, the validation, what follows from
// them, and a checkpoint.
func (l *loop) epoch(ctx context.Context) error {
	if err := l.train(ctx); err != nil {
		return err
	}
	row := Row{
		Epoch: l.at.Epoch + 1, Step: l.at.Steps,
		Values: values(l.at.Sums.Stats(), l.Model.Metrics(), ""),
		Rate:   l.rates(l.at.Steps-1, float64(l.at.Factor)),
	}
	rowsPerSecond := float64(l.at.Sums.Rows) / float64(l.at.Seconds)
	validation, err := l.validate(ctx)
	if err != nil {
		return err
	}
	row.Values = append(row.Values, validation...)
	row.Seconds = float64(l.at.Seconds)
	if err := l.log.append(row.line()); err != nil {
		return err
	}
	best := l.judge(row)
	l.at.next()
	l.Events(EpochEnd{
		Row: row, Epochs: l.Spec.Train.Epochs, RowsPerSecond: rowsPerSecond, Best: best, Left: l.left(),
	})
	return l.saveEpoch(ctx, best)
}

// train takes the steps that the epoch still has, in spans.
func (l *loop) train(ctx context.Context) error {
	rates := make([]float32, 0, l.steps)
	for l.at.Step < l.steps {
		n := min(l.pace.span(), l.steps-l.at.Step, l.untilSave())
		rates = rates[:0]
		for i := range n {
			rates = append(rates, l.rates(l.at.Steps+int64(i), float64(l.at.Factor)))
		}
		w := l.watch()
		stats, done, err := l.session.Train(ctx, backend.Span{
			Epoch: l.at.Epoch, First: l.at.Step, Last: l.at.Step + n,
			Step: l.at.Steps, Rates: rates, Sums: l.at.Sums.Stats(), Report: w.report,
		})
		w.see(stats, done)
		if err != nil {
			return err
		}
		l.report()
		if n := int64(l.every.Steps); n > 0 && l.at.Steps%n == 0 {
			if err := l.save(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// A spanWatch follows the run through a span.
type spanWatch struct {
	*loop
	from  position
	begin time.Time
	steps int       // of the span, when last seen
	seen  time.Time // then
}

func (l *loop) watch() *spanWatch {
	now := time.Now()
	return &spanWatch{loop: l, from: l.at, begin: now, seen: now}
}

// see moves the run to where it is after so many steps of the span.
func (w *spanWatch) see(stats backend.Stats, steps int) {
	now := time.Now()
	w.pace.Took(steps-w.steps, now.Sub(w.seen))
	w.steps, w.seen = steps, now
	w.at.Step = w.from.Step + steps
	w.at.Steps = w.from.Steps + int64(steps)
	w.at.Sums = exact.From(stats)
	w.at.Seconds = w.from.Seconds + number(now.Sub(w.begin).Seconds())
}

// report is Span.Report. A session that fails may fall back behind it.
func (w *spanWatch) report(stats backend.Stats, steps int) {
	if steps == 0 {
		w.begin = time.Now()
		w.seen = w.begin
	}
	if steps > w.steps {
		w.see(stats, steps)
		w.loop.report()
	}
}

// untilSave returns the number of steps until a checkpoint is due.
func (l *loop) untilSave() int {
	if l.every.Steps == 0 {
		return l.steps
	}
	return l.every.Steps - int(l.at.Steps%int64(l.every.Steps))
}

// validate evaluates the validation rows, if there are any.
func (l *loop) validate(ctx context.Context) ([]Value, error) {
	if l.Data.Parts[data.Validation].Rows == 0 {
		return nil, nil
	}
	begin := time.Now()
	stats, err := l.session.Evaluate(ctx, data.Validation)
	if err != nil {
		return nil, err
	}
	took := time.Since(begin)
	l.pace.Evaluated(took)
	l.at.Seconds += number(took.Seconds())
	return values(stats, l.Model.Metrics(), valPrefix), nil
}

// judge lets early stopping and the plateau schedule see the values of an epoch.
// It reports whether the epoch is the best so far.
func (l *loop) judge(row Row) (best bool) {
	byName := map[string]number{}
	for _, v := range row.Values {
		byName[v.Name] = number(v.Value)
	}
	stop := l.Spec.Train.EarlyStopping
	if v, ok := byName[stop.Monitor]; ok {
		best = l.at.Best.see(v, row.Epoch, rising(stop.Monitor), stop.MinDelta)
	}
	if p := l.plateau; p != nil {
		l.at.Plateau.see(byName[p.Monitor], row.Epoch, rising(p.Monitor), p.MinDelta)
		if l.at.Plateau.Wait > 0 && l.at.Plateau.Wait >= p.Patience {
			l.at.Factor *= number(p.Factor)
			l.at.Plateau.Wait = 0
		}
	}
	return best
}

func (l *loop) report() {
	l.Events(Progress{
		Epoch: l.at.Epoch + 1, Epochs: l.Spec.Train.Epochs,
		Step: l.at.Step, Steps: l.steps,
		Values:        l.values(),
		RowsPerSecond: float64(min(l.at.Step*l.at.PerStep, l.at.Rows)) / float64(l.at.Seconds),
		Left:          l.left(),
	})
}

// values returns what is known of the epoch so far.
func (l *loop) values() []Value {
	if l.at.Sums.Rows == 0 {
		return nil
	}
	return values(l.at.Sums.Stats(), l.Model.Metrics(), "")
}

// left guesses the time until the last epoch ends.
func (l *loop) left() time.Duration {
	epochs := l.Spec.Train.Epochs - l.at.Epoch
	return l.pace.Left(int64(epochs)*int64(l.steps)-int64(l.at.Step), epochs)
}
