package rules_test

import (
	"fmt"
	"testing"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/rules"
)

// TestCut checks that the parts of a step are its rows, each once and in order, that their
// weights add up to 1, and that where parts meet none has rows of two gradient runs.
func TestCut(t *testing.T) {
	for _, c := range []rules.Cut{
		{BatchSize: 8, Accumulate: 1},
		{BatchSize: 8, Accumulate: 3},
		{BatchSize: 8, Accumulate: 1, Shards: 8},
		{BatchSize: 8, Accumulate: 3, Shards: 16},
		{BatchSize: 8, Accumulate: 3, Shards: 16, Meets: true},
		{BatchSize: 5, Accumulate: 1, Shards: 8, Meets: true},
	} {
		const epoch = 53
		next := 0
		for step := range c.Steps(epoch) {
			rows, first := c.Rows(step, epoch), next
			ticks := map[int32]bool{}
			weight := 0.0
			for i := range c.Parts(rows) {
				p := c.Part(backend.StepAt{Index: step, Done: 7}, first, rows, i)
				if ticks[p.Tick] {
					t.Errorf("%+v: step %d: two parts have tick %d", c, step, p.Tick)
				}
				ticks[p.Tick] = true
				if p.Rows == 0 {
					continue
				}
				if p.First != next || p.Rows < 0 || p.Rows > c.BatchSize && c.Shards == 0 {
					t.Errorf("%+v: step %d: part %d is %+v, want it to begin at %d", c, step, i, p, next)
				}
				if last := p.First + p.Rows - 1 - first; c.Meets && (p.First-first)/c.BatchSize != last/c.BatchSize {
					t.Errorf("%+v: step %d: part %d is %+v, of two gradient runs", c, step, i, p)
				}
				next += p.Rows
				weight += float64(p.Weight)
			}
			if next != first+rows || weight < 1-1e-6 || weight > 1+1e-6 {
				t.Errorf("%+v: step %d: parts of weight %v up to row %d, want 1 and %d", c, step, weight, next, first+rows)
			}
		}
		if next != epoch || c.Rows(c.Steps(epoch), epoch) > 0 || c.Rows(-1, epoch) != 0 {
			t.Errorf("%+v: an epoch of %d rows ends at %d", c, epoch, next)
		}
	}
}

// TestChecks says what a job refuses.
func TestChecks(t *testing.T) {
	for _, c := range []struct {
		job  backend.Job
		want string
	}{
		{backend.Job{BatchSize: 1, Accumulate: 1}, "<nil>"},
		{backend.Job{BatchSize: 1, Accumulate: 8, Shards: 8}, "<nil>"},
		{backend.Job{BatchSize: 0, Accumulate: 1}, "batch size is 0 and accumulation 1, want >= 1"},
		{backend.Job{BatchSize: 1, Accumulate: 9, Shards: 8}, "got 8 shards, want at least the accumulation, 9"},
	} {
		if got := fmt.Sprint(rules.CheckJob(&c.job)); got != c.want {
			t.Errorf("CheckJob(%+v) = %s, want %s", c.job, got, c.want)
		}
	}
}
