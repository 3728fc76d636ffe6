package coord

import (
	"maps"
	"slices"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/dist/wire"
)

// A bill collects what a job costs.
type bill struct {
	workers map[string]*entry // by ID
	rows    int64
	time    time.Duration
	rest    rest
	alone   float64 // rows per second of one worker, in the probe
}

// A rest is the time in which nobody asks for steps: the driver evaluates, probes or saves.
type rest struct {
	total    time.Duration // before since
	since    time.Duration
	training bool
}

// train says whether steps are asked for from now on.
func (r *rest) train(on bool, now time.Duration) {
	switch {
	case on && !r.training:
		r.total += now - r.since
	case !on && r.training:
		r.since = now
	}
	r.training = on
}

// at returns how much of it there was so far.
func (r *rest) at(now time.Duration) time.Duration {
	if r.training {
		return r.total
	}
	return r.total + now - r.since
}

// stamp notes that w has just trained, or is about to.
func (j *job) stamp(w *worker) { w.rests, w.trained = j.bill.rest.at(j.m.now), true }

// rested returns how many seconds of rest there were since w last trained.
func (j *job) rested(w *worker) float64 {
	return max(0, j.bill.rest.at(j.m.now)-w.rests).Seconds()
}

// An entry is the account of a worker that is or was a member.
type entry struct {
	order int
	hello wire.Hello
	lost  bool
	why   string    // it was lost
	past  wire.Cost // of its earlier connections
	probe wire.Cost // of them all, for probes: not of the run
	took  bool      // the latest of them
	now   *worker   // nil: it is not connected
}

func newBill() bill { return bill{workers: map[string]*entry{}} }

// joins opens the account of a worker, or goes on with it.
func (b *bill) joins(w *worker) {
	e := b.workers[w.hello.ID]
	if e == nil {
		e = &entry{order: len(b.workers)}
		b.workers[w.hello.ID] = e
	}
	e.hello, e.lost, e.why, e.now = w.hello, false, "", w
}

// loses notes that a worker is no more. One that connects again counts on when it
// still has the job open, or from zero.
func (b *bill) loses(w *worker, why string) {
	if e := b.workers[w.hello.ID]; e != nil && e.now == w {
		e.past, e.lost, e.why, e.now = e.cost(), true, why, nil
	}
}

// span adds a span that was trained.
func (b *bill) span(took time.Duration, rows int64) {
	b.time += took
	b.rows += max(0, rows)
}

// probed remembers the speed of one worker, and what finding it out has cost.
func (b *bill) probed(w *worker, cost wire.Cost, p *wire.Probed) {
	e := b.workers[w.hello.ID]
	if e == nil {
		return
	}
	e.probe = plus(e.probe, cost)
	if p.Seconds <= 0 {
		return
	}
	b.alone = float64(p.Rows) / p.Seconds
	for _, other := range b.workers {
		other.took = other == e
	}
}

// Account returns the account of a job that has not ended, so far.
func (m *Machine) Account(job string) (backend.Account, bool) {
	j := m.job(job)
	if j == nil {
		return backend.Account{}, false
	}
	return j.account(), true
}

// account returns the account of the job so far.
func (j *job) account() backend.Account {
	b := &j.bill
	a := backend.Account{
		Strategy: j.spec.Strategy, Rows: b.rows, Seconds: b.time.Seconds(), OneWorker: b.alone, SameMachine: true,
	}
	entries := slices.SortedFunc(maps.Values(b.workers), func(x, y *entry) int { return x.order - y.order })
	for _, e := range entries {
		c := minus(e.cost(), e.probe)
		a.Workers = append(a.Workers, backend.WorkerAccount{
			Name: name(e.hello), Backend: e.hello.Backend, Rows: c.Rows, Lost: e.lost, Why: e.why, Probed: e.took,
			Compute: c.Compute, Update: c.Update, Wait: c.Wait, Comm: c.Comm, Sent: c.Sent, Received: c.Received,
		})
		a.SameMachine = a.SameMachine && e.hello.Host == entries[0].hello.Host
	}
	return a
}

// cost returns what the worker has spent on all its connections.
func (e *entry) cost() wire.Cost {
	if e.now == nil {
		return e.past
	}
	c := e.now.cost
	if c.Rows >= e.past.Rows && c.Compute >= e.past.Compute {
		return c // it has gone on counting
	}
	return plus(c, e.past)
}

// plus returns a + b.
func plus(a, b wire.Cost) wire.Cost {
	return wire.Cost{
		Compute: a.Compute + b.Compute, Update: a.Update + b.Update, Wait: a.Wait + b.Wait, Comm: a.Comm + b.Comm,
		Rows: a.Rows + b.Rows, Sent: a.Sent + b.Sent, Received: a.Received + b.Received,
	}
}

// minus returns a − b, or 0 where that is less: what a lost worker has told last may
// lag behind.
func minus(a, b wire.Cost) wire.Cost {
	return wire.Cost{
		Compute: max(a.Compute-b.Compute, 0), Update: max(a.Update-b.Update, 0),
		Wait: max(a.Wait-b.Wait, 0), Comm: max(a.Comm-b.Comm, 0),
		Rows: max(a.Rows-b.Rows, 0), Sent: max(a.Sent-b.Sent, 0), Received: max(a.Received-b.Received, 0),
	}
}
