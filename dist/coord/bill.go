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
	alone   float64 // rows per second of one worker
}

// An entry is the account of a worker that is or was a member.
type entry struct {
	order int
	hello wire.Hello
	lost  bool
	why   string    // it was lost
	past  wire.Cost // of its earlier connections
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

// probed remembers the speed of one worker.
func (b *bill) probed(p *wire.Probed) {
	if p.Seconds > 0 {
		b.alone = float64(p.Rows) / p.Seconds
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
		c := e.cost()
		a.Workers = append(a.Workers, backend.WorkerAccount{
			Name: name(e.hello), Backend: e.hello.Backend, Rows: c.Rows, Lost: e.lost, Why: e.why,
			Compute: c.Compute, Wait: c.Wait, Comm: c.Comm, Sent: c.Sent, Received: c.Received,
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
	return wire.Cost{
		Compute: c.Compute + e.past.Compute, Wait: c.Wait + e.past.Wait, Comm: c.Comm + e.past.Comm,
		Rows: c.Rows + e.past.Rows, Sent: c.Sent + e.past.Sent, Received: c.Received + e.past.Received,
	}
}
