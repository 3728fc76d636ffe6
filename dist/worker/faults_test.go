package worker

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/numtest"
)

// A hooked session calls before each gradient run.
type hooked struct {
	backend.Replica
	before func(at backend.StepAt)
	within func(at backend.StepAt, point int) // where parts meet; nil: before is called, once
}

func (h *hooked) Gradient(ctx context.Context, at backend.StepAt, part backend.Part, add bool,
	ready func(int)) (backend.Outcome, error) {
	h.before(at)
	return h.Replica.Gradient(ctx, at, part, add, ready)
}

func (h *hooked) Together(ctx context.Context, at backend.StepAt, parts []backend.Part,
	how backend.Together) ([]backend.Outcome, error) {
	if h.within == nil {
		h.before(at)
		return h.Replica.Together(ctx, at, parts, how)
	}
	meet, point := how.Meet, 0
	how.Meet = func(own [][]float64) ([]float64, error) {
		h.within(at, point)
		point++
		return meet(own)
	}
	return h.Replica.Together(ctx, at, parts, how)
}

// hireHooked hires a worker that has the job, and calls before in its steps.
func (y *yard) hireHooked(job wire.Job, before func(at backend.StepAt)) *hand {
	y.t.Helper()
	open := y.open
	defer func() { y.open = open }()
	y.open = func(ctx context.Context, job wire.Job, set *data.Set) (backend.Session, error) {
		s, err := open(ctx, job, set)
		if err != nil {
			return nil, err
		}
		return &hooked{s.(backend.Replica), before, nil}, nil
	}
	return y.crew(1, job)[0]
}

// A gate holds a worker in a step, before it computes.
type gate struct{ at, open chan struct{} }

func newGate() gate { return gate{make(chan struct{}), make(chan struct{})} }

func (g gate) in(index int) func(backend.StepAt) {
	first := true
	return func(at backend.StepAt) {
		if at.Index == index && first {
			first = false
			close(g.at)
			<-g.open
		}
	}
}

// both runs a test in both ways of adding gradients, and with parts that meet.
func both(t *testing.T, test func(t *testing.T, y *yard, job wire.Job)) {
	for name, shards := range map[string]int{"ring": 0, "tree": 8} {
		for what, model := range map[string]string{"": mlp, ", parts meet": met} {
			t.Run(name+what, func(t *testing.T) {
				inYard(t, func(t *testing.T, y *yard) { test(t, y, newJob(t, model, 1, shards)) })
			})
		}
	}
}

// finish checks that workers have come to what one session comes to, and ends
// them.
func finish(t *testing.T, job wire.Job, hands ...*hand) {
	t.Helper()
	wantStats, want := alone(t, job, 1)
	for _, h := range hands {
		at, got := h.fetch(job)
		stats := at.Sums.Stats()
		if job.Shards > 0 {
			sameBits(t, "variables", got, want)
		}
		numtest.Close(t, got, want, rounding)
		numtest.Close(t, []float64{stats.Loss, float64(stats.Rows)}, []float64{wantStats.Loss, float64(wantStats.Rows)}, rounding)
		h.leave()
	}
}

// TestStop checks that all members stop after the same step, and can go on.
func TestStop(t *testing.T) {
	both(t, func(t *testing.T, y *yard, job wire.Job) {
		gate := newGate()
		a := y.hireHooked(job, gate.in(2))
		b := y.crew(1, job)[0]
		form(job, 1, a, b)
		span := spanOf(job, 0, 0, stepsOf(job))
		run(1, span, a, b)
		<-gate.at
		synctest.Wait() // b waits for a, and has voted to go on, unless parts meet before
		b.tell(&wire.Stop{Gen: 1})
		synctest.Wait()
		close(gate.open)
		want := 4
		if string(job.Spec) == met {
			want = 3
		}
		for _, h := range []*hand{a, b} {
			if m := answer[*wire.Ran](h); m.At.Index != want || m.At.Done != int64(want) {
				t.Errorf("stopped at %+v, want step %d", m.At, want)
			}
		}
		run(1, span, a, b) // of which these steps are done
		for _, h := range []*hand{a, b} {
			answer[*wire.Ran](h)
		}
		run(1, span, a, b) // of which all are
		for _, h := range []*hand{a, b} {
			if m := answer[*wire.Ran](h); m.At.Index != stepsOf(job) {
				t.Errorf("is at %+v, want the end of the span", m.At)
			}
		}
		finish(t, job, a, b)
	})
}

// TestAbort checks that a group ends at once, between steps and inside, and that
// one of them goes on alone, and then with a newcomer.
func TestAbort(t *testing.T) {
	both(t, func(t *testing.T, y *yard, job wire.Job) {
		gate := newGate()
		a := y.hireHooked(job, gate.in(2))
		b := y.crew(1, job)[0]
		form(job, 1, a, b)
		run(1, spanOf(job, 0, 0, stepsOf(job)), a, b)
		<-gate.at
		synctest.Wait() // b waits in a sum
		b.tell(&wire.Abort{Gen: 1})
		if m := answer[*wire.Aborted](b); m.Gen != 1 || m.At.Done != 2 || m.At.Index != 2 {
			t.Errorf("got %+v, want step 2", m)
		}
		a.tell(&wire.Abort{Gen: 1})
		form(job, 2, b)
		run(2, spanOf(job, 0, 0, 4), b)
		if m := answer[*wire.Ran](b); m.At.Done != 4 {
			t.Errorf("got %+v, want step 4", m)
		}
		synctest.Wait()
		close(gate.open)
		switch f := <-a.in; m := f.Message.(type) {
		case *wire.Aborted:
			if m.At.Done != 2 {
				t.Errorf("got %+v, want step 2", m)
			}
		default:
			t.Errorf("got %+v, want Aborted", m)
		}
		at, vars := b.fetch(job)
		a.tell(&wire.Load{Job: job.ID, At: at}, vars...)
		if m := answer[*wire.Loaded](a); m.At.Done != 4 {
			t.Errorf("got %+v, want step 4", m)
		}
		form(job, 3, b, a)
		run(3, spanOf(job, 0, 0, stepsOf(job)), a, b)
		for _, h := range []*hand{a, b} {
			answer[*wire.Ran](h)
		}
		finish(t, job, a, b)
	})
}

// TestAbortEarly checks an Abort that comes before the group has begun: neither
// Form nor Run is done any more.
func TestAbortEarly(t *testing.T) {
	both(t, func(t *testing.T, y *yard, job wire.Job) {
		h := y.crew(1, job)[0]
		members := []wire.Member{{ID: h.hello.ID, Share: 1}, {ID: "late", Share: 1}}
		h.tell(&wire.Form{Job: job.ID, Gen: 7, Members: members}) // waits for late
		h.tell(&wire.Run{Gen: 7, Span: spanOf(job, 0, 0, 2)})
		h.tell(&wire.Abort{Gen: 7})
		if m := answer[*wire.Aborted](h); m.Gen != 7 || m.At.Done != 0 {
			t.Errorf("got %+v, want step 0", m)
		}
		form(job, 8, h)
		run(8, spanOf(job, 0, 0, stepsOf(job)), h)
		answer[*wire.Ran](h)
		finish(t, job, h)
	})
}

// TestFormAgain checks that another Form ends the group before it, which says
// nothing more.
func TestFormAgain(t *testing.T) {
	both(t, func(t *testing.T, y *yard, job wire.Job) {
		gate := newGate()
		h := y.hireHooked(job, gate.in(1))
		form(job, 1, h)
		run(1, spanOf(job, 0, 0, stepsOf(job)), h)
		<-gate.at
		members := []wire.Member{{ID: h.hello.ID, Share: 1}, {ID: "late", Share: 1}}
		h.tell(&wire.Form{Job: job.ID, Gen: 2, Members: members}) // waits for late
		h.tell(&wire.Run{Gen: 2, Span: spanOf(job, 0, 0, 2)})
		synctest.Wait()
		close(gate.open)
		form(job, 3, h)
		run(3, spanOf(job, 0, 0, stepsOf(job)), h)
		if m := answer[*wire.Ran](h); m.Gen != 3 {
			t.Errorf("got %+v, want generation 3", m)
		}
		finish(t, job, h)
	})
}

// TestPeerKilled checks that workers whose peer has gone name it, and go on
// without.
func TestPeerKilled(t *testing.T) {
	both(t, func(t *testing.T, y *yard, job wire.Job) {
		gate := newGate()
		dead := y.hireHooked(job, gate.in(2))
		rest := y.crew(2, job)
		form(job, 1, rest[0], dead, rest[1])
		run(1, spanOf(job, 0, 0, stepsOf(job)), dead, rest[0], rest[1])
		<-gate.at
		synctest.Wait()
		dead.peers.cut()
		named := 0
		for _, h := range rest {
			m := answer[*wire.Broken](h)
			if m.At.Done != 2 || m.Gen != 1 || m.Peer == "" || m.Err == "" {
				t.Errorf("got %+v, want step 2 and a peer", m)
			}
			if m.Peer == dead.hello.ID {
				named++
			}
		}
		if named == 0 {
			t.Error("nobody names the one that is dead")
		}
		close(gate.open)
		dead.leave()
		for _, h := range rest {
			h.tell(&wire.Abort{Gen: 1})
			answer[*wire.Aborted](h)
		}
		form(job, 2, rest...)
		run(2, spanOf(job, 0, 0, stepsOf(job)), rest...)
		for _, h := range rest {
			answer[*wire.Ran](h)
		}
		finish(t, job, rest...)
	})
}

// TestPeerNeverComes checks that a group whose links cannot be made is broken.
func TestPeerNeverComes(t *testing.T) {
	both(t, func(t *testing.T, y *yard, job wire.Job) {
		h := y.crew(1, job)[0]
		members := []wire.Member{{ID: "never", Share: 1}, {ID: h.hello.ID, Share: 1}}
		h.tell(&wire.Form{Job: job.ID, Gen: 1, Rank: 1, Members: members})
		h.tell(&wire.Run{Gen: 1, Span: spanOf(job, 0, 0, 2)}) // was sent before the coordinator knows
		if m := answer[*wire.Broken](h); m.Peer != "never" || m.Gen != 1 {
			t.Errorf("got %+v, want never to be the peer", m)
		}
		form(job, 2, h)
		run(2, spanOf(job, 0, 0, stepsOf(job)), h)
		answer[*wire.Ran](h)
		finish(t, job, h)
	})
}

// TestNotFinite checks that a loss that is NaN changes nothing, and that the one
// who computed it says where it came from.
func TestNotFinite(t *testing.T) {
	both(t, func(t *testing.T, y *yard, job wire.Job) {
		row := data.NewPerm(trainRows, job.Seed, 0).At(3*16 + 9) // in step 3
		set := rows()
		set.Parts[data.Train].X.F32[row*features] = float32(math.NaN())
		job.Digest = set.Digest()
		y.load = func(context.Context, *wire.Job) (*data.Set, error) { return set, nil }
		hands := y.crew(3, job)
		form(job, 1, hands...)
		run(1, spanOf(job, 0, 0, 3), hands...)
		for _, h := range hands {
			answer[*wire.Ran](h)
		}
		_, before := hands[0].fetch(job)
		run(1, spanOf(job, 0, 3, 6), hands...)
		failed := 0
		for _, h := range hands { // nobody leaves before all have answered: a sum may end at one member before another
			switch m := (<-h.in).Message.(type) {
			case *wire.Failed:
				failed++
				if n := m.NotFinite; n == nil || n.Step != 4 || n.Layer != "the data" || n.Value != "input x" || m.Fatal || m.At.Done != 3 {
					t.Errorf("got %+v, want step 4 and the data", m)
				}
			case *wire.Ran:
				if m.At.Done != 3 {
					t.Errorf("got %+v, want step 3", m)
				}
			default:
				t.Errorf("got %+v", m)
			}
		}
		if failed != 1 {
			t.Errorf("%d workers say where it came from, want 1", failed)
		}
		for _, h := range hands {
			_, after := h.fetch(job)
			sameBits(t, "a step that was not taken", after, before)
			h.leave()
		}
	})
}

// TestCost checks where the time of members goes that compute for 3 and for 1
// seconds a step.
func TestCost(t *testing.T) {
	both(t, func(t *testing.T, y *yard, job wire.Job) {
		pace := func(d time.Duration) func(backend.StepAt) {
			step := -1
			return func(at backend.StepAt) {
				if at.Index != step {
					step = at.Index
					time.Sleep(d)
				}
			}
		}
		slow, fast := y.hireHooked(job, pace(3*time.Second)), y.hireHooked(job, pace(time.Second))
		time.Sleep(time.Second / 2) // beats come in the middle of what is timed
		form(job, 1, slow, fast)
		run(1, spanOf(job, 0, 0, 3), slow, fast)
		a, b := answer[*wire.Ran](slow), answer[*wire.Ran](fast)
		time.Sleep(5 * time.Second) // in 3 of which nobody asks for steps
		for _, h := range []*hand{slow, fast} {
			h.tell(&wire.Run{Gen: 1, Span: spanOf(job, 0, 3, 4), Rested: 3})
		}
		c, d := answer[*wire.Ran](slow), answer[*wire.Ran](fast)
		tol := numtest.Tol{Abs: 1e-6, Why: "seconds as float32 in the table"}
		for i, x := range []struct {
			got  wire.Cost
			want [4]float64
		}{
			{a.Cost, [4]float64{9, 0, 0}}, {b.Cost, [4]float64{3, 6, 0}},
			{c.Cost, [4]float64{12, 2, 0}}, {d.Cost, [4]float64{4, 10, 0}},
		} {
			numtest.Close(t, []float64{x.got.Compute, x.got.Wait, x.got.Comm}, x.want[:3], tol)
			if x.got.Sent == 0 || x.got.Received == 0 || x.got.Rows == 0 {
				t.Errorf("%d: got %+v, want rows and bytes", i, x.got)
			}
		}
		if got := c.Cost.Rows + d.Cost.Rows; got != 4*16 {
			t.Errorf("trained on %d rows, want %d", got, 4*16)
		}
		phases := map[string]int{}
		for n := len(fast.beats); n > 0; n-- {
			beat := <-fast.beats
			phases[beat.Phase]++
		}
		if phases["wait"] != 8 || phases["compute"] != 4 || phases["idle"] < 2 {
			t.Errorf("beats of phases %v, want 8 of wait and 4 of compute", phases)
		}
		slow.leave()
		fast.leave()
	})
}

// TestCloseWhileComputing checks that a job ends in the middle of a step, and says
// nothing more.
func TestCloseWhileComputing(t *testing.T) {
	both(t, func(t *testing.T, y *yard, job wire.Job) {
		gate := newGate()
		h := y.hireHooked(job, gate.in(1))
		form(job, 1, h)
		run(1, spanOf(job, 0, 0, stepsOf(job)), h)
		h.tell(&wire.Run{Gen: 1, Span: spanOf(job, 0, 0, stepsOf(job))})
		<-gate.at
		h.tell(&wire.Close{Job: job.ID})
		synctest.Wait()
		close(gate.open)
		synctest.Wait()
		if n := len(h.in); n != 0 {
			t.Errorf("got %d messages, want none: %+v", n, <-h.in)
		}
		job.ID = "job-2"
		h.take(job, wire.Position{}, initial(t, job))
		h.leave()
	})
}

// TestForms checks messages that cannot be.
func TestForms(t *testing.T) {
	inYard(t, func(t *testing.T, y *yard) {
		job := newJob(t, mlp, 1, 0)
		h := y.hire()
		h.tell(&wire.Open{Job: job})
		answer[*wire.Opened](h)
		me := []wire.Member{{ID: h.hello.ID, Share: 1}}
		wants := func(m wire.Message, want string, floats ...float32) {
			t.Helper()
			h.tell(m, floats...)
			if f := answer[*wire.Failed](h); !strings.Contains(f.Err, want) || f.Job == "" || f.Fatal {
				t.Errorf("%+v: got %+v, want %s", m, f, want)
			}
		}
		wants(&wire.Fetch{Job: job.ID}, "holds no variables")
		wants(&wire.Form{Job: job.ID, Gen: 1, Members: me}, "holds no variables")
		wants(&wire.Evaluate{Job: job.ID, Split: data.Test, Last: 1}, "holds no variables")
		n := len(initial(t, job))
		wants(&wire.Load{Job: job.ID}, fmt.Sprintf("got tensors of 3 elements, want %d", n), 1, 2, 3)
		wants(&wire.Load{Job: "another"}, "job another is not open")
		wants(&wire.Lease{Job: job.ID}, "steps of strategy sync are taken together")
		wants(&wire.Merged{Job: job.ID, Lease: 3}, "lease 3 was not committed")
		wants(&wire.Snapshot{}, "no message for a worker")
		h.tell(&wire.Load{Job: job.ID}, initial(t, job)...)
		answer[*wire.Loaded](h)
		wants(&wire.Form{Job: job.ID, Gen: 1, Rank: 1, Members: me}, "rank 1 of 1 members is not this worker")
		wants(&wire.Form{Job: job.ID, Gen: 1, Members: []wire.Member{{ID: "x", Share: 1}}}, "is not this worker")
		wants(&wire.Form{Job: job.ID, Gen: 1, Members: []wire.Member{{ID: h.hello.ID}}}, "no share above 0")
		wants(&wire.Form{Job: job.ID, Gen: 1, Members: []wire.Member{{ID: h.hello.ID, Share: maxShare + 1}}}, "got a share of")
		wants(&wire.Run{Gen: 1, Span: spanOf(job, 0, 0, 1)}, "not a member of generation 1")
		for _, c := range []struct {
			span wire.Span
			want string
		}{
			{spanOf(job, 0, 1, 2), "do not follow on step 0 of epoch 0"},
			{spanOf(job, 1, 0, 2), "do not follow"},
			{spanOf(job, 0, 0, 8), "got steps 0 to 8 with 8 rates, of an epoch of 7"},
			{wire.Span{Last: 2, Rates: []float32{1}}, "with 1 rates"},
		} {
			h.tell(&wire.Form{Job: job.ID, Gen: 1, Members: me})
			wants(&wire.Run{Gen: 1, Span: c.span}, c.want)
		}
		h.leave()
	})
}
