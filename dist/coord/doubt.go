package coord

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/dist/wire"
)

// A result is hard to believe when its numbers are not finite, or far beyond those of
// the other workers (FromWorker.Odd). It may be a lie, a broken machine, or a run that
// diverges, where all are alike. So it is set aside, and another worker takes the same
// steps: when that has a result that is far smaller, the first one is dropped; when not,
// it is the run, and its own rules say so. A worker that is alone has nobody to be
// compared with.

// NotFinite is FromWorker.Odd of tensors with a NaN or an infinity.
const NotFinite = "sent numbers that are not finite"

// Absurd is how many times as large as that of another a result is which is not believed.
const Absurd = 1000

// A doubt is about a result that was set aside.
type doubt struct {
	w     *worker
	why   string
	size  float64
	block // of steps that were taken alone
	// state: it is of all variables, as they were after so many steps.
	state bool
	done  int64
}

// banned is how long a worker is kept out that was dropped for its results for the
// second time; then it is twice as long each time.
const banned = 30 * time.Second

// A record is of a worker whose results could not be used.
type record struct {
	times int
	until time.Duration // it is out of every job
	why   string
}

// maxRecords is how many workers are remembered.
const maxRecords = 1024

// doubted reports whether a result of w is set aside.
func (j *job) doubted(w *worker) bool {
	return slices.ContainsFunc(j.doubts, func(d doubt) bool { return d.w == w })
}

// setAside decides about an odd result of a lease, and reports whether it is set aside.
// The lease is then for another worker.
func (j *job) setAside(w *worker, g *lease, e FromWorker) bool {
	why := e.Odd
	same := func(d doubt) bool { return d.w != w && d.within(g.block) }
	other := func(o *worker) bool { return o != w && !j.doubted(o) }
	if e.Wild || slices.ContainsFunc(j.doubts, same) || !slices.ContainsFunc(j.opened(), other) {
		j.alike(w, why)
		return why == NotFinite && j.diverges(w, g)
	}
	j.m.note(j, w, "%s: steps %d to %d: %s; another worker takes them, to compare", w, g.first, g.last, why)
	j.doubts = append(j.doubts, doubt{w: w, why: why, size: e.Size, block: g.block})
	j.giveUp(w, g)
	return true
}

// giveUp makes the steps of a lease pending again, whose result is not used.
func (j *job) giveUp(w *worker, g *lease) {
	j.leases.remove(g.id)
	j.leases.put(g.block)
	w.lease, w.center = 0, false
}

// diverges ends the span as a loss that is not finite does: variables that are not
// finite never reach the center, whoever has them.
func (j *job) diverges(w *worker, g *lease) bool {
	s := j.leases.span
	j.giveUp(w, g)
	j.bad = &wire.NotFinite{Step: s.Done + int64(g.last-s.First), Loss: wire.Number(math.NaN()),
		Layer: backend.UnknownLayer, Value: "variable"}
	j.m.note(j, w, "%s: %v", w, j.bad.Err())
	return true
}

// within reports whether a lease has the first of the steps in doubt.
func (d doubt) within(b block) bool {
	return !d.state && d.member == b.member && b.first <= d.first && d.first < b.last
}

// alike takes an odd result, since others have such ones too, or nobody is there to
// compare with.
func (j *job) alike(w *worker, why string) {
	if len(j.doubts) > 0 {
		j.m.note(j, w, "%s: %s, as of %s: so it is the run", w, why, j.doubts[0].w)
	}
	j.doubts = nil
}

// compareWith takes a usual result for what it says about those that are in doubt: of one
// that is not so much larger it says that they are alike.
func (j *job) compareWith(w *worker, taken block, e FromWorker) {
	j.settle(w, func(d doubt) bool {
		return !e.Wild && d.within(taken) && (d.why == NotFinite || !(d.size <= Absurd*e.Size))
	})
	j.doubts = slices.DeleteFunc(j.doubts, func(d doubt) bool { return d.w != w && d.within(taken) })
}

// settle drops those whose result for some steps was odd, when another worker has a
// usual one for them.
func (j *job) settle(w *worker, about func(d doubt) bool) {
	for _, d := range slices.Clone(j.doubts) {
		if d.w != w && about(d) {
			j.m.lied(d.w, fmt.Sprintf("%s, and %s has usual ones for the same steps", d.why, w))
		}
	}
}

// doubtState decides about odd variables that a worker has sent to become the base, and
// reports whether they are set aside: others hold the same ones.
func (j *job) doubtState(w *worker, s *wire.State, why string) bool {
	same := func(d doubt) bool { return d.w != w && d.state && d.done == s.At.Done }
	other := func(o *worker) bool {
		return o != w && o.sure && o.at != nil && o.at.Done == s.At.Done && o.loads == 0
	}
	if slices.ContainsFunc(j.doubts, same) || !slices.ContainsFunc(j.opened(), other) {
		j.alike(w, why)
		return false
	}
	j.m.note(j, w, "%s: variables of step %d: %s; another worker is asked for them, to compare", w, s.At.Done, why)
	j.doubts = append(j.doubts, doubt{w: w, why: why, state: true, done: s.At.Done})
	w.at, w.sure = nil, false
	return true
}

// lied drops a worker whose result cannot be used. It may come back; when that happens
// again, not before a while.
func (m *Machine) lied(w *worker, why string) {
	r := m.records[w.hello.ID]
	if r == nil {
		if len(m.records) >= maxRecords {
			clear(m.records) // they come back with new names anyway
		}
		r = &record{}
		m.records[w.hello.ID] = r
	}
	r.why = why
	if r.times++; r.times > 1 {
		r.until = m.now + banned<<min(r.times-2, 10)
	}
	if m.active != nil {
		text := fmt.Sprintf("%s was dropped: %s", w, why)
		m.active.answer(&wire.Warned{Text: text}, Nothing)
	}
	m.drop(w, why, true)
}

// isBanned reports whether a worker may not take part in any job for now.
func (m *Machine) isBanned(w *worker) bool {
	r := m.records[w.hello.ID]
	return r != nil && r.until > m.now
}

// keepOut does not open the job on a worker that is banned, and reports whether it is.
func (j *job) keepOut(w *worker) bool {
	if !j.m.isBanned(w) {
		return false
	}
	r := j.m.records[w.hello.ID]
	w.seat = seat{stage: out, banned: true,
		why: fmt.Sprintf("dropped %d times for its results: %s", r.times, r.why)}
	if j.barred == nil {
		j.barred = map[string]string{}
	}
	j.barred[w.hello.ID] = w.why
	j.m.note(j, w, "%s is out of %s for %.0f s: %s", w, j, (r.until - j.m.now).Seconds(), w.why)
	return true
}

// pardon lets workers take part whose time is over.
func (j *job) pardon() {
	for _, w := range j.present(out) {
		if w.banned && !j.m.isBanned(w) {
			delete(j.barred, w.hello.ID)
			j.open(w)
		}
	}
}

// compare forgets doubts when nobody is left to compare with.
func (j *job) compare() {
	if len(j.doubts) > 0 && !slices.ContainsFunc(j.opened(), func(w *worker) bool { return !j.doubted(w) }) {
		j.m.note(j, nil, "nobody is left to compare the results of %s with", j.doubts[0].w)
		j.doubts = nil
	}
}
