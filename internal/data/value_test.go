package data

import (
	"errors"
	"fmt"
	"testing"
)

// TestConceal checks that only the value goes from a message.
func TestConceal(t *testing.T) {
	err := fmt.Errorf("x.npy: %w\nhint: more", NewValueError("row 3: got 77, want 0 to 9", "row 3: want 0 to 9"))
	if got, want := Conceal(err).Error(), "x.npy: row 3: want 0 to 9\nhint: more"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if other := errors.New("other"); Conceal(other) != other || Conceal(nil) != nil {
		t.Error("another error is not as it was")
	}
}
