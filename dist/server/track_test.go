package server

import (
	"testing"
	"time"

	"github.com/gespann/gespann/dist/server/jobs"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/numtest"
)

func sums(rows int64, loss float64) wire.Stats {
	return wire.Stats{Rows: rows, Loss: wire.Number(loss), Metrics: map[string][]wire.Number{
		"accuracy": {wire.Number(rows) / 2}, "confusion": {1, 2, 3, 4},
	}}
}

// TestTrack follows a job that is continued from step 10 of epoch 3, of which an
// earlier attempt had come to step 15.
func TestTrack(t *testing.T) {
	before := &jobs.Curve{}
	for _, step := range []int64{5, 10, 15} {
		before.AddTrain(jobs.Point{Step: step})
		before.AddValidation(jobs.Point{Step: step})
	}
	k := newTrack(before, 4)
	k.train(time.Second, &wire.Train{Span: wire.Span{Epoch: 2, First: 2, Last: 4, Done: 10}, Sums: sums(20, 40), Steps: 4})
	if n := len(k.curve.Validation); n != 2 || len(before.Validation) != 3 {
		t.Errorf("%d points of the validation are left, want 2 of %d", n, len(before.Validation))
	}
	k.progress(3*time.Second, wire.Position{Epoch: 2, Index: 3, Done: 11, Sums: sums(30, 45)}, false)
	k.progress(3*time.Second+1, wire.Position{Epoch: 2, Index: 3, Done: 11, Sums: sums(30, 45)}, false)
	k.progress(4*time.Second, wire.Position{Epoch: 2, Index: 4, Done: 12, Sums: sums(40, 60)}, true)
	if n := len(k.curve.Train); n != 4 {
		t.Fatalf("%d points, want 4: %+v", n, k.curve.Train)
	}
	for i, want := range []struct {
		loss, epoch wire.Value
	}{{0.5, 2.75}, {1.5, 3}} { // of the rows since the point before
		p := k.curve.Train[2+i]
		numtest.Close(t, []wire.Value{p.Values["loss"], p.Values["accuracy"], wire.Value(p.Epoch)},
			[]wire.Value{want.loss, 0.5, want.epoch}, exact)
		if len(p.Values) != 2 {
			t.Errorf("point %d: got %v, want no confusion", i, p.Values)
		}
	}
	var s wire.JobStatus
	k.write(&s)
	if s.Epoch != 3 || s.Step != 4 || s.Done != 12 {
		t.Errorf("status: got %+v", s)
	}
	numtest.Close(t, []float64{float64(s.Latest["loss"]), s.Progress, s.RowsPerSecond},
		[]float64{1.5, 0.75, 20.0 / 3}, numtest.Tol{Rel: 1e-12, Why: "one division"})
}

// TestLeft checks that the guess of the time left is that of the training loop: so
// much per step that is left, and per validation.
func TestLeft(t *testing.T) {
	k := newTrack(&jobs.Curve{}, 3)
	check := func(what string, want float64) {
		t.Helper()
		var s wire.JobStatus
		k.write(&s)
		numtest.Close(t, []float64{s.Left}, []float64{want}, numtest.Tol{Abs: 1e-6, Why: what + ": nanoseconds"})
	}
	at := func(index int, rows int64) wire.Position {
		return wire.Position{Index: index, Done: int64(index), Sums: sums(rows, 1)}
	}
	k.train(10*time.Second, &wire.Train{Span: wire.Span{Last: 10}, Steps: 10})
	check("nothing seen", 0)
	k.progress(12*time.Second, at(4, 40), false)
	check("after 4 of 30 steps of half a second", 13)
	k.progress(15*time.Second, at(10, 100), true)
	check("after 10 of 30", 10)
	k.test(15*time.Second, data.Validation)
	k.tested(17*time.Second, sums(20, 1))
	check("two epochs with a validation of two seconds each", 14)
	k.train(17*time.Second, &wire.Train{Span: wire.Span{Epoch: 1, Last: 10, Done: 10}, Steps: 10})
	check("the next epoch begins", 14)
}
