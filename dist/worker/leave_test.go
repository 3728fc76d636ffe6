package worker

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/wire"
)

// TestLeave has a worker leave in mid-step: it says so at once, takes the step to its
// end, does what the coordinator still wants, and ends when it may go.
func TestLeave(t *testing.T) {
	inYard(t, func(t *testing.T, y *yard) {
		y.quit = make(chan struct{})
		job := newJob(t, mlp, 1, 0)
		gate := newGate()
		h := y.hireHooked(job, gate.in(2))
		form(job, 1, h)
		run(1, spanOf(job, 0, 0, 5), h)
		<-gate.at
		close(y.quit)
		answer[*wire.Leave](h)
		h.tell(&wire.Stop{Gen: 1})
		synctest.Wait() // it has been read
		close(gate.open)
		if m := answer[*wire.Ran](h); m.At.Done != 3 {
			t.Errorf("it stopped at step %d, want 3", m.At.Done)
		}
		if at, _ := h.fetch(job); at.Done != 3 {
			t.Errorf("it has variables of step %d, want 3", at.Done)
		}
		h.tell(&wire.Dismiss{Reason: "it may go"})
		<-h.done
		if h.err != nil {
			t.Errorf("Run = %v, want nil", h.err)
		}
	})
}

// TestLeaveInVain has a coordinator that does not let a worker go, and none at all.
func TestLeaveInVain(t *testing.T) {
	inYard(t, func(t *testing.T, y *yard) {
		y.quit = make(chan struct{})
		h := y.hire()
		began := time.Now()
		close(y.quit)
		<-h.done
		if took := time.Since(began); h.err != nil || took != DefaultLeaveTime {
			t.Errorf("Run = %v after %v, want nil after %v", h.err, took, DefaultLeaveTime)
		}
	})
	for name, dial := range map[string]func(context.Context) (dist.Conn, error){
		"while it dials": func(ctx context.Context) (dist.Conn, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		},
		"between": func(context.Context) (dist.Conn, error) { return nil, errors.New("nobody there") },
	} {
		t.Run(name, func(t *testing.T) {
			inYard(t, func(t *testing.T, y *yard) {
				leave := make(chan struct{})
				const after = 100 * time.Millisecond
				time.AfterFunc(after, func() { close(leave) })
				began := time.Now()
				err := Run(t.Context(), Options{Peers: y.net.Peers("w"), Dial: dial, Leave: leave})
				if took := time.Since(began); err != nil || took != after {
					t.Errorf("Run = %v after %v, want nil after %v", err, took, after)
				}
			})
		})
	}
}

// TestOneJob checks that a worker for one job stays until that has ended for all.
func TestOneJob(t *testing.T) {
	inYard(t, func(t *testing.T, y *yard) {
		y.one = true
		job := newJob(t, mlp, 1, 0)
		h := y.hire()
		h.take(job, wire.Position{}, initial(t, job))
		h.tell(&wire.Close{Job: job.ID}) // another has its turn
		h.take(job, wire.Position{}, initial(t, job))
		h.tell(&wire.Close{Job: job.ID, Ended: true})
		<-h.done
		if h.err != nil {
			t.Errorf("Run = %v, want nil", h.err)
		}
	})
}

// TestPatience checks that a worker gives a coordinator up that has been away for too
// long, and not before.
func TestPatience(t *testing.T) {
	inYard(t, func(t *testing.T, y *yard) {
		const patience = time.Minute
		began := time.Now()
		err := Run(t.Context(), Options{Peers: y.net.Peers("w"), Patience: patience,
			Dial: func(context.Context) (dist.Conn, error) { return nil, errors.New("nobody there") }})
		took := time.Since(began)
		if err == nil || !strings.Contains(err.Error(), "the coordinator has been away for 1m") || !strings.Contains(err.Error(), "nobody there") {
			t.Errorf("Run = %v, want that nobody was there for a minute", err)
		}
		if took < patience || took > patience+maxDelay {
			t.Errorf("Run gave up after %v, want %v", took, patience)
		}
	})
}
