package coord

import (
	"fmt"
	"testing"
	"time"

	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/data"
)

// FuzzMachine plays events in any order, from workers and drivers that say
// whatever they like: what one byte decides is which event, the next ones are its
// numbers. The machine must not panic, and must speak to those alone who are
// there.
func FuzzMachine(f *testing.F) {
	f.Add([]byte{0, 0, 2, 0, 0, 4, 0, 0, 9, 0, 0, 5, 0, 12, 0, 10, 0, 7, 0, 1, 10})
	f.Add([]byte{0, 0, 0, 1, 2, 0, 6, 4, 0, 0, 4, 1, 0, 9, 0, 0, 5, 0, 0, 5, 1, 0, 12, 0, 8, 11, 0, 1, 4})
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 2000 {
			return
		}
		z := &fuzzed{t: t, script: script, m: New(Options{MaxWorkers: 3, MaxJobs: 3}), workers: map[string]bool{}, jobs: map[string]bool{}}
		for len(z.script) > 0 {
			z.event()
		}
	})
}

// A fuzzed machine.
type fuzzed struct {
	t       *testing.T
	script  []byte
	m       *Machine
	now     time.Duration
	workers map[string]bool
	jobs    map[string]bool // that have a driver
}

// n returns the next number below limit.
func (z *fuzzed) n(limit int) int {
	if len(z.script) == 0 {
		return 0
	}
	v := int(z.script[0]) % limit
	z.script = z.script[1:]
	return v
}

func (z *fuzzed) worker() string { return fmt.Sprintf("w%d", z.n(4)) }
func (z *fuzzed) job() string    { return string(rune('a' + z.n(4))) }

func (z *fuzzed) at() wire.Position {
	return wire.Position{Epoch: z.n(3), Index: z.n(12), Done: int64(z.n(20)), Sums: z.stats()}
}

func (z *fuzzed) stats() wire.Stats {
	s := wire.Stats{Rows: int64(z.n(4)), Loss: 1}
	for i := range z.n(3) {
		s.Metrics = map[string][]wire.Number{"m": make([]wire.Number, i+1)}
	}
	return s
}

func (z *fuzzed) span() wire.Span {
	s := wire.Span{Epoch: z.n(3), First: z.n(8), Done: int64(z.n(20))}
	s.Last = s.First + z.n(10)
	s.Rates = make(wire.Floats, s.Last-s.First)
	return s
}

func (z *fuzzed) event() {
	switch z.n(24) {
	case 0:
		id := z.worker()
		z.workers[id] = true
		h := wire.Hello{Protocol: wire.Protocol, ID: id}
		if z.n(4) == 3 {
			h.Protocol++
		}
		z.step(WorkerJoined{Hello: h})
	case 1:
		id := z.worker()
		delete(z.workers, id)
		z.step(WorkerGone{ID: id})
	case 2, 3:
		z.attach()
	case 20:
		id := z.job()
		delete(z.jobs, id)
		z.step(DriverGone{Job: id})
	case 21:
		z.step(Cancel{Job: z.job()})
	case 22, 23:
		z.now += time.Duration(z.n(256)) * 20 * time.Millisecond
		z.step(Tick{})
	case 4, 5, 6, 7, 8, 9, 10, 11, 12, 13:
		if msg := z.fromWorker(); wire.Validate(msg) == nil {
			z.step(FromWorker{ID: z.worker(), Msg: msg})
		}
	default:
		if msg := z.fromDriver(); wire.Validate(msg) == nil {
			z.step(FromDriver{Job: z.job(), Msg: msg})
		}
	}
}

func (z *fuzzed) attach() {
	strategies := []string{"sync", "single", "adag", "local_sgd", "averaging", "ensemble", "none"}
	a := wire.Attach{Protocol: wire.Protocol, Again: z.n(2) == 1, Job: wire.Job{
		ID: z.job(), Strategy: strategies[z.n(len(strategies))], BatchSize: 1 + z.n(4), Accumulate: 1,
		Workers: z.n(3), Shards: z.n(4), Rows: [3]int{z.n(30), z.n(30), 0}, Rate0: 0.01,
	}}
	if wire.Validate(&a) == nil {
		z.jobs[a.Job.ID] = true
		z.step(DriverJoined{Attach: a})
	}
}

func (z *fuzzed) fromWorker() wire.Message {
	job, n := z.job(), z.n(30)
	switch z.n(13) {
	case 0:
		return &wire.Opened{Job: job}
	case 1:
		at := z.at()
		return &wire.Opened{Job: job, At: &at}
	case 2:
		return &wire.Opened{Job: job, Err: "no"}
	case 3:
		return &wire.Loaded{Job: job, At: z.at()}
	case 4:
		return &wire.State{Job: job, At: z.at()}
	case 5:
		return &wire.Ran{Gen: n, At: z.at(), Cost: wire.Cost{Compute: float64(z.n(9)), Rows: int64(z.n(99))}}
	case 6:
		return &wire.Broken{Gen: n, At: z.at(), Peer: z.worker()}
	case 7:
		return &wire.Aborted{Gen: n, At: z.at()}
	case 8:
		f := &wire.Failed{Job: job, Err: "no", Fatal: z.n(4) == 0}
		if z.n(2) == 0 {
			f.NotFinite = &wire.NotFinite{Step: int64(z.n(20)) - 2}
		}
		return f
	case 9:
		return &wire.Commit{Job: job, Lease: n, Steps: z.n(12), Stats: z.stats()}
	case 10:
		e := &wire.Evaluated{Job: job, Task: n}
		for range z.n(8) {
			e.Stats = append(e.Stats, z.stats())
		}
		return e
	case 11:
		return &wire.Beat{Done: int64(z.n(20)), Phase: []string{"wait", "compute", ""}[z.n(3)]}
	}
	return &wire.Ping{}
}

func (z *fuzzed) fromDriver() wire.Message {
	switch z.n(9) {
	case 0:
		return &wire.Restore{At: z.at()}
	case 1, 2:
		return &wire.Train{Span: z.span(), Sums: z.stats(), Steps: z.n(20)}
	case 3:
		return &wire.Probe{Span: z.span()}
	case 4:
		return &wire.Snapshot{}
	case 5:
		return &wire.Test{Split: data.Split(z.n(3))}
	case 6:
		return &wire.Stop{}
	case 7:
		return &wire.Bill{}
	}
	return &wire.Detach{}
}

func (z *fuzzed) step(e Event) {
	for _, a := range z.m.Step(z.now, e) {
		switch a := a.(type) {
		case Tell:
			if !z.workers[a.ID] {
				z.t.Fatalf("%s told %s, and is not there", a.ID, a.Msg.Kind())
			}
		case Drop:
			delete(z.workers, a.ID)
		case Answer:
			if !z.jobs[a.Job] {
				z.t.Fatalf("driver of %s told %s, and is not there", a.Job, a.Msg.Kind())
			}
		case Refuse:
			if z.m.job(a.Job) == nil {
				delete(z.jobs, a.Job)
			}
		case Free:
			delete(z.jobs, a.Job)
		}
	}
	if n := len(z.m.Workers()); n > 3 {
		z.t.Fatalf("%d workers, want at most 3", n)
	}
	z.m.Jobs()
}
