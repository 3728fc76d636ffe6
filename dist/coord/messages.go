package coord

import (
	"fmt"

	"github.com/gespann/gespann/dist/wire"
)

// fromWorker takes what a worker says. One that says what cannot be is dropped.
func (m *Machine) fromWorker(e FromWorker) {
	msg := e.Msg
	w := m.worker(e.ID)
	if w == nil {
		return // it was dropped, and this was on its way
	}
	w.heard = m.now
	j := m.active
	if b, ok := msg.(*wire.Beat); ok {
		m.beat(w, b)
		return
	}
	if _, ok := msg.(*wire.Leave); ok {
		m.leaves(w)
		return
	}
	if j == nil || w.stage == idle || w.stage == out {
		if !fromWorkers(msg) {
			m.drop(w, fmt.Sprintf("sent %s, which is not for a coordinator", kind(msg)), false)
		}
		return // of a job that has ended
	}
	if job, ok := jobOf(msg); ok && job != j.spec.ID {
		return // likewise
	}
	if err := j.hear(w, e); err != nil {
		m.drop(w, "sent what cannot be: "+err.Error(), false)
	}
}

func (m *Machine) beat(w *worker, b *wire.Beat) {
	if m.active != nil {
		m.active.sawBeat(w, b.Done, b.Phase)
		if w.stage == open {
			w.cost = b.Cost
		}
	}
	w.beat = *b
	if m.active != nil {
		m.active.progress()
	}
}

// hear takes a message about the job from a worker that has been told of it.
func (j *job) hear(w *worker, e FromWorker) error {
	msg := e.Msg
	if w.stage == opening {
		switch msg.(type) {
		case *wire.Opened, *wire.NeedData, *wire.Failed:
		default:
			return nil // of a job before this one
		}
	}
	switch r := msg.(type) {
	case *wire.Opened:
		return j.hasOpened(w, r)
	case *wire.NeedData:
		j.m.note(j, w, "%s has no data: %s", w, r.Why)
		j.m.do(SendRows{ID: w.hello.ID, Job: j.spec.ID})
	case *wire.Loaded:
		return j.hasLoaded(w, r)
	case *wire.State:
		return j.hasState(w, r, e.Odd)
	case *wire.Ran:
		return j.hasRan(w, r)
	case *wire.Broken:
		return j.isBroken(w, r)
	case *wire.Aborted:
		return j.hasAborted(w, r)
	case *wire.Commit:
		return j.hasCommitted(w, r, e)
	case *wire.Evaluated:
		return j.hasEvaluated(w, r)
	case *wire.Failed:
		return j.hasFailed(w, r)
	default:
		return fmt.Errorf("%s, which is not for a coordinator", kind(msg))
	}
	return nil
}

func (j *job) hasFailed(w *worker, f *wire.Failed) error {
	switch {
	case f.NotFinite != nil:
		return j.isNotFinite(w, f)
	case f.Fatal:
		j.fail(fmt.Sprintf("%s: %s", w, f.Err))
	default:
		j.exclude(w, f.Err)
	}
	return nil
}

// fromWorkers reports whether a worker may say such a thing at all.
func fromWorkers(msg wire.Message) bool {
	switch msg.(type) {
	case *wire.Ran, *wire.Broken, *wire.Aborted:
		return true
	}
	_, ok := jobOf(msg)
	return ok
}

// jobOf returns the job that a worker's message is about, if it says.
func jobOf(msg wire.Message) (string, bool) {
	switch r := msg.(type) {
	case *wire.Opened:
		return r.Job, true
	case *wire.NeedData:
		return r.Job, true
	case *wire.Loaded:
		return r.Job, true
	case *wire.State:
		return r.Job, true
	case *wire.Commit:
		return r.Job, true
	case *wire.Evaluated:
		return r.Job, true
	case *wire.Failed:
		return r.Job, true
	}
	return "", false
}
