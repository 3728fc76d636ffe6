package coord

import (
	"fmt"
	"slices"
	"time"

	"github.com/gespann/gespann/dist/strategy"
	"github.com/gespann/gespann/dist/wire"
)

// A job is one that has not ended.
type job struct {
	m       *Machine
	spec    wire.Job
	pattern strategy.Pattern
	window  func(stepsPerEpoch int) int // k of the strategy
	members int                         // of an ensemble; else 1
	state   jobState
	again   bool              // it was taken up, and its driver has not asked for anything since
	driver  bool              // is connected
	back    bool              // it has connected again, and not repeated its request yet
	left    time.Duration     // when it went
	told    string            // the latest reason to wait
	begun   time.Duration     // when its turn came
	barred  map[string]string // workers that cannot take part until they connect again, by ID, and why

	request wire.Message  // what the driver waits for; nil: nothing
	asked   time.Duration // when
	updated time.Duration // when a worker last reported something new
	reached int64         // the furthest step that a worker has reported in this Train
	futile  int           // groups that were formed since
	best    int64         // the furthest step that a worker has ever reported
	losses  int           // how often all was lost since
	doom    string        // why the job has to fail
	stop    bool          // the driver wants Train to end early

	at      *wire.Position // where the run is, between spans; nil: not known
	base    *wire.Position // where the variables are that the coordinator keeps; nil: none
	nobody  time.Duration  // since when nobody holds usable variables, if waiting
	waiting bool
	bad     *wire.NotFinite

	steps   []float64     // seconds of a step in recent spans or leases
	shown   time.Duration // when the driver was last told of progress
	shownAt int64
	group   *group // nil: one has to be formed
	settled time.Duration
	trouble trouble
	rifts   []rift
	probed  *prober

	leases *leases
	doubts []doubt        // about results that were set aside
	round  map[string]int // steps that a worker has taken in this round, by ID
	merges int            // commits merged so far

	eval                  *evaluation
	trainShape, testShape shape // of the statistics
	bill                  bill
}

// A jobState is where a job is.
type jobState uint8

const (
	queued   jobState = iota // waits for its turn
	starting                 // waits for workers
	attached                 // trains
	ended
)

func (m *Machine) job(id string) *job {
	i := slices.IndexFunc(m.jobs, func(j *job) bool { return j.spec.ID == id })
	if i < 0 {
		return nil
	}
	return m.jobs[i]
}

func (m *Machine) driverJoined(a wire.Attach) {
	if j := m.job(a.Job.ID); j != nil {
		if !a.Again {
			m.do(Refuse{Job: a.Job.ID, Reason: fmt.Sprintf("job %s is here already", a.Job.ID)})
			return
		}
		j.takeUp()
		return
	}
	s, _ := strategy.Lookup(a.Job.Strategy)
	p := strategy.ParamsOf(&a.Job)
	p.Named = s.Complete(p.Named)
	err := strategy.Check(a.Job.Strategy, p)
	switch {
	case a.Protocol != wire.Protocol:
		err = fmt.Errorf("this coordinator speaks version %d of the protocol, the driver %d", wire.Protocol, a.Protocol)
	case len(m.jobs) >= m.opt.MaxJobs:
		err = fmt.Errorf("%d jobs are waiting already, which is the limit", len(m.jobs))
	}
	if err != nil {
		m.note(nil, nil, "job %s was refused: %v", a.Job.ID, err)
		m.do(Refuse{Job: a.Job.ID, Reason: err.Error()})
		return
	}
	j := &job{m: m, spec: a.Job, pattern: s.Pattern, again: a.Again, driver: true, at: a.At, bill: newBill(), members: 1}
	j.window = func(steps int) int { return s.Window(p, steps) }
	if s.Pattern == strategy.Members {
		j.members = int(p.Named["members"])
	}
	m.jobs = append(m.jobs, j)
	m.note(j, nil, "job %s (%s, %s) joined the queue", j, j.spec.ID, j.spec.Strategy)
}

// String returns the job's name, for people.
func (j *job) String() string {
	if j.spec.Name != "" {
		return j.spec.Name
	}
	return j.spec.ID
}

// takeUp gives a job a new connection of its driver, which repeats its request.
func (j *job) takeUp() {
	j.m.note(j, nil, "the driver of %s is back", j)
	j.driver, j.told, j.back = true, "", j.request != nil
	if j.state == attached {
		j.answer(&wire.Attached{Workers: len(j.opened())}, Nothing)
	}
}

func (m *Machine) driverGone(id string) {
	if j := m.job(id); j != nil && j.driver {
		j.driver, j.left = false, m.now
		m.note(j, nil, "the driver of %s is gone; its job is kept for %.0f s", j, m.hold().Seconds())
	}
}

// hold returns how long a job without its driver has its place: not as long when
// others wait for their turn. A driver that comes later asks for a new turn, and
// has all that it needs.
func (m *Machine) hold() time.Duration {
	if slices.ContainsFunc(m.jobs, func(j *job) bool { return j.state == queued && j.driver }) {
		return m.opt.Hold / 4
	}
	return m.opt.Hold
}

func (m *Machine) cancel(id, reason string) {
	if j := m.job(id); j != nil {
		j.fail("cancelled: " + reason)
	}
}

// wait tells the driver why it has to, once.
func (j *job) wait(reason string) {
	if j.told != reason {
		j.told = reason
		late := j.state == queued || j.m.now-j.begun > j.m.opt.Grace
		j.answer(&wire.Queued{Reason: reason, Pass: late && j.lacks()}, Nothing)
	}
}

// answer tells the driver something, if it is there.
func (j *job) answer(msg wire.Message, with With) {
	if j.driver {
		j.m.do(Answer{Job: j.spec.ID, Msg: msg, With: with})
	}
}

// finish answers the request. A driver that is back repeats it, and gets its answer
// then: one to what it asked before would be taken for that to its next request.
func (j *job) finish(msg wire.Message, with With) {
	j.request, j.stop, j.bad = nil, false, nil
	j.bill.rest.train(false, j.m.now)
	if !j.back {
		j.answer(msg, with)
	}
}

// fail ends the job, and tells its driver why.
func (j *job) fail(reason string) {
	j.answer(&wire.Fault{Err: reason}, Nothing)
	j.end(reason)
}

// end forgets the job. The turn goes to the next one.
func (j *job) end(reason string) {
	if j.state == ended {
		return
	}
	m := j.m
	m.note(j, nil, "job %s has ended: %s", j, reason)
	if m.active == j {
		j.vacate(true)
	}
	j.state = ended
	m.jobs = slices.DeleteFunc(m.jobs, func(o *job) bool { return o == j })
	m.do(Free{Job: j.spec.ID})
}
