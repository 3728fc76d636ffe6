package train

import (
	"slices"
	"strings"

	"github.com/gespann/gespann/model/spec"
)

// A watch follows one value over the epochs.
type watch struct {
	Monitor string `json:"monitor,omitempty"` // name of the value; "": not in checkpoints of earlier versions
	Seen    bool   `json:"seen"`              // Best is there
	Best    number `json:"best"`
	Epoch   int    `json:"epoch"` // of Best, counted from 1
	Wait    int    `json:"wait"`  // epochs since the last improvement
}

// see takes the value of an epoch and reports whether it improves on the best
// so far by more than minDelta. A value that is not finite never does.
func (w *watch) see(v number, epoch int, rising bool, minDelta float64) bool {
	gain := float64(w.Best - v)
	if rising {
		gain = -gain
	}
	if !v.Finite() || w.Seen && !(gain > minDelta) {
		w.Wait++
		return false
	}
	*w = watch{Monitor: w.Monitor, Seen: true, Best: v, Epoch: epoch}
	return true
}

// follow makes the watch one of that value: values of another, which was followed until
// now, are not compared with its. It reports whether what was seen is forgotten.
func (w *watch) follow(monitor string) (forgotten bool) {
	if w.Monitor == monitor {
		return false
	}
	forgotten = w.Seen
	*w = watch{Monitor: monitor}
	return forgotten
}

// rising reports whether more is better.
func rising(monitor string) bool { return strings.Contains(monitor, "accuracy") }

// checkMonitor returns an error unless the run reports a value of that name.
func checkMonitor(s *spec.Spec, path, monitor string, names []string) error {
	if slices.Contains(names, monitor) {
		return nil
	}
	err := s.Errorf(path, "got %s, want one of %s", monitor, strings.Join(names, ", "))
	if strings.HasPrefix(monitor, valPrefix) && !slices.Contains(names, valPrefix+lossName) {
		err.Hint = "there are no validation rows: set data.validation_split"
	}
	return spec.Errors{err}
}
