package coord

import (
	"cmp"
	"fmt"
	"time"

	"github.com/gespann/gespann/dist/wire"
)

// Options are the patience and the bounds of a Machine. What is zero has the
// value in brackets.
type Options struct {
	Coordinator string        // random, of this process: Welcome says it
	FirstGen    int           // generations are numbered from here [1], leases and tasks too
	Beat        time.Duration // between Pings [1 s]
	Dead        time.Duration // a worker is dropped when it is silent for longer [3 s]
	// Stuck: a member that computes one step for longer while another waits is
	// dropped, and so is one that does not answer Abort. A lease that takes longer
	// is given to another worker [10 s]. At least 20 times the median of a step,
	// or 10 times that of a lease, in any case.
	Stuck time.Duration
	// Patience: a job fails when none of its workers has reported an update for so
	// long while its driver waits [60 s].
	Patience time.Duration
	// Grace is how long a job waits for workers that hold its variables, when no
	// one present does, and how long one that was taken up again waits for as many
	// workers as it wants [5 s].
	Grace      time.Duration
	Hold       time.Duration // a job without its driver is closed after that, or a quarter of it when others wait [60 s]
	Settle     time.Duration // between changes of a group that are not urgent [2 s]
	MaxWorkers int           // [1024]
	MaxJobs    int           // that have not ended [1024]
}

// maxAway is the time between two events after which the Machine takes it that
// it was asleep itself: then it blames nobody for what did not happen.
const maxAway = time.Second

// A Machine decides. It is not safe for concurrent use.
type Machine struct {
	opt     Options
	clock   time.Duration // of the latest event
	now     time.Duration // of the machine, which stands still while it is asleep
	pinged  time.Duration
	workers []*worker          // present, in the order in which they came
	jobs    []*job             // that have not ended; those that wait are in order
	active  *job               // the one that has its turn, or nil
	number  int                // of the latest generation, lease or task
	records map[string]*record // of workers whose results could not be used, by ID
	out     []Action
}

// New returns a Machine without workers and jobs.
func New(opt Options) *Machine {
	opt.FirstGen = cmp.Or(opt.FirstGen, 1)
	opt.Beat = cmp.Or(opt.Beat, time.Second)
	opt.Dead = cmp.Or(opt.Dead, 3*time.Second)
	opt.Stuck = cmp.Or(opt.Stuck, 10*time.Second)
	opt.Patience = cmp.Or(opt.Patience, time.Minute)
	opt.Grace = cmp.Or(opt.Grace, 5*time.Second)
	opt.Hold = cmp.Or(opt.Hold, time.Minute)
	opt.Settle = cmp.Or(opt.Settle, 2*time.Second)
	opt.MaxWorkers = cmp.Or(opt.MaxWorkers, 1024)
	opt.MaxJobs = cmp.Or(opt.MaxJobs, 1024)
	return &Machine{opt: opt, number: opt.FirstGen - 1, records: map[string]*record{}}
}

// Step takes an event at a time, which is never before that of an earlier one,
// and returns what is to be done, in order. The caller may keep the actions.
func (m *Machine) Step(now time.Duration, e Event) []Action {
	m.out = nil
	m.wake(now)
	switch e := e.(type) {
	case WorkerJoined:
		m.workerJoined(e.Hello)
	case WorkerGone:
		m.workerGone(e.ID, e.Reason)
	case FromWorker:
		m.fromWorker(e)
	case DriverJoined:
		m.driverJoined(e.Attach)
	case DriverGone:
		m.driverGone(e.Job)
	case FromDriver:
		m.fromDriver(e.Job, e.Msg)
	case Cancel:
		m.cancel(e.Job, e.Reason)
	case Tick:
		m.tick()
	}
	m.advance()
	return m.out
}

// wake sets the clocks.
func (m *Machine) wake(now time.Duration) {
	if passed := now - m.clock; passed > 0 {
		m.now += min(passed, maxAway)
		m.clock = now
	}
}

// tick does what time alone makes due.
func (m *Machine) tick() {
	for _, w := range m.snapshot() {
		if silent := m.now - w.heard; silent > m.opt.Dead {
			m.drop(w, fmt.Sprintf("silent for %.1f s", silent.Seconds()), true)
		}
	}
	if m.now-m.pinged >= m.opt.Beat {
		m.pinged = m.now
		for _, w := range m.workers {
			m.tell(w, &wire.Ping{}, Nothing)
		}
	}
	for _, j := range append([]*job(nil), m.jobs...) {
		if away := m.now - j.left; !j.driver && away > m.hold() {
			j.end(fmt.Sprintf("its driver has been away for %.0f s", away.Seconds()))
		}
	}
	if m.active != nil {
		m.active.watch()
	}
}

// advance lets the job whose turn it is do what can be done now, and the next
// one when it has ended.
func (m *Machine) advance() {
	for {
		m.release()
		if m.active == nil && !m.begin() {
			return
		}
		j := m.active
		j.advance()
		if m.active == j && !m.pass() {
			m.queueUp()
			return
		}
	}
}

// next returns a number that has not been used: generations, leases and tasks
// are numbered together.
func (m *Machine) next() int {
	m.number++
	return m.number
}

func (m *Machine) do(a Action) { m.out = append(m.out, a) }

func (m *Machine) tell(w *worker, msg wire.Message, with With) {
	m.do(Tell{ID: w.hello.ID, Msg: msg, With: with})
}

// note writes a sentence about a job and a worker, either of which may be nil.
func (m *Machine) note(j *job, w *worker, format string, args ...any) {
	n := Note{Time: m.clock, Text: fmt.Sprintf(format, args...)}
	if j != nil {
		n.Job = j.spec.ID
	}
	if w != nil {
		n.ID = w.hello.ID
	}
	m.do(n)
}
