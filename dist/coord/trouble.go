package coord

import (
	"slices"
	"time"
)

const (
	// patienceWithGroups is how many groups may fail in a row at the same step.
	patienceWithGroups = 3
	// deadLink is how long a member has waited for another when their link is taken
	// for dead at once: connections that nobody answers take seconds to fail, and a
	// second attempt would take as long.
	deadLink = 2 * time.Second
	// maxFutile is how many groups may fail in a row at the same step, for whatever
	// reason, before the job does: it may be the step that kills its members.
	maxFutile = 20
	// maxLost is how many workers may be lost with the same lease.
	maxLost = 10
	// maxLosses is how often all variables may be lost before the same step.
	maxLosses = 5
	// apart is how long two workers that do not reach each other are kept apart, the
	// first time.
	apart = 30 * time.Second
)

// Trouble is what went wrong with groups at one step, though nobody was lost.
type trouble struct {
	done    int64
	faulty  bool   // the latest group could not go on
	by, of  string // who said so first, and of whom; "": not known
	dead    bool   // it had waited for long
	members int    // lost since the latest group began
	count   int    // of groups that could not go on, in a row
}

// add notes that a group cannot go on, because one member has waited for another
// in vain.
func (t *trouble) add(by, of string, waited time.Duration) {
	t.faulty, t.by, t.of, t.dead = true, by, of, waited >= deadLink
}

// A rift is between two workers that do not reach each other.
type rift struct {
	a, b  string // IDs
	until time.Duration
	times int // how often that was found
}

// shun sees to it that a group which cannot go on is not formed for ever: when
// several have failed at one step, or one because of a dead link, though nobody was
// lost, the two that do not reach each other are kept apart. It reports whether
// that has changed who takes part.
func (j *job) shun(done int64) bool {
	t := &j.trouble
	if t.done != done {
		t.done, t.count = done, 0
	}
	faulty, lost := t.faulty, t.members > 0
	t.faulty, t.members = false, 0
	if lost {
		t.count = 0 // that was why
		return false
	}
	crew := j.crew()
	if !faulty || len(crew) < 2 {
		return false
	}
	if t.count++; t.count < patienceWithGroups && !t.dead {
		return false
	}
	t.count = 0
	by, of := j.m.worker(t.by), j.m.worker(t.of)
	if by == of || !slices.Contains(crew, by) || !slices.Contains(crew, of) {
		by, of = crew[0], crew[len(crew)-1] // the last that came
	}
	j.part(by, of)
	return true
}

// part keeps two workers apart for a while, and longer each time. Who was
// complained of sits out, unless the other does not reach more of those here.
func (j *job) part(by, of *worker) {
	i := slices.IndexFunc(j.rifts, func(r rift) bool { return r.between(by, of) })
	if i < 0 {
		i = len(j.rifts)
		j.rifts = append(j.rifts, rift{a: by.hello.ID, b: of.hello.ID})
	}
	r := &j.rifts[i]
	wait := apart << min(r.times, 10)
	r.until = j.m.now + wait
	r.times++
	out, in := of, by
	if j.unreached(by) > j.unreached(of) {
		out, in = by, of
	}
	out.crew, j.group = false, nil
	j.m.note(j, out, "%s and %s do not reach each other; the group goes on without %s for %.0f s",
		in, out, out, wait.Seconds())
	j.muster(true)
}

// between reports whether r is between two workers.
func (r rift) between(x, y *worker) bool {
	a, b := x.hello.ID, y.hello.ID
	return r.a == a && r.b == b || r.a == b && r.b == a
}

// reaches reports whether a worker may be in a group with all of others.
func (j *job) reaches(w *worker, others []*worker) bool {
	return !slices.ContainsFunc(j.rifts, func(r rift) bool {
		return r.until > j.m.now && slices.ContainsFunc(others, func(o *worker) bool { return r.between(w, o) })
	})
}

// unreached counts the workers that may not be in a group with w.
func (j *job) unreached(w *worker) int {
	n := 0
	for _, o := range j.opened() {
		if !j.reaches(w, []*worker{o}) {
			n++
		}
	}
	return n
}

// heal forgets what is known of a worker that is gone: it may come from elsewhere.
func (j *job) heal(w *worker) {
	j.rifts = slices.DeleteFunc(j.rifts, func(r rift) bool { return r.a == w.hello.ID || r.b == w.hello.ID })
}
