package coord

import (
	"slices"
	"time"

	"github.com/gespann/gespann/dist/wire"
)

// A prober is a Probe under way: one worker, in a group of its own.
type prober struct {
	w     *worker
	begun time.Duration
	cost  wire.Cost // of the worker before
}

func (j *job) probe() { j.probed = nil }

// probing moves a Probe on: the worker takes the steps from the base, and gets
// its variables back.
func (j *job) probing(p *wire.Probe) {
	if j.working() {
		return
	}
	if pr := j.probed; pr != nil {
		j.probed = nil
		if slices.Contains(j.m.workers, pr.w) && pr.w.at != nil {
			j.putBack(p, pr)
			return
		}
	}
	if !j.together() && (j.base == nil || j.base.Done != p.Span.Done) {
		j.finish(&wire.Probed{}, Nothing) // the center has moved on
		return
	}
	w := j.prober(p)
	if w == nil {
		return
	}
	j.form([]*worker{w}, p.Span.Done)
	j.probed = &prober{w: w, begun: j.m.now, cost: w.cost}
	j.run(p.Span, p.Span.Done)
}

// prober returns the worker that takes the probe, when it has the base, and the
// base is where the run is.
func (j *job) prober(p *wire.Probe) *worker {
	src, at := j.furthest(p.Span.Done, p.Span.Done)
	if at == nil {
		j.orphaned(p.Span.Done)
		return nil
	}
	j.waiting = false
	if j.base == nil || j.base.Done != at.Done {
		j.fetch(src)
		return nil
	}
	for _, w := range j.crew() {
		switch {
		case !w.free() || w.leaving:
		case w.sure && w.at.Done == at.Done:
			return w
		default:
			j.load(w)
			return nil
		}
	}
	return nil
}

// putBack answers Probe, and gives the worker the variables that it had before.
// When its loss was not finite, the speed is not known.
func (j *job) putBack(p *wire.Probe, pr *prober) {
	took := j.m.now - pr.begun
	answer := &wire.Probed{}
	if pr.w.at.Done == spanEnd(p.Span) {
		answer.Rows, answer.Seconds = pr.w.cost.Rows-pr.cost.Rows, took.Seconds()
	}
	j.group = nil
	j.load(pr.w)
	j.bill.probed(pr.w, minus(pr.w.cost, pr.cost), answer)
	j.finish(answer, Nothing)
}
