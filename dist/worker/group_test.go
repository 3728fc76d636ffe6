package worker

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/numtest"
)

// TestSync checks that any number of workers comes to what one session comes to.
func TestSync(t *testing.T) {
	type cut struct {
		model             string
		batch, accumulate int
	}
	// With 53, the last step has 1 row. Where parts meet, statistics are of all rows of a run.
	for _, c := range []cut{{mlp, 16, 1}, {mlp, 16, 2}, {mlp, 53, 1}, {met, 16, 1}, {met, 16, 3}, {met, 6, 1}} {
		for n := range 4 {
			what := "apart"
			if c.model == met {
				what = "meeting"
			}
			t.Run(fmt.Sprintf("batch %d, accumulate %d, %d workers, %s", c.batch, c.accumulate, n+1, what), func(t *testing.T) {
				inYard(t, func(t *testing.T, y *yard) {
					job := newJob(t, c.model, c.accumulate, 0)
					job.BatchSize = c.batch
					wantStats, want := alone(t, job, 2)
					hands := y.crew(n+1, job)
					form(job, 1, hands...)
					for epoch := range 2 {
						for _, cut := range [][2]int{{0, 2}, {2, stepsOf(job)}} {
							run(1, spanOf(job, epoch, cut[0], cut[1]), hands...)
							for _, h := range hands {
								m := answer[*wire.Ran](h)
								if m.At.Epoch != epoch || m.At.Index != cut[1] || m.Gen != 1 {
									t.Fatalf("got %+v, want step %d of epoch %d", m, cut[1], epoch)
								}
							}
						}
					}
					_, first := hands[0].fetch(job)
					for _, h := range hands {
						at, got := h.fetch(job)
						sameBits(t, "another worker", got, first)
						numtest.Close(t, got, want, rounding)
						stats := at.Sums.Stats()
						numtest.Close(t, []float64{stats.Loss, float64(stats.Rows)}, []float64{wantStats.Loss, trainRows}, rounding)
						numtest.Close(t, stats.Metrics["accuracy"], wantStats.Metrics["accuracy"], numtest.Tol{Why: "counts"})
						if n == 0 {
							sameBits(t, "one worker", got, want)
						}
						h.leave()
					}
				})
			})
		}
	}
}

// TestDeterministic checks that any number of workers has the bits of one session,
// with dropout and batch normalisation, also when one leaves on the way.
func TestDeterministic(t *testing.T) {
	for _, accumulate := range []int{1, 2, 3, 8} {
		for n := range 4 {
			t.Run(fmt.Sprint(accumulate, n+1), func(t *testing.T) { testDeterministic(t, accumulate, n) })
		}
	}
}

func testDeterministic(t *testing.T, accumulate, n int) {
	inYard(t, func(t *testing.T, y *yard) {
		job := newJob(t, normed, accumulate, 8)
		wantStats, want := alone(t, job, 2)
		hands := y.crew(n+1, job)
		for i, h := range hands {
			h.host = fmt.Sprint(i / 2)
		}
		form(job, 1, hands...)
		run(1, spanOf(job, 0, 0, stepsOf(job)), hands...)
		for _, h := range hands {
			answer[*wire.Ran](h)
		}
		form(job, 2, hands[n/2:]...)
		run(2, spanOf(job, 1, 0, stepsOf(job)), hands[n/2:]...)
		for _, h := range hands[n/2:] {
			answer[*wire.Ran](h)
			at, got := h.fetch(job)
			sameBits(t, "variables", got, want)
			if stats := at.Sums.Stats(); !reflect.DeepEqual(stats, wantStats) {
				t.Errorf("got %+v, want %+v", stats, wantStats)
			}
		}
		for _, h := range hands {
			h.leave()
		}
	})
}
