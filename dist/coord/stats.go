package coord

import (
	"fmt"

	"github.com/gespann/gespann/dist/wire"
)

// sum returns a + b, which fit together. It shares no memory with them that it
// writes to.
func sum(a, b wire.Stats) wire.Stats {
	s := a.Stats()
	s.Add(b.Stats())
	return wire.FromStats(s)
}

// A shape is the numbers of each metric in statistics; nil: not known. Evaluations
// have metrics that training has not.
type shape map[string]int

// fits checks that statistics have the metrics of all others of their kind.
func (sh *shape) fits(s wire.Stats) error {
	sh.learn(s)
	if s.Rows == 0 && len(s.Metrics) == 0 || *sh == nil {
		return nil
	}
	if len(s.Metrics) != len(*sh) {
		return fmt.Errorf("statistics of %d metrics, want %d", len(s.Metrics), len(*sh))
	}
	for name, sums := range s.Metrics {
		if n, ok := (*sh)[name]; !ok || n != len(sums) {
			return fmt.Errorf("statistics with %d numbers of metric %q, want %d", len(sums), name, n)
		}
	}
	return nil
}

// learn takes the metrics from the first statistics that are seen.
func (sh *shape) learn(s wire.Stats) {
	if *sh != nil || s.Rows == 0 {
		return
	}
	*sh = shape{}
	for name, sums := range s.Metrics {
		(*sh)[name] = len(sums)
	}
}
