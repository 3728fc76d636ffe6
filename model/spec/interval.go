package spec

import (
	"fmt"
	"strconv"
	"strings"
)

// An Interval is how often something happens: every so many epochs, or steps,
// or never if both are 0.
type Interval struct {
	Epochs, Steps int
}

// parseInterval reads "2 epochs", "500 steps" or "never".
func parseInterval(text string) (Interval, error) {
	if text == "never" {
		return Interval{}, nil
	}
	number, unit, _ := strings.Cut(text, " ")
	n, err := strconv.Atoi(number)
	if err == nil && n >= 1 {
		switch unit {
		case "epoch", "epochs":
			return Interval{Epochs: n}, nil
		case "step", "steps":
			return Interval{Steps: n}, nil
		}
	}
	return Interval{}, fmt.Errorf("got %q, want such as 2 epochs, 500 steps, or never", clip(text))
}

// CheckpointInterval returns CheckpointEvery in numbers.
func (t *Train) CheckpointInterval() Interval {
	i, _ := parseInterval(t.CheckpointEvery) // validated by Parse
	return i
}
