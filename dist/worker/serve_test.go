package worker

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/disttest"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/data"
)

// TestReconnect checks that a worker whose coordinator is lost in the middle of a
// step comes again, says what it holds, and goes on from there.
func TestReconnect(t *testing.T) {
	both(t, func(t *testing.T, y *yard, job wire.Job) {
		gate := newGate()
		a := y.hireHooked(job, gate.in(2))
		b := y.crew(1, job)[0]
		form(job, 1, a, b)
		run(1, spanOf(job, 0, 0, stepsOf(job)), a, b)
		<-gate.at
		synctest.Wait()
		id := a.hello.ID
		a.conn.Close()
		b.conn.Close()
		synctest.Wait() // b has left the sum
		close(gate.open)
		for _, h := range []*hand{a, b} {
			h.meet()
			if h.hello.Job != job.ID || h.hello.At == nil || h.hello.At.Done != 2 || h.hello.At.Index != 2 {
				t.Errorf("got %+v, want step 2 of the job", h.hello)
			}
			h.tell(&wire.Open{Job: job})
			if m := answer[*wire.Opened](h); m.Err != "" || m.At.Done != 2 {
				t.Errorf("got %+v, want step 2", m)
			}
		}
		if a.hello.ID != id {
			t.Error("the worker has another ID now")
		}
		form(job, 1, a, b) // generations of another coordinator
		run(1, spanOf(job, 0, 0, stepsOf(job)), a, b)
		for _, h := range []*hand{a, b} {
			answer[*wire.Ran](h)
		}
		finish(t, job, a, b)
	})
}

// TestSilence checks that a worker leaves a coordinator that says nothing, after
// three seconds, and tries again ever less often.
func TestSilence(t *testing.T) {
	inYard(t, func(t *testing.T, y *yard) {
		ctx, cancel := context.WithCancelCause(t.Context())
		var dials []time.Time
		began := time.Now()
		err := make(chan error)
		go func() {
			err <- Run(ctx, Options{Peers: y.net.Peers("w"),
				Dial: func(context.Context) (dist.Conn, error) {
					dials = append(dials, time.Now())
					if len(dials) > 1 {
						return nil, errors.New("nobody there")
					}
					a, b := disttest.Pipe("worker", "coordinator")
					go func() {
						_, _ = b.Recv() // Hello
						_ = b.Send(wire.Frame{Message: &wire.Welcome{}})
					}()
					return a, nil
				}})
		}()
		time.Sleep(time.Minute)
		cancel(errQuit)
		if err := <-err; !errors.Is(err, errQuit) {
			t.Errorf("Run = %v, want the cause of the end", err)
		}
		if d := dials[1].Sub(began); d < silence || d > silence+firstDelay {
			t.Errorf("tried again after %v, want %v and a little", d, silence)
		}
		if n := len(dials); n < 12 || n > 30 {
			t.Errorf("tried %d times in a minute, want 12 to 30", n)
		}
		for i := 6; i < len(dials); i++ {
			if d := dials[i].Sub(dials[i-1]); d < maxDelay/2 || d > maxDelay {
				t.Errorf("attempt %d after %v, want %v to %v", i, d, maxDelay/2, maxDelay)
			}
		}
	})
}

// TestDismiss checks how a worker takes it.
func TestDismiss(t *testing.T) {
	inYard(t, func(t *testing.T, y *yard) {
		h := y.hire()
		h.tell(&wire.Dismiss{Reason: "come later", Retry: true})
		h.meet()
		h.tell(&wire.Dismiss{Reason: "go away"})
		<-h.done
		var e *DismissedError
		if !errors.As(h.err, &e) || e.Retry || e.Error() != "dismissed by the coordinator: go away" {
			t.Errorf("Run = %v, want the reason", h.err)
		}
		y.once = true
		h = y.hire()
		h.conn.Close()
		<-h.done
		if h.err == nil || errors.Is(h.err, errQuit) {
			t.Errorf("Run once = %v, want why the connection ended", h.err)
		}
		if len(h.conns) > 0 {
			t.Error("it has connected again")
		}
	})
}

// TestGreeting checks answers to Hello other than Welcome.
func TestGreeting(t *testing.T) {
	for name, m := range map[string]wire.Message{
		"dismissed": &wire.Dismiss{Reason: "another version"}, "nonsense": &wire.Ping{}, "nothing": nil,
	} {
		t.Run(name, func(t *testing.T) {
			inYard(t, func(t *testing.T, y *yard) {
				a, b := disttest.Pipe("worker", "coordinator")
				if m == nil {
					b.Close()
				} else if err := b.Send(wire.Frame{Message: m}); err != nil {
					t.Fatal(err)
				}
				err := Run(t.Context(), Options{Peers: y.net.Peers("w"), Once: true,
					Dial: func(context.Context) (dist.Conn, error) { return a, nil }})
				if err == nil {
					t.Error("Run = nil, want an error")
				}
			})
		})
	}
}

// TestBeats checks that beats come while the worker computes, and tell how far it
// is.
func TestBeats(t *testing.T) {
	inYard(t, func(t *testing.T, y *yard) {
		job := newJob(t, mlp, 1, 0)
		gate := newGate()
		h := y.hireHooked(job, gate.in(2))
		form(job, 1, h)
		run(1, spanOf(job, 0, 0, 5), h)
		<-gate.at
		time.Sleep(10*time.Second + time.Second/2)
		if n := len(h.beats); n < 10 {
			t.Errorf("%d beats in 10 s, want one a second", n)
		}
		var last *wire.Beat
		for len(h.beats) > 0 {
			last = <-h.beats
		}
		if last.Phase != "compute" || last.Done != 2 || last.Seconds < 9 || last.Cost.Rows != 32 {
			t.Errorf("got %+v, want 2 steps, and the third computed for 10 s", last)
		}
		close(gate.open)
		answer[*wire.Ran](h)
		h.leave()
	})
}

// TestBusy checks that a worker that computes for long does not take its
// coordinator for silent, though its messages wait.
func TestBusy(t *testing.T) {
	inYard(t, func(t *testing.T, y *yard) {
		job := newJob(t, mlp, 1, 0)
		gate := newGate()
		h := y.hireHooked(job, gate.in(0))
		form(job, 1, h)
		run(1, spanOf(job, 0, 0, 1), h)
		for range waiting + 8 {
			h.tell(&wire.Stop{Gen: 99})
		}
		time.Sleep(time.Minute)
		close(gate.open)
		answer[*wire.Ran](h)
		if len(h.conns) > 0 {
			t.Error("it has connected again")
		}
		h.leave()
	})
}

// hearing is a connection on which bytes of a long frame come.
type hearing struct {
	*disttest.Conn
	began time.Duration
}

func (h hearing) Heard() time.Duration { return min(now(), h.began+time.Minute) }

// TestLongFrame checks that a coordinator is not taken for silent while bytes come.
func TestLongFrame(t *testing.T) {
	inYard(t, func(t *testing.T, y *yard) {
		a, b := disttest.Pipe("worker", "coordinator")
		began := time.Now()
		if err := b.Send(wire.Frame{Message: &wire.Welcome{}}); err != nil {
			t.Fatal(err)
		}
		err := Run(t.Context(), Options{Peers: y.net.Peers("w"), Once: true,
			Dial: func(context.Context) (dist.Conn, error) { return hearing{a, now()}, nil }})
		if got, want := time.Since(began), time.Minute+silence; !errors.Is(err, errSilent) || got != want {
			t.Errorf("Run = %v after %v, want silence after %v", err, got, want)
		}
	})
}

// TestTooManyTensors checks that what a coordinator sends does not pile up while the
// worker is busy.
func TestTooManyTensors(t *testing.T) {
	inYard(t, func(t *testing.T, y *yard) {
		a, b := disttest.Pipe("worker", "coordinator")
		a.Allow(1 << 20)
		go func() {
			_, _ = b.Recv() // Hello
			for _, m := range []wire.Message{&wire.Welcome{}, &wire.Open{Job: wire.Job{ID: "a", Strategy: "sync"}}} {
				_ = b.Send(wire.Frame{Message: m})
			}
			for range loaded + 1 {
				_ = b.Send(wire.Frame{Message: &wire.Load{Job: "a"}, Floats: make([]float32, 8)})
			}
		}()
		err := Run(t.Context(), Options{Peers: y.net.Peers("w"), Once: true,
			Dial: func(context.Context) (dist.Conn, error) { return a, nil },
			Load: func(ctx context.Context, _ *wire.Job) (*data.Set, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}})
		if err == nil || !strings.Contains(err.Error(), "sent 9 messages with tensors before the first was done") {
			t.Errorf("Run = %v", err)
		}
	})
}
