package coord

import (
	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/dist/wire"
)

// A worker that has to end, because whoever runs the machines takes its place away, says so. It gets
// nothing more to do, finishes what it has begun, and goes when others hold what it
// holds: so nobody repeats a step.

// leaves takes a worker's word that it has to go. Its group stops after the current
// step.
func (m *Machine) leaves(w *worker) {
	if w.leaving {
		return
	}
	w.leaving = true
	m.note(m.active, w, "%s is leaving", w)
	if w.busy && !w.aborting {
		m.tell(w, &wire.Stop{Gen: w.gen}, Nothing)
	}
}

// release lets those go that are leaving and can be spared.
func (m *Machine) release() {
	for _, w := range m.snapshot() {
		if !w.leaving || m.active != nil && !m.active.spares(w) {
			continue
		}
		m.note(m.active, w, "%s has left%s", w, m.rest(w))
		m.do(Drop{ID: w.hello.ID, Reason: backend.TookLeave})
		m.gone(w, backend.TookLeave)
	}
}

// spares reports whether a worker is done with all that it was given, and the job has
// its variables elsewhere. If only that is missing, they are asked for.
func (j *job) spares(w *worker) bool {
	switch {
	case w.stage != open || j.state != attached:
		return true
	case w.busy || w.lease != 0 || w.task != nil:
		return false
	case !j.together() || w.at == nil || !w.sure || w.loads > 0:
		return true
	case j.working():
		return false // the others are about to stop at the same step
	case j.base != nil && j.base.Done >= w.at.Done:
		return true
	}
	for _, o := range j.opened() {
		if o != w && o.sure && o.loads == 0 && o.at.Done >= w.at.Done {
			return true
		}
	}
	if w.crew { // it takes no more steps
		w.crew, j.group = false, nil
	}
	j.fetch(w)
	return false
}
