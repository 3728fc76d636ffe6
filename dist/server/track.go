package server

import (
	"math"
	"time"

	"github.com/gespann/gespann/dist/server/jobs"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/pace"
)

// pointTime is the least time between two points of a curve.
const pointTime = 500 * time.Millisecond

// A track follows a job by what its driver and the coordinator say to each other,
// so that jobs look the same wherever their driver is.
type track struct {
	curve   *jobs.Curve
	moved   bool // the curve changed
	changed bool // anything else

	epoch, epochs int // epoch counts from 1
	step, steps   int
	done          int64
	speed         float64 // rows per second
	latest        map[string]wire.Value
	testing       data.Split

	pace      pace.Meter
	seen      time.Duration // when steps were last known to be done
	asked     time.Duration // for the latest evaluation
	validated bool          // the epoch has been
	from      wire.Stats    // the epoch's sums at the latest point
	pointAt   time.Duration
	began     time.Duration // the span
	spanRows  int64
}

func newTrack(curve *jobs.Curve, epochs int) *track {
	t := &track{curve: curve.Clone(), epochs: epochs, latest: map[string]wire.Value{}}
	for _, series := range [][]jobs.Point{curve.Train, curve.Validation} {
		if n := len(series); n > 0 {
			t.done = max(t.done, series[n-1].Step)
		}
	}
	return t
}

// train begins a span.
func (t *track) train(now time.Duration, m *wire.Train) {
	if t.epoch != m.Span.Epoch+1 || m.Sums.Rows < t.from.Rows {
		t.from = m.Sums
	}
	if m.Span.Done < t.done { // steps are repeated
		t.curve.Rewind(m.Span.Done)
		t.moved = true
	}
	t.epoch, t.steps, t.step, t.done = m.Span.Epoch+1, m.Steps, m.Span.First, m.Span.Done
	t.began, t.spanRows, t.changed = now, m.Sums.Rows, true
	t.seen, t.validated = now, false
}

// test begins an evaluation.
func (t *track) test(now time.Duration, split data.Split) { t.asked, t.testing = now, split }

// progress notes how far the span is; last: it is complete.
func (t *track) progress(now time.Duration, at wire.Position, last bool) {
	if at.Epoch+1 != t.epoch {
		return // nothing of this epoch yet
	}
	t.pace.Took(int(at.Done-t.done), now-t.seen)
	t.step, t.done, t.seen, t.changed = at.Index, at.Done, now, true
	if d := (now - t.began).Seconds(); last && d > 0 && at.Sums.Rows > t.spanRows {
		speed := float64(at.Sums.Rows-t.spanRows) / d
		if t.speed == 0 {
			t.speed = speed
		}
		t.speed += 0.3 * (speed - t.speed)
	}
	t.values("", at.Sums)
	end := at.Index == t.steps
	if at.Sums.Rows > t.from.Rows && (end && last || now-t.pointAt >= pointTime) {
		t.curve.AddTrain(jobs.Point{
			Step: at.Done, Epoch: t.place(), Values: means(at.Sums, t.from),
			Rows: at.Sums.Rows - t.from.Rows,
		})
		t.from, t.pointAt, t.moved = at.Sums, now, true
	}
}

// tested notes the values of a split.
func (t *track) tested(now time.Duration, s wire.Stats) {
	if s.Rows == 0 {
		return
	}
	if t.testing == data.Validation {
		t.pace.Evaluated(now - t.asked)
		t.validated = true
		t.values("val_", s)
		t.curve.AddValidation(jobs.Point{
			Step: t.done, Epoch: t.place(), Values: means(s, wire.Stats{}), Rows: s.Rows,
		})
		t.moved = true
	} else {
		t.values("test_", s)
	}
	t.changed = true
}

func (t *track) values(prefix string, s wire.Stats) {
	if s.Rows > 0 {
		for name, v := range means(s, wire.Stats{}) {
			t.latest[prefix+name] = v
		}
	}
}

// place returns the epochs that are done, with the fraction.
func (t *track) place() float64 {
	if t.steps == 0 {
		return float64(t.epoch)
	}
	return float64(t.epoch-1) + float64(t.step)/float64(t.steps)
}

// means returns the mean loss and metrics of the rows between two sums. Metrics
// that are not one number are left out.
func means(to, from wire.Stats) map[string]wire.Value {
	rows := float64(to.Rows - from.Rows)
	out := map[string]wire.Value{"loss": wire.Value(float64(to.Loss-from.Loss) / rows)}
	for name, sums := range to.Metrics {
		if len(sums) != 1 {
			continue
		}
		sum := float64(sums[0])
		if before := from.Metrics[name]; len(before) == 1 {
			sum -= float64(before[0])
		}
		out[name] = wire.Value(sum / rows)
	}
	return out
}

// write puts what is known into a job's status.
func (t *track) write(s *wire.JobStatus) {
	if t.epoch == 0 {
		return
	}
	s.Epoch, s.Step, s.Steps, s.Done = t.epoch, t.step, t.steps, t.done
	s.RowsPerSecond, s.Latest = t.speed, make(map[string]wire.Value, len(t.latest))
	for name, v := range t.latest {
		s.Latest[name] = v
	}
	if t.epochs > 0 {
		s.Epochs = t.epochs
		s.Progress = math.Min(t.place()/float64(t.epochs), 1)
		s.Left = t.left().Seconds()
	}
}

// left guesses the time until the last epoch ends, as the training loop does.
func (t *track) left() time.Duration {
	steps, epochs := int64(t.epochs)*int64(t.steps), t.epochs-t.epoch
	steps -= int64(t.epoch-1)*int64(t.steps) + int64(t.step)
	if !t.validated {
		epochs++
	}
	return t.pace.Left(max(steps, 0), max(epochs, 0))
}
