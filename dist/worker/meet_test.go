package worker

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/data"
)

// TestKilledWhereTheyMeet kills a worker at each point of a step where parts meet: the
// others name it, drop the step, and go on without, to what one session comes to.
func TestKilledWhereTheyMeet(t *testing.T) {
	for name, shards := range map[string]int{"ring": 0, "tree": 8} {
		for point := range 4 {
			t.Run(fmt.Sprint(name, point), func(t *testing.T) {
				inYard(t, func(t *testing.T, y *yard) {
					job := newJob(t, met, 1, shards)
					gate := newGate()
					stop := gate.in(2)
					dead := y.hireWithin(job, func(at backend.StepAt, n int) {
						if n == point {
							stop(at)
						}
					})
					rest := y.crew(2, job)
					form(job, 1, rest[0], dead, rest[1])
					run(1, spanOf(job, 0, 0, stepsOf(job)), dead, rest[0], rest[1])
					<-gate.at
					synctest.Wait() // the others wait for it
					dead.peers.cut()
					for _, h := range rest {
						if m := answer[*wire.Broken](h); m.At.Done != 2 || m.At.Index != 2 {
							t.Errorf("got %+v, want step 2", m)
						}
					}
					form(job, 2, rest...)
					run(2, spanOf(job, 0, 0, stepsOf(job)), rest...)
					for _, h := range rest {
						answer[*wire.Ran](h)
					}
					finish(t, job, rest...)
					close(gate.open)
					dead.leave()
				})
			})
		}
	}
}

// hireWithin hires a worker that calls within where the parts of its steps meet.
func (y *yard) hireWithin(job wire.Job, within func(at backend.StepAt, point int)) *hand {
	y.t.Helper()
	open := y.open
	defer func() { y.open = open }()
	y.open = func(ctx context.Context, job wire.Job, set *data.Set) (backend.Session, error) {
		s, err := open(ctx, job, set)
		if err != nil {
			return nil, err
		}
		return &hooked{s.(backend.Replica), func(backend.StepAt) {}, within}, nil
	}
	return y.crew(1, job)[0]
}
