package worker

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/numtest"
)

// An idler is a Replica that computes nothing.
type idler struct {
	backend.Replica // nil
	dw, metrics     []float32
	layout          backend.Layout
	meets           bool
}

func newIdler() *idler {
	return &idler{dw: make([]float32, 1000), metrics: make([]float32, 1),
		layout: backend.Layout{Names: []string{"accuracy"}, Sizes: []int{1}}}
}

func (r *idler) Meets() bool                                           { return r.meets }
func (r *idler) Gradients() []float32                                  { return r.dw }
func (r *idler) Outcomes() backend.Layout                              { return r.layout }
func (r *idler) Update(context.Context, backend.StepAt, float32) error { return nil }
func (r *idler) Gradient(_ context.Context, _ backend.StepAt, p backend.Part, _ bool, ready func(int)) (backend.Outcome, error) {
	if ready != nil {
		ready(len(r.dw))
	}
	return backend.Outcome{Rows: p.Rows, Loss: 1, Metrics: r.metrics}, nil
}

// TestStepAllocations checks that a step allocates nothing that the backend and the
// links do not.
func TestStepAllocations(t *testing.T) {
	for _, shards := range []int{0, 8} {
		j := &job{Job: newJob(t, mlp, 2, shards), at: &place{}, replica: newIdler()}
		g := &group{job: j, account: new(account), shares: []int{1}}
		if err := g.connect(t.Context(), nil, dist.Generation{}, []wire.Member{{ID: "me", Share: 1}}); err != nil {
			t.Fatal(err)
		}
		task := new(orders).begin(t.Context(), &wire.Run{})
		index := 0
		step := func() {
			at := backend.StepAt{Index: index % stepsOf(j.Job), Done: int64(index)}
			index++
			if stop, err := g.take(task, at, 0.1); stop || err != nil {
				t.Fatal(stop, err)
			}
		}
		for range 10 {
			step()
		}
		// Sums of an epoch are a map, made once.
		if got := testing.AllocsPerRun(100, step); got > 0 {
			t.Errorf("%d shards: a step allocates %v times, want 0", shards, got)
		}
		if j.at.Done != int64(index) || j.at.Sums.Loss <= 0 {
			t.Errorf("after %d steps at %+v", index, j.at)
		}
		g.close()
	}
}

// A sleeper is an idler that takes its time.
type sleeper struct{ *idler }

func (r *sleeper) Update(context.Context, backend.StepAt, float32) error {
	time.Sleep(2 * time.Second)
	return nil
}

func (r *sleeper) Gradient(
	ctx context.Context, at backend.StepAt, p backend.Part, more bool, ready func(int),
) (backend.Outcome, error) {
	time.Sleep(3 * time.Second)
	return r.idler.Gradient(ctx, at, p, more, ready)
}

// TestUpdateCost checks that the time of updates, which all members make alike, is known
// apart from that of gradients, which they share.
func TestUpdateCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &job{Job: newJob(t, mlp, 2, 0), at: &place{}, replica: &sleeper{newIdler()}}
		j.Accumulate = 1
		g := &group{job: j, account: new(account), shares: []int{1}}
		if err := g.connect(t.Context(), nil, dist.Generation{}, []wire.Member{{ID: "me", Share: 1}}); err != nil {
			t.Fatal(err)
		}
		defer g.close()
		if _, err := g.take(new(orders).begin(t.Context(), &wire.Run{}), backend.StepAt{}, 0.1); err != nil {
			t.Fatal(err)
		}
		c := g.account.beat().Cost
		numtest.Close(t, []float64{c.Compute, c.Update}, []float64{5, 2}, numtest.Tol{Abs: 1e-9, Why: "a clock that stands still"})
	})
}

// TestPlan checks that members cut a step into the same parts, which cover its rows
// once, with ticks that no other part of the run has.
func TestPlan(t *testing.T) {
	for _, shards := range []int{0, 8} {
		for _, shares := range [][]int{{1}, {1, 1}, {5, 0, 3}, {100, 1, 50, 20}} {
			t.Run(fmt.Sprint(shards, shares), func(t *testing.T) {
				// Steps of 32 rows, the last of 11.
				job := job{Job: newJob(t, mlp, 2, shards), replica: newIdler()}
				ticks := map[int32]bool{}
				var plans []*group
				for rank := range shares {
					plans = append(plans, &group{job: &job, rank: rank, shares: shares})
				}
				for index := range stepsOf(job.Job) {
					at := backend.StepAt{Index: index, Done: int64(index)}
					row, next := index*32, 0
					for _, g := range plans {
						p := g.plan(at)
						lo, hi := p.runs[0].lo, p.runs[0].hi
						if !slices.Equal(p.parts, plans[0].plan(at).parts) || lo != next || len(p.runs) != 1 {
							t.Fatalf("step %d, rank %d: parts %v, own %v, want those of rank 0, own from %d", index, g.rank, p.parts, p.runs, next)
						}
						next = hi
						for i := lo; i < hi; i++ {
							part := p.at(i, at)
							if part.First != row || part.Rows > 16 || ticks[part.Tick] {
								t.Errorf("step %d: part %+v, want the rows from %d, a tick of its own", index, part, row)
							}
							row += part.Rows
							ticks[part.Tick] = true
						}
					}
					if want := min((index+1)*32, trainRows); row != want || next != len(plans[0].plan(at).parts) {
						t.Errorf("step %d ends at row %d, want %d", index, row, want)
					}
				}
			})
		}
	}
}

// TestPlanRuns checks that where parts meet no part has rows of two gradient runs, members
// have equally many rows of each run as far as their shares are equal, and every part is
// one member's.
func TestPlanRuns(t *testing.T) {
	for _, shards := range []int{0, 8} {
		for _, shares := range [][]int{{1}, {1, 1}, {5, 0, 3}, {100, 1, 50, 20}} {
			t.Run(fmt.Sprint(shards, shares), func(t *testing.T) {
				idler := newIdler()
				idler.meets = true
				// Steps of 48 rows in runs of 16, the last of 11 in one run.
				job := job{Job: newJob(t, mlp, 3, shards), replica: idler}
				for index := range stepsOf(job.Job) {
					at := backend.StepAt{Index: index, Done: int64(index)}
					var owners []int
					var want *plan
					for rank := range shares {
						g := &group{job: &job, rank: rank, shares: shares}
						p := g.plan(at)
						if want == nil {
							want, owners = p, make([]int, len(p.parts))
						}
						if !slices.Equal(p.parts, want.parts) {
							t.Fatalf("step %d: rank %d has parts %v, want %v", index, rank, p.parts, want.parts)
						}
						for i := range p.parts {
							if p.mine(i) {
								owners[i]++
							}
						}
					}
					row, ticks := index*48, map[int32]bool{}
					for i, n := range owners {
						part := want.at(i, at)
						if n != 1 || ticks[part.Tick] {
							t.Errorf("step %d: part %d has %d owners and tick %d, want one and one of its own", index, i, n, part.Tick)
						}
						ticks[part.Tick] = true
						if part.Rows == 0 {
							continue
						}
						if part.First != row || (part.First%48)/16 != ((part.First+part.Rows-1)%48)/16 {
							t.Errorf("step %d: part %+v, want rows from %d, of one run", index, part, row)
						}
						row += part.Rows
						met := want.runOf(i, at)
						if !slices.Contains(met, part) {
							t.Errorf("step %d: part %+v meets %v, want itself among them", index, part, met)
						}
					}
					if want := min((index+1)*48, trainRows); row != want {
						t.Errorf("step %d ends at row %d, want %d", index, row, want)
					}
				}
			})
		}
	}
}
