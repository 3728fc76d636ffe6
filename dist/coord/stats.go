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

// fits checks that statistics have the metrics of all others of the job.
func (j *job) fits(s wire.Stats) error {
	if j.shape == nil {
		j.learnShape(s)
	}
	if s.Rows == 0 && len(s.Metrics) == 0 || j.shape == nil {
		return nil
	}
	if len(s.Metrics) != len(j.shape) {
		return fmt.Errorf("statistics of %d metrics, want %d", len(s.Metrics), len(j.shape))
	}
	for name, sums := range s.Metrics {
		if n, ok := j.shape[name]; !ok || n != len(sums) {
			return fmt.Errorf("statistics with %d numbers of metric %q, want %d", len(sums), name, n)
		}
	}
	return nil
}

// learnShape takes the metrics of the job from the first statistics that are seen.
func (j *job) learnShape(s wire.Stats) {
	if j.shape != nil || s.Rows == 0 {
		return
	}
	j.shape = map[string]int{}
	for name, sums := range s.Metrics {
		j.shape[name] = len(sums)
	}
}
