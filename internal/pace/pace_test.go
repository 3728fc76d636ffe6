package pace

import (
	"testing"
	"time"

	"github.com/gespann/gespann/internal/numtest"
)

// TestLeft checks the formula, and that what was never seen is not guessed.
func TestLeft(t *testing.T) {
	var m Meter
	if got := m.Left(100, 2); got != 0 {
		t.Errorf("before the first step: got %v, want 0", got)
	}
	m.Took(0, time.Second) // a span of which nothing was taken
	m.Took(4, 2*time.Second)
	m.Evaluated(3 * time.Second)
	seconds := func(want float64, got time.Duration) {
		t.Helper()
		numtest.Close(t, []float64{got.Seconds()}, []float64{want}, numtest.Tol{Abs: 1e-6, Why: "nanoseconds"})
	}
	seconds(56, m.Left(100, 2))
	m.Took(1, 1500*time.Millisecond) // 0.5 + 0.1·(1.5 − 0.5)
	seconds(66, m.Left(100, 2))
	m.Evaluated(13 * time.Second) // 3 + 0.3·(13 − 3)
	seconds(72, m.Left(100, 2))
	m.Took(1, 0)
	if got := m.Left(1<<62, 0); got <= 0 {
		t.Errorf("many steps: got %v, want more than 0", got)
	}
}
