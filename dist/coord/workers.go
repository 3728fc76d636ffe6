package coord

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gespann/gespann/dist/wire"
)

// A worker is one that is connected.
type worker struct {
	hello  wire.Hello
	joined time.Duration
	heard  time.Duration // when its latest message came
	beat   wire.Beat     // the latest
	// since is when it began the phase of the step that it is in, as far as beats
	// tell.
	since   time.Duration
	leaving bool // it has to go
	seat         // what it is in the active job
}

// A seat is what a worker is in a job. The zero seat is that of a worker without
// a job.
type seat struct {
	stage stage
	why   string // it is out
	// banned: it is out for a while, whatever it says.
	banned bool
	crew   bool // it takes part; else it waits until the group changes

	// at is where the variables that it holds are; nil: it holds none. If sure, they
	// are equal to those of all others that are sure, and at the same place.
	// Otherwise it said so itself when it came.
	at   *wire.Position
	sure bool

	owes    time.Duration  // since when it owes an answer to Load, Fetch or Abort
	loads   int            // Loads that it has not answered
	loading *wire.Position // the latest of them
	fetches int            // Fetches that it has not answered
	ignore  int            // of them, whose answers nobody wants any more

	gen      int       // of its latest group
	span     wire.Span // that it was told to run
	busy     bool      // told Run, and has not answered
	aborting bool      // told Abort, and has not answered

	lease  int           // that it works on; 0: none
	latest int           // lease that it has committed
	synced int           // commits of the job when it last got the center
	center bool          // it has the center, and what followed from it
	task   *task         // of an evaluation that it works on; nil: none
	number int           // of that
	given  time.Duration // when it got the lease or task
	rest   time.Duration // it gets no lease before that

	cost     wire.Cost
	rests    time.Duration // of the job, when it last trained
	trained  bool          // rests is known
	measured wire.Cost     // when its speed was measured last
	speed    float64       // rows per second of computing; 0: not known
}

// A stage is how far a worker is in a job.
type stage uint8

const (
	idle    stage = iota // has no job
	opening              // was told Open
	open                 // has it open
	out                  // cannot take part
)

// String returns the worker's name, for people.
func (w *worker) String() string { return name(w.hello) }

func name(h wire.Hello) string {
	if h.Name != "" {
		return h.Name
	}
	return h.ID
}

// free reports whether it has the job open, and owes nothing.
func (w *worker) free() bool {
	return w.stage == open && w.loads == 0 && !w.busy && w.lease == 0 && w.task == nil
}

func (m *Machine) worker(id string) *worker {
	i := slices.IndexFunc(m.workers, func(w *worker) bool { return w.hello.ID == id })
	if i < 0 {
		return nil
	}
	return m.workers[i]
}

// snapshot returns the workers, for loops that may drop some.
func (m *Machine) snapshot() []*worker { return slices.Clone(m.workers) }

func (m *Machine) workerJoined(h wire.Hello) {
	if old := m.worker(h.ID); old != nil {
		m.note(m.active, old, "%s has connected again", old)
		m.gone(old, "it has connected again")
	}
	w := &worker{hello: h, joined: m.now, heard: m.now, since: m.now}
	switch {
	case h.Protocol != wire.Protocol:
		m.reject(w, fmt.Sprintf("this coordinator speaks version %d of the protocol, the worker (%s) %d",
			wire.Protocol, h.Version, h.Protocol))
		return
	case len(m.workers) >= m.opt.MaxWorkers:
		m.reject(w, fmt.Sprintf("there are %d workers already, which is the limit", len(m.workers)))
		return
	}
	m.workers = append(m.workers, w)
	for _, j := range m.jobs {
		delete(j.barred, h.ID)
	}
	m.tell(w, &wire.Welcome{Coordinator: m.opt.Coordinator}, Nothing)
	m.note(m.active, w, "%s (%s) joined", w, strings.TrimSpace(h.Backend+" "+h.Device))
	if j := m.active; j != nil {
		j.open(w)
	}
}

// reject drops a worker that has not become a member.
func (m *Machine) reject(w *worker, reason string) {
	m.note(nil, w, "%s was refused: %s", w, reason)
	m.do(Drop{ID: w.hello.ID, Reason: reason})
}

func (m *Machine) workerGone(id, reason string) {
	w := m.worker(id)
	if w == nil {
		return
	}
	m.note(m.active, w, "%s is gone: %s%s", w, reason, m.rest(w))
	m.gone(w, reason)
}

// drop ends a worker's membership.
func (m *Machine) drop(w *worker, reason string, retry bool) {
	m.note(m.active, w, "%s dropped: %s%s", w, reason, m.rest(w))
	m.do(Drop{ID: w.hello.ID, Reason: reason, Retry: retry})
	m.gone(w, reason)
}

// rest says who goes on when a member is lost.
func (m *Machine) rest(lost *worker) string {
	j := m.active
	if j == nil || j.state != attached || !lost.crew {
		return ""
	}
	crew, left := j.crew(), 0
	for _, w := range crew {
		if w != lost {
			left++
		}
	}
	return fmt.Sprintf("; %d of %d go on", left, len(crew))
}

// gone forgets a worker, and what it was doing is for others.
func (m *Machine) gone(w *worker, why string) {
	m.workers = slices.DeleteFunc(m.workers, func(o *worker) bool { return o == w })
	if j := m.active; j != nil {
		j.lost(w, why)
	}
	w.seat = seat{}
}
