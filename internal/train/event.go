package train

import (
	"time"

	"github.com/gespann/gespann/backend"
)

// An Event is what a run tells while it goes: one of Started, Note, Progress, EpochEnd,
// Saved, Bill and *Result.
type Event any

// Started is the first event.
type Started struct {
	Dir           string
	From          string // checkpoint that the run continues from, or ""
	Weights       string // file of another run whose weights it begins with, or ""
	Parameters    int    // trained numbers
	Rows          [3]int // of the splits
	Epoch, Step   int    // where it starts: epochs finished, steps of the next
	Epochs        int
	StepsPerEpoch int
	// Stopped is why early stopping leaves nothing to do, in a sentence; "": it does not.
	Stopped string
}

// Note tells, after Started, what a person may not expect of the run.
type Note struct{ Text string }

// Progress tells how far the current epoch is, some ten times a second.
type Progress struct {
	Epoch, Epochs int     // counted from 1
	Step, Steps   int     // of the epoch
	Values        []Value // so far as they are known: nil before the end of a long span
	RowsPerSecond float64
	Left          time.Duration // until the end of the run, validation included
}

// EpochEnd ends an epoch.
type EpochEnd struct {
	Row
	Epochs        int
	RowsPerSecond float64
	Left          time.Duration
	Best          bool // best epoch so far by the monitored value
}

// Saved tells that a checkpoint was written.
type Saved struct {
	Path string
	Step int64
}

// Bill tells at the end of a run on several workers what they cost.
type Bill struct{ backend.Account }

// A Value is one reported number.
type Value struct {
	Name  string
	Value float64
}

const (
	lossName  = "loss"
	valPrefix = "val_"
)

// values returns the mean loss and metrics of s, by name; metrics that are not
// one number, such as a confusion matrix, are left out.
func values(s backend.Stats, metrics []string, prefix string) []Value {
	rows := float64(s.Rows)
	out := []Value{{prefix + lossName, s.Loss / rows}}
	for _, name := range metrics {
		if sum := s.Metrics[name]; len(sum) == 1 {
			out = append(out, Value{prefix + name, sum[0] / rows})
		}
	}
	return out
}

// Values returns the mean loss and metrics of an evaluation.
func Values(s backend.Stats, metrics []string) []Value { return values(s, metrics, "") }
