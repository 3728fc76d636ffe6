package jobs

import (
	"math"
	"testing"

	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/numtest"
)

func point(step int64, loss float64) Point {
	return Point{Step: step, Epoch: float64(step) / 10, Rows: 2, Values: map[string]wire.Value{"loss": wire.Value(loss)}}
}

// TestCurve adds far more points than a curve keeps: it covers all of them, with
// their mean.
func TestCurve(t *testing.T) {
	var c Curve
	const n = 10*MaxPoints + 7
	for i := range int64(n) {
		c.AddTrain(point(i+1, float64(i%2)))
		if len(c.Train) > MaxPoints {
			t.Fatalf("%d points after %d, want at most %d", len(c.Train), i+1, MaxPoints)
		}
	}
	rows, loss := int64(0), 0.0 // sums
	for _, p := range c.Train {
		rows += p.Rows
		loss += float64(p.Values["loss"]) * float64(p.Rows)
	}
	if rows != 2*n {
		t.Errorf("got %d rows, want %d", rows, 2*n)
	}
	numtest.Close(t, []float64{loss}, []float64{n / 2 * 2}, numtest.Tol{Rel: 1e-9, Why: "means of means of 5007 numbers"})
	if last := c.Train[len(c.Train)-1]; last.Step != n {
		t.Errorf("last point: got step %d, want %d", last.Step, n)
	}
}

// TestRewind drops the points of steps that are repeated.
func TestRewind(t *testing.T) {
	var c Curve
	for i := range int64(10) {
		c.AddTrain(point(i+1, 1))
		c.AddValidation(point(i+1, 1))
	}
	c.Rewind(7)
	c.AddTrain(point(5, 2))
	if n, last := len(c.Train), c.Train[len(c.Train)-1]; n != 5 || last.Step != 5 {
		t.Errorf("training: got %d points, the last %+v", n, last)
	} else {
		numtest.Close(t, []wire.Value{last.Values["loss"]}, []wire.Value{2}, numtest.Tol{Why: "as added"})
	}
	if n := len(c.Validation); n != 7 {
		t.Errorf("validation: got %d points, want 7", n)
	}
}

// TestCurveOnDisk writes and reads a curve, NaN included, by way of a book.
func TestCurveOnDisk(t *testing.T) {
	folder := t.TempDir()
	b := open(t, folder)
	id := submit(t, b, "x")
	c := &Curve{}
	c.AddTrain(point(1, 0.1))
	c.AddTrain(point(2, math.NaN()))
	c.AddValidation(point(2, 0.3))
	b.SetCurve(id, c)
	if err := b.Flush(false); err != nil {
		t.Fatal(err)
	}
	b.Close()
	b = open(t, folder)
	if b.Recent(id) != nil {
		t.Error("a curve that nobody has asked for is in memory")
	}
	got, err := b.Curve(id)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Train) != 2 || len(got.Validation) != 1 || !math.IsNaN(float64(got.Train[1].Values["loss"])) {
		t.Fatalf("got %+v, want %+v", got, c)
	}
	numtest.Close(t, []wire.Value{got.Train[0].Values["loss"], wire.Value(got.Validation[0].Epoch)},
		[]wire.Value{0.1, 0.2}, numtest.Tol{Why: "JSON keeps numbers to the bit"})
}
