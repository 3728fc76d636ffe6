package clock

import (
	"testing"
	"time"
)

// TestElapsed checks that the time that passes does, and has one beginning.
func TestElapsed(t *testing.T) {
	var one, another System
	before := one.Elapsed()
	time.Sleep(2 * time.Millisecond)
	after := another.Elapsed()
	if d := after - before; d < 2*time.Millisecond || d > time.Minute {
		t.Errorf("2 ms took %v", d)
	}
	if before < 0 {
		t.Errorf("got %v, want no time before the beginning", before)
	}
	if d := time.Since(one.Now()).Abs(); d > time.Minute {
		t.Errorf("the wall clock is off by %v", d)
	}
}
