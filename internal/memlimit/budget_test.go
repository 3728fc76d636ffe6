package memlimit

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// roomy is a system without an end.
func roomy() (Limit, bool) { return Limit{1 << 60, "this machine has"}, true }

func budget(total int64, least func() (Limit, bool)) *Budget {
	b := NewBudget(total)
	b.least = least
	return b
}

// TestBudget takes and gives back.
func TestBudget(t *testing.T) {
	b := budget(100, roomy)
	if err := b.Try(60, "a"); err != nil {
		t.Fatal(err)
	}
	var full *FullError
	err := b.Try(41, "a frame")
	if want := (FullError{"a frame", 41, 40, 100}); !errors.As(err, &full) || *full != want {
		t.Errorf("got %v, want %v", err, &want)
	}
	if want := "out of memory: a frame takes 41 bytes, and 40 bytes of 100 bytes are left"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	b.Force(60)
	if got := b.Held(); got != 120 {
		t.Errorf("%d are held, want 120", got)
	}
	if err := b.Try(1, "a"); err == nil {
		t.Error("got one more")
	}
	b.Give(60)
	b.Give(60)
	if err := b.Try(100, "a"); err != nil {
		t.Error(err)
	}
	var none *Budget
	none.Force(1)
	none.Give(1)
	if err := errors.Join(none.Try(1<<60, "a"), none.Take(t.Context(), 1<<60, "a", nil)); err != nil {
		t.Errorf("nil: %v", err)
	}
}

// TestBudgetWaits lets one wait for another, who is called meanwhile; what never fits
// does not wait.
func TestBudgetWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget(100, roomy)
		if err := b.Try(80, "a"); err != nil {
			t.Fatal(err)
		}
		calls := 0
		time.AfterFunc(time.Second, func() { b.Give(80) })
		began := time.Now()
		if err := b.Take(t.Context(), 50, "b", func() { calls++ }); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != time.Second || calls < 3 {
			t.Errorf("waited %v, called %d times", took, calls)
		}
		if err := b.Take(t.Context(), 101, "c", nil); err == nil || time.Since(began) != time.Second {
			t.Errorf("what never fits: got %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := b.Take(ctx, 51, "d", func() {}); err == nil || time.Since(began) != time.Second+time.Minute {
			t.Errorf("in vain: got %v after %v", err, time.Since(began))
		}
	})
}

// TestBudgetAsksTheSystem does not take large pieces that others have taken meanwhile.
func TestBudgetAsksTheSystem(t *testing.T) {
	left := int64(3 * large)
	b := budget(100*large, func() (Limit, bool) { return Limit{left, "this machine has"}, true })
	for i, want := range []bool{true, true, true, false} {
		if err := b.Try(large, "a"); (err == nil) != want {
			t.Errorf("piece %d: got %v", i, err)
		}
		left -= large // it is in use
	}
	if err := b.Try(large-1, "small"); err != nil {
		t.Errorf("small ones are not asked for: %v", err)
	}
}

// TestBudgetIsShared has many take and give back at a time: never more than there is.
func TestBudgetIsShared(t *testing.T) {
	b := budget(100, roomy)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 500 {
				if err := b.Take(t.Context(), 30, "a", func() {}); err != nil {
					t.Error(err)
					return
				}
				if held := b.Held(); held > 100 {
					t.Errorf("%d are held", held)
				}
				b.Give(30)
			}
		})
	}
	all.Wait()
	if held := b.Held(); held != 0 {
		t.Errorf("%d are held", held)
	}
}
