package coord

import (
	"testing"
	"time"

	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/numtest"
)

// TestRested checks that each worker is told for how long nobody asked for steps since it
// last trained: it did not wait then. What it waits for others within a span is not in it.
func TestRested(t *testing.T) {
	for _, strategy := range []string{"sync", "adag"} {
		t.Run(strategy, func(t *testing.T) {
			p := &player{t: t, m: New(Options{}), silent: map[string]bool{}, beats: map[string]*wire.Beat{}}
			for _, line := range []string{"w1 joins", "w2 joins", "a attaches workers=2 strategy=" + strategy,
				"w1: opened", "w2: opened", "a: restore at=0", "w1: loaded at=0", "w2: loaded at=0"} {
				p.line(line)
			}
			j := p.m.jobs[0]
			train := func(from, to string) {
				p.line("a: train steps=" + from + ".." + to)
				for _, w := range p.m.workers {
					if strategy == "sync" && !w.busy || strategy != "sync" && w.lease == 0 {
						t.Fatalf("%s does not train:\n%s", w, p.out.String())
					}
				}
			}
			rested := func(want float64) {
				t.Helper()
				for _, w := range p.m.workers {
					numtest.Close(t, []float64{j.rested(w)}, []float64{want}, numtest.Tol{Abs: 1e-9, Why: "whole seconds"})
				}
			}
			p.wait("3s") // before the first span
			train("0", "40")
			for _, w := range p.m.workers {
				j.stamp(w)
			}
			p.wait("2s") // within it
			rested(0)
			j.finish(&wire.Trained{}, Nothing)
			p.wait("4s")
			rested(4)
			j.take(&wire.Snapshot{})
			p.now += time.Second
			p.m.now = p.now
			j.finish(&wire.Trained{}, Nothing)
			j.take(&wire.Train{})
			rested(5)
			p.wait("2s")
			rested(5)
		})
	}
}
