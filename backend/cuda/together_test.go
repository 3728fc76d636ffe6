package cuda

import (
	"strings"
	"testing"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/backendtest"
	"github.com/gespann/gespann/backend/cuda/plan"
	"github.com/gespann/gespann/backend/rules"
)

// TestMeetingMemory checks that the memory of shards that meet is counted before any is
// taken, and is enough for all shards of a run on one card; and that models whose parts do
// not meet need none.
func TestMeetingMemory(t *testing.T) {
	for _, accumulate := range []int{1, 2, 9} {
		job := backendtest.Job(t, 40, accumulate)
		job.Shards = backend.ShardsFor(accumulate)
		pl := planner{job: &job, vars: job.Programs.Vars(), stage: stageBytes, plans: map[programKey]*plan.Plan{}}
		n, err := pl.need(40, false)
		if err != nil {
			t.Fatal(err)
		}
		if meets := rules.CutOf(&job, true).PerRun() > 1; meets != (n.parts > 0) || meets != strings.Contains(n.String(), "shards that meet") {
			t.Errorf("%d shards of a run need %d bytes (%v)", rules.CutOf(&job, true).PerRun(), n.parts, n)
		}
		f := newFake(t, reserveBytes+n.total())
		s, err := open(t.Context(), job, f, plan.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.Restore(t.Context(), job.Programs.(*backendtest.Tiny).Initial()); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Train(t.Context(), wholeEpoch(s.(*session))); err != nil {
			t.Fatal(err)
		}
		if f.free < reserveBytes {
			t.Errorf("accumulation %d: %d bytes are left, want %d", accumulate, f.free, reserveBytes)
		}
	}
	job := backendtest.Job(t, 40, 1)
	job.Shards, job.Programs.(*backendtest.Tiny).Plain = 8, true
	pl := planner{job: &job, vars: job.Programs.Vars(), stage: stageBytes, plans: map[programKey]*plan.Plan{}}
	if n, err := pl.need(40, false); err != nil || n.parts != 0 {
		t.Errorf("a model whose parts do not meet: %d bytes for them, %v", n.parts, err)
	}
}
