package coord

import (
	"fmt"
	"hash/fnv"
	"time"

	"github.com/gespann/gespann/dist/wire"
)

// vars stands for all variables: how many steps they have taken, and a hash of
// which groups took them.
type vars struct {
	done int64
	hash uint64
}

func (v vars) step(gen int) vars {
	h := fnv.New64a()
	fmt.Fprint(h, v.hash, v.done, gen)
	return vars{v.done + 1, h.Sum64()}
}

// A parcel is a message with tensors.
type parcel struct {
	msg  wire.Message
	vars vars
}

// simGroup is what members of a generation send each other.
type simGroup struct {
	members []string
	gave    map[int64]map[string]vars // gradients of a step, by member
	stop    map[int64]bool            // a member wanted to stop before that step
}

// A simWorker does what workers do, in the order of its messages, when it is let.
type simWorker struct {
	s         *sim
	id        string
	connected bool
	frozen    bool
	leaving   bool          // has said so
	slow      time.Duration // it computes nothing before that
	in        []parcel
	out       []parcel

	job     string
	at      *wire.Position
	vars    vars
	gen     int
	run     *wire.Run // that it is in
	stop    bool
	lease   *wire.Lease
	center  bool // it has the center, and what followed
	waiting bool // for the answer to a commit
	task    *wire.Evaluate
}

func (w *simWorker) say(m wire.Message) { w.out = append(w.out, parcel{m, w.vars}) }

// read takes one message, if there is one and the worker is free for it.
func (w *simWorker) read() {
	if len(w.in) == 0 || w.frozen || w.lease != nil || w.task != nil {
		return
	}
	p := w.in[0]
	w.in = w.in[1:]
	switch m := p.msg.(type) {
	case *wire.Open:
		if w.job != m.Job.ID {
			w.job, w.at = m.Job.ID, nil
		}
		w.run, w.center, w.waiting = nil, false, false
		w.say(&wire.Opened{Job: w.job, At: w.at})
	case *wire.Close:
		w.job, w.at, w.run, w.center, w.waiting = "", nil, nil, false, false
	case *wire.Load:
		w.s.check(m.At.Done == p.vars.done, "load at %d of variables of step %d", m.At.Done, p.vars.done)
		at := m.At
		w.at, w.vars, w.run, w.center, w.waiting = &at, p.vars, nil, false, false
		w.say(&wire.Loaded{Job: w.job, At: at})
	case *wire.Fetch:
		w.say(&wire.State{Job: w.job, At: *w.at})
	case *wire.Form:
		w.s.check(w.run == nil, "%s: form while it runs", w.id)
		w.gen, w.stop = m.Gen, false
	case *wire.Run:
		w.s.check(m.Gen == w.gen, "%s: run of group %d, is in %d", w.id, m.Gen, w.gen)
		w.run, w.stop = m, false
		w.finish(false)
	case *wire.Abort:
		w.run = nil
		w.say(&wire.Aborted{Gen: m.Gen, At: *w.at})
	case *wire.Stop:
		w.stop = true
	case *wire.Lease:
		w.s.check(m.Load || w.center, "%s: lease without the center", w.id)
		w.lease, w.center, w.waiting = m, true, false
	case *wire.Merged:
		w.s.check(w.waiting, "%s: merged, and has not committed", w.id)
		w.waiting = false
	case *wire.Evaluate:
		w.task = m
	}
}

// compute moves what the worker does a bit further.
func (w *simWorker) compute() {
	switch {
	case w.frozen || w.s.now < w.slow:
	case w.run != nil:
		w.together()
	case w.lease != nil:
		l := w.lease
		n := l.Span.Last - l.Span.First
		if w.s.rng.IntN(20) == 0 {
			n = 1 + w.s.rng.IntN(n)
		}
		w.s.trained[fmt.Sprint(w.id, l.Lease)] = block{first: l.Span.First, last: l.Span.First + n, member: l.Member}
		w.say(&wire.Commit{Job: l.Job, Lease: l.Lease, Steps: n, Stats: wire.Stats{Rows: int64(n), Loss: 1}})
		w.lease, w.waiting = nil, true
	case w.task != nil:
		t := w.task
		e := &wire.Evaluated{Job: t.Job, Task: t.Task}
		for i := t.First; i < t.Last; i++ {
			e.Stats = append(e.Stats, wire.Stats{Rows: 1, Loss: wire.Number(i)})
		}
		w.s.evaluatedBy(w)
		w.say(e)
		w.task = nil
	}
}

// together takes a step with the others: each gives its gradients, and goes on
// when it has those of all, which may be before or after another is lost.
func (w *simWorker) together() {
	g := w.s.groups[w.gen]
	done := w.at.Done
	if g.gave[done] == nil {
		g.gave[done] = map[string]vars{}
	}
	if !w.gave() {
		g.gave[done][w.id] = w.vars
		g.stop[done] = g.stop[done] || w.stop
	}
	if len(g.gave[done]) < len(g.members) {
		for _, id := range g.members {
			if w.s.mild {
				break
			}
			if o := w.s.workers[id]; (o == nil || o.gen != w.gen || !o.connected) && w.s.rng.IntN(3) == 0 {
				w.run = nil
				w.say(&wire.Broken{Gen: w.gen, At: *w.at, Peer: id, Err: "gone"})
				return
			}
		}
		return
	}
	for id, v := range g.gave[done] {
		w.s.check(v == w.vars, "group %d at step %d: %s has %v, %s has %v", w.gen, done, w.id, w.vars, id, v)
	}
	w.vars = w.vars.step(w.gen)
	at := *w.at
	at.Done, at.Index, at.Epoch = done+1, w.run.Span.First+int(done+1-w.run.Span.Done), w.run.Span.Epoch
	at.Sums = wire.Stats{Rows: at.Done}
	w.at = &at
	w.finish(g.stop[done])
}

// finish answers Run when the span is complete, or the group was asked to stop.
func (w *simWorker) finish(stop bool) {
	if stop || w.at.Done == spanEnd(w.run.Span) {
		w.run = nil
		w.say(&wire.Ran{Gen: w.gen, At: *w.at})
	}
}

// beat returns what the worker says once a second.
func (w *simWorker) beat() *wire.Beat {
	b := &wire.Beat{Phase: "idle"}
	if w.at != nil {
		b.Done = w.at.Done
	}
	switch {
	case w.run != nil && w.gave():
		b.Phase = "wait"
	case w.run != nil || w.lease != nil:
		b.Phase = "compute"
	}
	return b
}

// gave reports whether the worker has computed its part of the step at hand.
func (w *simWorker) gave() bool {
	_, ok := w.s.groups[w.gen].gave[w.at.Done][w.id]
	return ok
}
