package worker

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/gespann/gespann/dist/collective"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/numtest"
)

// TestMachines trains with workers that share machines, loses one of them in a step, whichever
// it is, and goes on without: the others are where they were, and come to what one session comes to.
func TestMachines(t *testing.T) {
	for lost := range 5 {
		for what, model := range map[string]string{"apart": mlp, "meeting": met} {
			t.Run(fmt.Sprint(lost, what), func(t *testing.T) {
				inYard(t, func(t *testing.T, y *yard) {
					job := newJob(t, model, 1, 0)
					_, want := alone(t, job, 1)
					gate := newGate()
					var hands, rest []*hand
					for i, host := range []string{"a", "a", "a", "b", "b"} {
						var h *hand
						if i == lost {
							h = y.hireHooked(job, gate.in(2))
						} else {
							h = y.crew(1, job)[0]
							rest = append(rest, h)
						}
						h.host = host
						hands = append(hands, h)
					}
					form(job, 1, hands...)
					run(1, spanOf(job, 0, 0, stepsOf(job)), hands...)
					<-gate.at
					synctest.Wait()
					hands[lost].peers.cut()
					for _, h := range rest {
						if m := answer[*wire.Broken](h); m.At.Done != 2 || m.Peer == "" {
							t.Errorf("got %+v, want step 2 and a peer", m)
						}
					}
					close(gate.open)
					hands[lost].leave()
					form(job, 2, rest...)
					run(2, spanOf(job, 0, 0, stepsOf(job)), rest...)
					for _, h := range rest {
						answer[*wire.Ran](h)
					}
					_, first := rest[0].fetch(job)
					for _, h := range rest {
						_, got := h.fetch(job)
						sameBits(t, "another worker", got, first)
						numtest.Close(t, got, want, rounding)
						h.leave()
					}
				})
			})
		}
	}
	// That these groups are nested is the point.
	if c := collective.UsualNetwork.Crew([]int{3, 2}, 4000); c.Nested().Seconds >= c.Ring().Seconds {
		t.Error("a ring is taken")
	}
}
