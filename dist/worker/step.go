package worker

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/rules"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/data"
)

// take takes one step together with the other members:
//
//	dw   = Σ over my parts i of weight[i]·∂loss[i]/∂w
//	dw   = Σ over members of dw, and a table with what each part measured
//	stop here if a loss is not finite
//	w    = update(w, dw)
//
// On every member alike. Until the update nothing has changed, so the step can be
// dropped. It reports whether a member wants this step to be the last.
func (g *group) take(t *task, at backend.StepAt, rate float32) (stop bool, err error) {
	p := g.plan(at)
	g.table.reset(len(p.parts), 1+g.replica.Outcomes().Len(), len(g.shares))

	began := time.Now()
	if err := g.sums.compute(t.ctx, at, p); err != nil {
		return false, err
	}
	busy := time.Since(began) - g.sums.waited()
	g.table.vote(g.rank, t.steps.Err() != nil, busy)
	g.account.enter(wait)
	if err := g.sums.finish(g.table.v); err != nil {
		return false, err
	}
	blocked := time.Since(began) - busy
	g.account.enter(compute)

	if i := g.table.notFinite(); i >= 0 {
		return false, &notFiniteError{at: at, parts: p.runOf(i, at), i: i % p.perRun, loss: g.table.outcome(p, i).Loss, mine: p.mine(i)}
	}
	updating := time.Now()
	if err := g.replica.Update(t.ctx, at, rate); err != nil {
		return false, err
	}
	g.advance(at, p)
	g.pay(p, time.Since(began), blocked, busy)
	g.account.add(wire.Cost{Update: time.Since(updating).Seconds()})
	return g.table.stop(), nil
}

// advance says that the variables have had a step, and adds up its outcomes.
func (g *group) advance(at backend.StepAt, p *plan) {
	pos := g.at
	if pos.Epoch != at.Epoch {
		pos.Epoch, pos.Sums = at.Epoch, backend.Stats{}
	}
	pos.Index, pos.Done = at.Index+1, at.Done+1
	g.step.Rows, g.step.Loss = 0, 0
	for _, sums := range g.step.Metrics {
		clear(sums)
	}
	// The step first, then the epoch: as Session.Train does.
	layout := g.replica.Outcomes()
	for i := range p.parts {
		if p.parts[i].Rows > 0 {
			layout.AddTo(&g.step, g.table.outcome(p, i))
		}
	}
	pos.Sums.Add(g.step)
	g.account.at(pos.Done)
	g.account.took(1)
}

// pay writes down where the time of a step went. What is spent blocked while
// others still compute is waiting; the rest is communication that was not hidden
// behind the computation.
func (g *group) pay(p *plan, total, blocked, busy time.Duration) {
	waited := min(blocked, max(0, g.table.slowest()-busy))
	moved := g.sums.traffic()
	cost := wire.Cost{
		Compute: (total - blocked).Seconds(), Wait: waited.Seconds(), Comm: (blocked - waited).Seconds(),
		Sent: moved.Sent - g.moved.Sent, Received: moved.Received - g.moved.Received,
	}
	for _, run := range p.runs {
		for _, part := range p.parts[run.lo:run.hi] {
			cost.Rows += int64(part.Rows)
		}
	}
	g.moved = moved
	g.account.add(cost)
}

// A plan is how the rows of a step are cut into parts. All members know all parts; this
// one computes those of its runs.
type plan struct {
	rows  int
	first int            // row of the epoch's order
	parts []backend.Part // in the order of rows, as if the step were the run's first
	ticks int            // per step
	// runs are this member's parts: where parts meet, those of each gradient run that it
	// has any of, else all.
	runs []ownParts
	// perRun is the number of parts of a gradient run where parts meet, else 1.
	perRun int
}

// ownParts are the parts lo ≤ i < hi.
type ownParts struct{ lo, hi int }

// mine reports whether this member computes part i.
func (p *plan) mine(i int) bool {
	return slices.ContainsFunc(p.runs, func(r ownParts) bool { return r.lo <= i && i < r.hi })
}

// runOf returns the parts that part i meets, itself among them.
func (p *plan) runOf(i int, at backend.StepAt) (parts []backend.Part) {
	first := i / p.perRun * p.perRun
	for k := range p.perRun {
		parts = append(parts, p.at(first+k, at))
	}
	return parts
}

// at returns part i in a step.
func (p *plan) at(i int, at backend.StepAt) backend.Part {
	part := p.parts[i]
	part.First += p.first
	part.Tick = int32(at.Done*int64(p.ticks) + int64(part.Tick))
	return part
}

// plan returns how a step is cut. Steps of as many rows are cut alike.
func (g *group) plan(at backend.StepAt) *plan {
	size := g.BatchSize * g.Accumulate
	first := at.Index * size
	rows := min(size, g.Rows[data.Train]-first)
	p := &g.plans[0]
	if rows < size {
		p = &g.plans[1]
	}
	if p.rows != rows {
		*p = g.cut(rows)
		p.ticks = len(p.parts)
		if rows < size { // ticks are unique in the whole run
			p.ticks = len(g.cut(size).parts)
		}
	}
	p.first = first
	return p
}

// perRun returns the number of shards of a gradient run where parts meet.
func (g *group) perRun() int { return backend.RunShards(g.Accumulate, g.Shards) }

// cut cuts a step of so many rows.
func (g *group) cut(rows int) plan {
	p := plan{rows: rows, perRun: 1}
	meets := g.replica.Meets()
	switch {
	case g.Shards > 0:
		g.cutShards(&p, meets)
	case meets:
		g.cutRuns(&p)
	default:
		for rank := range g.shares {
			lo, hi := backend.Share(rows, g.shares, rank)
			tick := len(p.parts)
			mine := backend.Batches(backend.StepAt{}, 0, rows, lo, hi, g.BatchSize, tick, 0)
			p.parts = append(p.parts, mine...)
			if rank == g.rank {
				p.runs = []ownParts{{tick, len(p.parts)}}
			}
		}
	}
	return p
}

// cutShards cuts a step into shards.
func (g *group) cutShards(p *plan, meets bool) {
	lo, hi := backend.Share(g.Shards, g.shares, g.rank)
	p.runs = []ownParts{{lo, hi}}
	c := rules.Cut{BatchSize: g.BatchSize, Accumulate: g.Accumulate, Shards: g.Shards, Meets: meets}
	for i := range g.Shards {
		p.parts = append(p.parts, c.Part(backend.StepAt{}, 0, p.rows, i))
	}
	if !meets {
		return
	}
	p.runs, p.perRun = nil, c.PerRun()
	for first := 0; first < g.Shards; first += p.perRun {
		if own := (ownParts{max(lo, first), min(hi, first+p.perRun)}); own.lo < own.hi {
			p.runs = append(p.runs, own)
		}
	}
}

// cutRuns cuts each gradient run of a step into a part for each member, of which some may
// have no rows.
func (g *group) cutRuns(p *plan) {
	p.perRun = len(g.shares)
	for first := 0; first < p.rows; first += g.BatchSize {
		run := min(g.BatchSize, p.rows-first)
		own := len(p.parts) + g.rank
		p.runs = append(p.runs, ownParts{own, own + 1})
		for rank := range g.shares {
			lo, hi := backend.Share(run, g.shares, rank)
			p.parts = append(p.parts, backend.Part{First: first + lo, Rows: hi - lo,
				Weight: float32(hi-lo) / float32(p.rows), Tick: int32(len(p.parts))})
		}
	}
}

// A notFiniteError is a loss that is NaN or infinite.
type notFiniteError struct {
	at    backend.StepAt
	parts []backend.Part // that met: number i is the first whose loss it is
	i     int
	loss  float32
	mine  bool // this member has computed it
}

func (e *notFiniteError) Error() string {
	return fmt.Sprintf("step %d: loss is %v", e.at.Done+1, e.loss)
}

// trace finds where it came from.
func (e *notFiniteError) trace(ctx context.Context, r backend.Replica) error {
	err := backend.TraceRun(e.parts, e.i, func(part backend.Part) error { return r.Trace(ctx, e.at, part, e.loss) })
	if err != nil {
		return err
	}
	return &backend.NotFiniteError{Step: e.at.Done + 1, Loss: e.loss, Layer: backend.UnknownLayer, Value: "loss"}
}
