package coord

import (
	"fmt"
	"strings"

	"github.com/gespann/gespann/dist/wire"
)

// Jobs have their turn in the order in which they came. One that wants more workers
// than are connected, or than can open it, is passed by those that have enough, after a grace; when the
// turn is free again it is asked first, so it is passed only while it could not begin.

// begin gives the turn to the first job that can begin, or else to the first one whose
// driver is there. It reports whether there is such a job.
func (m *Machine) begin() bool {
	first := m.ready(nil)
	for _, j := range m.jobs {
		if first == nil && j.driver {
			first = j
		}
	}
	if first == nil {
		return false
	}
	m.active = first
	first.state, first.begun, first.updated = starting, m.now, m.now
	m.note(first, nil, "it is the turn of %s", first)
	for _, w := range m.workers {
		first.open(w)
	}
	return true
}

// ready returns the first job, but for one, whose driver is there and for which there
// are enough workers, or nil.
func (m *Machine) ready(but *job) *job {
	for _, j := range m.jobs {
		if j != but && j.driver && !j.lacks() {
			return j
		}
	}
	return nil
}

// lacks reports whether the job wants more workers than are connected and have not said
// that they cannot take part. One that was taken up again makes do with fewer.
func (j *job) lacks() bool {
	want := max(1, j.spec.Workers)
	if j.again {
		want = 1
	}
	can := 0
	for _, w := range j.m.workers {
		if _, barred := j.barred[w.hello.ID]; !barred {
			can++
		}
	}
	return can < want
}

// bars says which of the workers cannot take part, the first of them, and why.
func (j *job) bars() string {
	var first *worker
	others := 0
	for _, w := range j.m.workers {
		switch _, barred := j.barred[w.hello.ID]; {
		case barred && first == nil:
			first = w
		case barred:
			others++
		}
	}
	if first == nil {
		return ""
	}
	why, _, _ := strings.Cut(j.barred[first.hello.ID], "\n")
	if others > 0 {
		return fmt.Sprintf("; %s and %d more cannot take part: %s", first, others, why)
	}
	return fmt.Sprintf("; %s cannot take part: %s", first, why)
}

// pass takes the turn from a job that cannot begin, when another can: at once when its
// driver is gone, after a grace when it lacks workers. It reports whether it did.
func (m *Machine) pass() bool {
	j := m.active
	late := m.now-j.begun > m.opt.Grace
	if j.state != starting || j.driver && !(late && j.lacks()) {
		return false
	}
	next := m.ready(j)
	if next == nil {
		return false
	}
	m.note(j, nil, "%s lets %s pass", j, next)
	j.vacate(false)
	j.state, j.told, j.bill = queued, "", newBill()
	return true
}

// vacate closes the job on all workers, as it has ended or lets another pass. Nobody has
// the turn then.
func (j *job) vacate(ended bool) {
	for _, w := range j.m.workers {
		if w.stage == opening || w.stage == open {
			j.m.tell(w, &wire.Close{Job: j.spec.ID, Ended: ended}, Nothing)
		}
		w.seat = seat{}
	}
	j.m.active = nil
}

// queueUp tells the drivers of waiting jobs where they are in the queue.
func (m *Machine) queueUp() {
	place := 0
	for _, j := range m.jobs {
		if j.state != queued {
			continue
		}
		place++
		text := fmt.Sprintf("place %d in the queue; %s has its turn", place, m.active)
		if j.lacks() {
			text += "; " + j.wants()
		}
		j.wait(text)
	}
}

// wants says how many workers the job waits for, and how many there are.
func (j *job) wants() string {
	n, are := len(j.m.workers), "are"
	if n == 1 {
		are = "is"
	}
	return fmt.Sprintf("it wants %d workers, and %d %s connected", max(1, j.spec.Workers), n, are) + j.bars()
}
