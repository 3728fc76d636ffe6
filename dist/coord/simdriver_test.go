package coord

import (
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/data"
)

const (
	simEpoch   = 20 // steps
	simBatches = 7  // of the validation split
)

// A simDriver trains some epochs, with snapshots and tests in between, and begins
// again from the latest snapshot when it is told that all is lost.
type simDriver struct {
	s       *sim
	job     wire.Job
	here    bool // connected
	ended   bool
	failed  string
	last    int64 // step to reach
	at      wire.Position
	vars    vars
	saved   wire.Position
	request wire.Message
	sent    bool // the request, to this coordinator
	stopped bool
}

// hear takes an answer.
func (d *simDriver) hear(msg wire.Message, with vars) {
	s := d.s
	switch m := msg.(type) {
	case *wire.Attached:
		if d.request == nil {
			d.request = &wire.Restore{At: d.at}
		}
		d.sent = false
	case *wire.Restored:
		d.expect("restore")
		d.next()
	case *wire.Trained:
		d.expect("train")
		t := d.request.(*wire.Train)
		early := d.stopped && m.At.Done >= d.at.Done
		s.check(early || m.At.Done == spanEnd(t.Span), "trained to step %d, want %d", m.At.Done, spanEnd(t.Span))
		s.check(int64(m.At.Index-t.Span.First) == m.At.Done-t.Span.Done, "trained to %v of %v", m.At, t.Span)
		s.trainedTo(t.Span, m.At)
		d.at = m.At
		d.next()
	case *wire.Variables:
		d.expect("snapshot")
		s.check(m.At.Done == d.at.Done, "snapshot of step %d, want %d", m.At.Done, d.at.Done)
		if s.together {
			s.check(with.done == d.at.Done, "snapshot has variables of step %d, want %d", with.done, d.at.Done)
		}
		d.saved, d.vars = d.at, with
		d.next()
	case *wire.Tested:
		d.expect("test")
		want := simBatches * (simBatches - 1) / 2
		s.check(m.Stats.Rows == simBatches && m.Stats.Loss == wire.Number(want), "tested %+v", m.Stats)
		d.next()
	case *wire.Lost:
		s.lost++
		d.at = d.saved
		d.request, d.sent = &wire.Restore{At: d.saved}, false
	case *wire.Fault:
		d.failed = m.Err
	}
}

func (d *simDriver) expect(kind string) {
	d.s.check(d.request != nil && d.request.Kind() == kind, "answer to %s, asked for %v", kind, d.request)
}

// next decides what to ask for.
func (d *simDriver) next() {
	d.sent, d.stopped = false, false
	if d.at.Done >= d.last {
		d.request = &wire.Detach{}
		return
	}
	switch n := d.s.rng.IntN(6); {
	case n == 0:
		d.request = &wire.Snapshot{}
		return
	case n == 1 && d.job.Strategy != "ensemble":
		d.request = &wire.Test{Split: data.Validation}
		return
	}
	first, epoch := d.at.Index, d.at.Epoch
	if first == simEpoch {
		first, epoch = 0, epoch+1
	}
	n := min(1+d.s.rng.IntN(9), simEpoch-first)
	d.request = &wire.Train{Steps: simEpoch, Span: wire.Span{
		Epoch: epoch, First: first, Last: first + n, Done: d.at.Done, Rates: make(wire.Floats, n),
	}}
}

// act sends the request, or Stop.
func (d *simDriver) act() {
	switch {
	case !d.here || d.request == nil || d.ended:
	case !d.sent:
		d.sent = true
		_, d.ended = d.request.(*wire.Detach)
		d.s.step(FromDriver{Job: d.job.ID, Msg: d.request}, d.vars)
	case d.request.Kind() == "train" && d.s.rng.IntN(30) == 0:
		d.stopped = true
		d.s.step(FromDriver{Job: d.job.ID, Msg: &wire.Stop{}}, vars{})
	}
}
