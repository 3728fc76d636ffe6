package coord

import (
	"fmt"
	"math"

	"github.com/gespann/gespann/dist/strategy"
	"github.com/gespann/gespann/dist/wire"
)

// load sends a worker the base.
func (j *job) load(w *worker) {
	at := *j.base
	w.at, w.sure, w.loading, w.owes = nil, false, &at, j.m.now
	w.center, w.ignore = false, w.fetches
	w.loads++
	j.m.tell(w, &wire.Load{Job: j.spec.ID, At: at}, Base)
}

// hasLoaded takes the answer of a worker.
func (j *job) hasLoaded(w *worker, l *wire.Loaded) error {
	if w.loads == 0 {
		return fmt.Errorf("it has loaded variables, and was not told to")
	}
	if w.loads--; w.loads > 0 {
		return nil
	}
	if l.At.Done != w.loading.Done {
		return fmt.Errorf("loaded step %d, want %d", l.At.Done, w.loading.Done)
	}
	w.at, w.sure, j.updated = w.loading, true, j.m.now
	return nil
}

// fetch asks a worker for all variables, to become the base.
func (j *job) fetch(w *worker) {
	if w.fetches > w.ignore {
		return
	}
	w.fetches++
	w.owes = j.m.now
	j.m.tell(w, &wire.Fetch{Job: j.spec.ID}, Nothing)
}

// hasState takes the answer of a worker.
func (j *job) hasState(w *worker, s *wire.State, odd string) error {
	if w.fetches == 0 {
		return fmt.Errorf("it sent variables, and was not asked")
	}
	w.fetches--
	if w.ignore > 0 {
		w.ignore--
		return nil
	}
	if w.at == nil || s.At.Done != w.at.Done {
		return fmt.Errorf("sent variables of step %d, which is not where it was", s.At.Done)
	}
	j.updated = j.m.now
	if odd != "" && j.doubtState(w, s, odd) {
		return nil
	}
	if odd == "" {
		j.settle(w, func(d doubt) bool { return d.state && d.done == s.At.Done })
	}
	j.keep(s.At, false)
	return nil
}

// keep makes the tensors of the event the base.
func (j *job) keep(at wire.Position, center bool) {
	j.base = &at
	j.m.do(Keep{Job: j.spec.ID, At: at, Center: center})
}

// restore begins anew from the driver's variables.
func (j *job) restore(r *wire.Restore) {
	j.disband()
	j.leases, j.eval, j.probed, j.round = nil, nil, nil, nil
	j.keep(r.At, !j.together())
	at := r.At
	j.at = &at
	j.muster(true)
	for _, w := range j.opened() {
		w.at, w.sure, w.center, w.ignore = nil, false, false, w.fetches
		if w.crew && j.pattern != strategy.Members {
			j.load(w)
		}
	}
}

// restored answers Restore when everyone who was told has loaded. Without
// workers the base is enough.
func (j *job) restored() {
	for _, w := range j.crew() {
		if w.loads > 0 {
			return
		}
	}
	j.finish(&wire.Restored{}, Nothing)
}

// furthest returns the position in lo ≤ Done ≤ hi that is furthest, and a worker
// that is there, or nil when only the base is. When nobody is sure, one who said
// where it was when it came is believed, and the others follow.
func (j *job) furthest(lo, hi int64) (*worker, *wire.Position) {
	var at *wire.Position
	if j.base != nil && lo <= j.base.Done && j.base.Done <= hi {
		at = j.base
	}
	best, claim := (*worker)(nil), (*worker)(nil)
	for _, w := range j.opened() {
		if w.at == nil || w.loads > 0 || w.at.Done < lo || w.at.Done > hi {
			continue
		}
		switch {
		case !w.sure:
			if claim == nil || w.at.Done > claim.at.Done {
				claim = w
			}
		case at == nil || w.at.Done > at.Done || best == nil && w.at.Done == at.Done:
			best, at = w, w.at
		}
	}
	if at == nil && claim != nil {
		j.believe(claim)
		return claim, claim.at
	}
	return best, at
}

// believe makes a worker the one that all others follow.
func (j *job) believe(w *worker) {
	j.m.note(j, w, "%s goes on from step %d, which %s holds", j, w.at.Done, w)
	j.disband()
	for _, o := range j.opened() {
		o.sure, o.crew = o == w, o == w
	}
	j.muster(true)
}

// gather brings the crew to the furthest position in lo ≤ Done ≤ hi, and returns
// it when all are there. It answers the request when nobody holds such variables
// any more.
func (j *job) gather(lo, hi int64) (*wire.Position, bool) {
	src, at := j.furthest(lo, hi)
	if at == nil {
		j.orphaned(lo)
		return nil, false
	}
	j.waiting = false
	crew := j.crew()
	ready := len(crew) > 0
	for _, w := range crew {
		switch {
		case w.loads > 0:
			ready = false
		case w.sure && w.at != nil && w.at.Done == at.Done:
		case j.base == nil || j.base.Done != at.Done:
			ready = false
			j.fetch(src)
		default:
			ready = false
			j.load(w)
		}
	}
	return at, ready
}

// orphaned waits for someone who holds variables that the job can go on from, and
// then tells the driver that there is no one.
func (j *job) orphaned(lo int64) {
	m := j.m
	if !j.waiting {
		j.waiting, j.nobody = true, m.now
		m.note(j, nil, "no one here holds the variables of step %d; waiting for workers that do", lo)
	}
	if m.now-j.nobody < m.opt.Grace {
		return
	}
	j.waiting = false
	if j.losses++; j.losses > maxLosses {
		j.doom = fmt.Sprintf("all workers were lost %d times before step %d was taken", j.losses, j.best+1)
		j.advance()
		return
	}
	reason := fmt.Sprintf("no worker holds the variables of step %d any more", lo)
	m.note(j, nil, "%s", reason)
	j.disband()
	j.finish(&wire.Lost{Reason: reason}, Nothing)
}

// here returns the bounds of where the run is, for requests between spans.
func (j *job) here() (lo, hi int64) {
	if j.at == nil {
		return 0, math.MaxInt64
	}
	return j.at.Done, j.at.Done
}

// snapshot answers Snapshot: from the center, from the base when it is where the
// run is, or from a worker, whose variables become the base.
func (j *job) snapshot() {
	if !j.together() {
		if !j.hasCenter() {
			return
		}
		j.mergeRound()
		j.finish(&wire.Variables{At: *j.at}, Whole)
		return
	}
	if j.working() {
		return
	}
	src, at := j.furthest(j.here())
	switch {
	case at == nil:
		lo, _ := j.here()
		j.orphaned(lo)
	case j.base != nil && j.base.Done == at.Done:
		j.at = at
		j.finish(&wire.Variables{At: *at}, Base)
	default:
		j.waiting = false
		j.fetch(src)
	}
}
