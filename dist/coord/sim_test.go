package coord

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/gespann/gespann/dist/wire"
)

var seeds = flag.Int("seeds", 600, "how many simulations to run")

// TestSimulation lets model workers and a model driver run whole jobs against a
// machine, in random order, while workers die, hang and come, drivers are cut
// off, and coordinators are replaced. It checks what must hold in every order:
//
//   - members of a group have equal variables, which have taken each step once;
//   - alone, every step of a span is merged once, and nothing beyond is;
//   - generations are never used twice, and nobody is in two at a time;
//   - nothing is sent to someone who is not there;
//   - the job comes to its end when the faults do.
func TestSimulation(t *testing.T) {
	n := *seeds
	if testing.Short() {
		n = min(n, 100)
	}
	strategies := []string{"sync", "adag", "local_sgd", "single", "averaging", "ensemble"}
	lost, unused := 0, 0
	for seed := range n {
		s := newSim(t, uint64(seed), strategies[seed%len(strategies)])
		s.play()
		lost, unused = lost+s.lost, unused+s.unused
		if t.Failed() {
			t.Fatalf("seed %d, %s", seed, s.driver.job.Strategy)
		}
	}
	if lost == 0 || unused == 0 {
		t.Errorf("%d times all was lost, %d commits were late: the faults are too mild", lost, unused)
	}
}

// TestLeaving simulates jobs whose workers leave and are replaced, and nothing else
// goes wrong. It checks that nobody is told to drop a step, and nothing is lost.
func TestLeaving(t *testing.T) {
	n := *seeds / 2
	if testing.Short() {
		n = min(n, 50)
	}
	left := 0
	for seed := range n {
		for _, strategy := range []string{"sync", "adag", "averaging", "ensemble"} {
			s := newSim(t, uint64(seed), strategy)
			s.mild = true
			s.play()
			left += s.left
			s.check(s.lost == 0, "all was lost %d times", s.lost)
			if t.Failed() {
				t.Fatalf("seed %d, %s", seed, strategy)
			}
		}
	}
	if left < n {
		t.Errorf("%d workers left in %d runs: too few", left, 4*n)
	}
}

// A sim is a machine with all that is around it.
type sim struct {
	t        *testing.T
	rng      *rand.Rand
	m        *Machine
	now      time.Duration
	beaten   time.Duration
	workers  map[string]*simWorker
	order    []string
	groups   map[int]*simGroup
	driver   *simDriver
	together bool
	calm     bool // no more faults
	mild     bool // workers leave, and nothing else goes wrong
	left     int  // workers that were let go
	base     *vars
	trained  map[string]block // of a commit, by worker and lease
	merged   map[block]int    // single steps of the run that the center has
	held     map[string]bool
	tested   map[int]int64 // where the run was when a task was given
	lost     int           // how often the driver was told that all is lost
	unused   int           // commits that came too late
	log      []string
}

func newSim(t *testing.T, seed uint64, strategy string) *sim {
	s := &sim{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), workers: map[string]*simWorker{}, groups: map[int]*simGroup{},
		trained: map[string]block{}, merged: map[block]int{}, held: map[string]bool{}, tested: map[int]int64{},
		together: strategy == "sync" || strategy == "single",
	}
	s.driver = &simDriver{s: s, last: 2 * simEpoch, job: wire.Job{
		ID: "a", Strategy: strategy, BatchSize: 4, Accumulate: 1, Workers: 1 + s.rng.IntN(3),
		Rows: [3]int{simEpoch * 4, simBatches * 4, 0}, Shards: []int{0, 8}[s.rng.IntN(2)], Rate0: 0.01,
		Params: map[string]float64{},
	}}
	switch strategy {
	case "adag", "local_sgd":
		s.driver.job.Params["window"] = float64(1 + s.rng.IntN(5))
	case "ensemble":
		s.driver.job.Params["members"] = float64(1 + s.rng.IntN(3))
	}
	s.m = New(Options{})
	return s
}

func (s *sim) check(ok bool, format string, args ...any) {
	if ok || s.t.Failed() {
		return
	}
	s.t.Helper()
	for _, line := range s.log[max(0, len(s.log)-60):] {
		s.t.Log(line)
	}
	s.t.Errorf(format, args...)
}

// play runs the job to its end: first with faults, then without.
func (s *sim) play() {
	s.driver.here = true
	s.step(DriverJoined{Attach: wire.Attach{Protocol: wire.Protocol, Job: s.driver.job}}, vars{})
	for i := range 30000 {
		s.calm = i > 3000
		if s.driver.ended || s.t.Failed() {
			return
		}
		if s.driver.failed != "" {
			s.check(false, "the job failed: %s", s.driver.failed)
			return
		}
		s.event()
	}
	s.check(false, "the job has not ended: at step %d of %d, %v", s.driver.at.Done, s.driver.last, s.driver.request)
}

// event lets one thing happen.
func (s *sim) event() {
	w := s.any()
	switch n := s.rng.IntN(1000); {
	case n < 40:
		s.pass()
	case n < 300 && w != nil:
		w.read()
	case n < 600 && w != nil:
		w.compute()
	case n < 900 && w != nil:
		s.deliver(w)
	case n < 960:
		s.driver.act()
	case n < 970:
		s.fault(w)
	default:
		s.join()
	}
}

func (s *sim) any() *simWorker {
	if len(s.order) == 0 {
		return nil
	}
	return s.workers[s.order[s.rng.IntN(len(s.order))]]
}

// pass lets a quarter of a second pass.
func (s *sim) pass() {
	s.now += 250 * time.Millisecond
	if s.now-s.beaten >= time.Second {
		s.beaten = s.now
		for _, id := range s.order {
			if w := s.workers[id]; w.connected && !w.frozen {
				s.step(FromWorker{ID: id, Msg: w.beat()}, vars{})
			}
		}
	}
	s.step(Tick{}, vars{})
}

// deliver brings a worker's next message to the machine.
func (s *sim) deliver(w *simWorker) {
	if len(w.out) == 0 || !w.connected {
		return
	}
	p := w.out[0]
	w.out = w.out[1:]
	s.step(FromWorker{ID: w.id, Msg: p.msg}, p.vars)
}

// join connects a worker that is cut off, or a new one.
func (s *sim) join() {
	for _, id := range s.order {
		w := s.workers[id]
		if s.calm {
			w.frozen = false
		}
		if !w.connected && !w.frozen && !w.leaving {
			w.connected, w.in, w.out, w.run, w.lease, w.task, w.gen = true, nil, nil, nil, nil, nil, 0
			s.step(WorkerJoined{Hello: wire.Hello{Protocol: wire.Protocol, ID: id, Job: w.job, At: w.at}}, vars{})
			return
		}
	}
	if len(s.order) < 4 {
		id := fmt.Sprintf("w%d", len(s.workers)+1)
		w := &simWorker{s: s, id: id, connected: true}
		s.workers[id] = w
		s.order = append(s.order, id)
		s.step(WorkerJoined{Hello: wire.Hello{Protocol: wire.Protocol, ID: id}}, vars{})
	}
}

// fault breaks something.
func (s *sim) fault(w *simWorker) {
	if s.calm {
		return
	}
	if s.mild {
		s.leave(w)
		return
	}
	switch n := s.rng.IntN(13); {
	case n < 4 && w != nil: // killed
		s.cut(w)
		s.order = slices.DeleteFunc(s.order, func(id string) bool { return id == w.id })
		w.gen = 0
	case n < 6 && w != nil:
		s.cut(w)
	case n < 8 && w != nil:
		w.frozen = !w.frozen
	case n < 10:
		s.driver.flip()
	case n == 10 && w != nil:
		w.slow = s.now + 20*time.Second
	case n == 11 && s.rng.IntN(3) == 0:
		s.replace()
	case n == 12:
		s.leave(w)
	}
}

// leave has a worker say that it has to go.
func (s *sim) leave(w *simWorker) {
	if w != nil && w.connected && !w.leaving {
		w.leaving = true
		w.say(&wire.Leave{})
	}
}

// cut ends a worker's connection, after some of what it has said.
func (s *sim) cut(w *simWorker) {
	if !w.connected {
		return
	}
	for range s.rng.IntN(3) {
		s.deliver(w)
	}
	if w.connected {
		w.connected = false
		s.step(WorkerGone{ID: w.id, Reason: "cut"}, vars{})
	}
}

// flip cuts the driver off, or lets it come back.
func (d *simDriver) flip() {
	if d.here {
		d.here = false
		d.s.step(DriverGone{Job: d.job.ID}, vars{})
		return
	}
	d.here, d.sent = true, true // until it is attached
	d.s.step(DriverJoined{Attach: wire.Attach{Protocol: wire.Protocol, Job: d.job, Again: true, At: d.where()}}, vars{})
}

// where returns where the driver is, if it has restored.
func (d *simDriver) where() *wire.Position {
	if d.request == nil || d.request.Kind() == "restore" {
		return nil
	}
	at := d.at
	return &at
}

// replace kills the coordinator, and starts another.
func (s *sim) replace() {
	s.log = append(s.log, "the coordinator is killed")
	s.m = New(Options{FirstGen: s.m.number + 1000})
	s.base = nil
	for _, id := range s.order {
		s.workers[id].connected = false
	}
	s.held = map[string]bool{}
	s.driver.here = false
	s.driver.flip()
}

// present returns the workers that are connected.
func (s *sim) present() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(s.workers)), func(id string) bool { return !s.workers[id].connected })
}
