package coord

import (
	"fmt"
	"time"

	"github.com/gespann/gespann/dist/strategy"
	"github.com/gespann/gespann/dist/wire"
)

// fromDriver takes what a driver says. A request replaces an earlier one that
// has no answer, unless it is the same: a driver that was away repeats it.
func (m *Machine) fromDriver(id string, msg wire.Message) {
	j := m.job(id)
	if j == nil || !j.driver {
		return
	}
	switch d := msg.(type) {
	case *wire.Rows:
		return
	case *wire.Stop:
		j.askToStop()
		return
	case *wire.Detach:
		reason := "its driver is done"
		if d.Err != "" {
			reason = d.Err
		}
		j.end(reason)
		return
	case *wire.Bill:
		j.answer(&wire.Billed{Account: j.account()}, Nothing)
		return
	}
	if j.state != attached {
		j.fail(fmt.Sprintf("the driver sent %s before it was attached", kind(msg)))
		return
	}
	j.back = false
	switch d := msg.(type) {
	case *wire.Restore:
		j.take(d)
		j.restore(d)
	case *wire.Train:
		j.train(d)
	case *wire.Probe:
		j.take(d)
		j.probe()
	case *wire.Snapshot:
		j.take(d)
	case *wire.Test:
		j.take(d)
		j.evaluate()
	default:
		j.fail(fmt.Sprintf("the driver sent %s, which is not for a coordinator", kind(msg)))
	}
}

func kind(msg wire.Message) string {
	if msg == nil {
		return "nothing"
	}
	return msg.Kind()
}

// take makes a message the request at hand.
func (j *job) take(msg wire.Message) {
	if j.request != nil {
		j.interrupt()
	}
	j.request, j.asked, j.updated = msg, j.m.now, j.m.now
	_, train := msg.(*wire.Train)
	j.bill.rest.train(false, j.m.now) // what was interrupted is no span
	j.bill.rest.train(train, j.m.now)
	j.again, j.stop, j.bad, j.waiting, j.doubts = false, false, nil, false, nil
	j.muster(false)
}

// interrupt ends what the workers do for a request that nobody waits for any more.
func (j *job) interrupt() {
	j.m.note(j, nil, "%s begins anew", j)
	j.disband()
	if pr := j.probed; pr != nil {
		pr.w.at, pr.w.sure = nil, false
	}
	j.leases, j.eval, j.probed = nil, nil, nil
}

// train takes a Train, which may be the one that is under way.
func (j *job) train(t *wire.Train) {
	s := t.Span
	if len(s.Rates) != s.Last-s.First || s.Last > t.Steps {
		j.fail(fmt.Sprintf("the driver asked for steps %d to %d of %d, at %d learning rates",
			s.First, s.Last, t.Steps, len(s.Rates)))
		return
	}
	if old, ok := j.request.(*wire.Train); ok && same(old.Span, s) {
		j.again = false
		return
	}
	j.take(t)
	j.leases, j.reached, j.futile = nil, s.Done, 0
	j.trainShape.learn(t.Sums)
}

func same(a, b wire.Span) bool {
	return a.Epoch == b.Epoch && a.First == b.First && a.Last == b.Last && a.Done == b.Done
}

// end returns the number of steps done when the span is complete.
func spanEnd(s wire.Span) int64 { return s.Done + int64(s.Last-s.First) }

// askToStop ends Train early: a group stops after its current step; leases that
// were given are finished, so that what is done is a prefix of the span. A Test ends at
// once, with an answer that nobody reads.
func (j *job) askToStop() {
	if _, ok := j.request.(*wire.Test); ok {
		j.eval = nil
		j.finish(&wire.Tested{}, Nothing)
		return
	}
	if _, ok := j.request.(*wire.Train); !ok || j.stop {
		return // it crossed Trained
	}
	j.stop = true
	for _, w := range j.opened() {
		if w.busy && !w.aborting {
			j.m.tell(w, &wire.Stop{Gen: w.gen}, Nothing)
			return // the wish travels in the sums
		}
	}
}

// together reports whether the job's steps are taken by a group: one worker alone
// is a group, too.
func (j *job) together() bool {
	return j.pattern == strategy.AllReduce || j.pattern == strategy.Alone
}

// advance does what can be done now for what the driver waits for.
func (j *job) advance() {
	if j.doom != "" {
		j.fail(j.doom)
		return
	}
	if j.state == starting {
		j.attach()
	}
	if j.state != attached {
		return
	}
	if len(j.crew()) == 0 {
		j.muster(true)
	}
	switch r := j.request.(type) {
	case *wire.Restore:
		j.restored()
	case *wire.Train:
		if j.together() {
			j.trainTogether(r)
		} else {
			j.trainAlone(r)
		}
	case *wire.Snapshot:
		j.snapshot()
	case *wire.Test:
		j.tested(r)
	case *wire.Probe:
		j.probing(r)
	}
}

// watch does what time makes due for the job whose turn it is.
func (j *job) watch() {
	j.pardon()
	if j.state == attached {
		j.dropDebtors()
		j.dropStuck()
	}
	if j.state != ended {
		j.losePatience()
	}
}

// dropDebtors drops workers that do not answer though they are alive: tensors
// may take a while, ending a step may not.
func (j *job) dropDebtors() {
	for _, w := range j.opened() {
		waited := j.m.now - w.owes
		switch {
		case w.aborting && waited > j.stuckAfter():
			j.m.drop(w, fmt.Sprintf("has not left its group for %.1f s", waited.Seconds()), true)
		case w.loads+w.fetches > 0 && waited > j.m.opt.Patience:
			j.m.drop(w, fmt.Sprintf("has not moved its variables for %.0f s", waited.Seconds()), true)
		}
	}
}

// losePatience fails the job when its workers show no sign of progress.
// Opening takes its time: data may have to be copied. A job that has none any more waits
// for others, however long.
func (j *job) losePatience() {
	if j.state == attached && j.request != nil && j.deserted() {
		return
	}
	patience := max(j.m.opt.Patience, 60*j.medianStep())
	switch {
	case j.state == starting:
		patience = 10 * j.m.opt.Patience
		if len(j.present(opening)) == 0 {
			j.updated = j.m.now
		}
	case j.request == nil:
		return
	}
	quiet := j.m.now - j.updated
	if why := j.hopeless(1, quiet > j.m.opt.Grace); why != "" && j.state == attached {
		j.fail(why)
		return
	}
	if quiet <= patience {
		return
	}
	what := "open"
	if j.request != nil {
		what = kind(j.request)
	}
	j.fail(fmt.Sprintf("no worker has reported an update for %.0f s (%s; %d of %d workers have the job open)",
		quiet.Seconds(), what, len(j.opened()), len(j.m.workers)))
}

// allGone is what a driver is told whose workers have all gone.
const allGone = "all workers are gone; it goes on when one connects"

// deserted reports whether no worker is connected, and says so after a while.
func (j *job) deserted() bool {
	if len(j.m.workers) > 0 {
		if j.told == allGone {
			j.told = ""
		}
		return false
	}
	if j.told != allGone && j.m.now-j.updated > j.m.opt.Grace {
		j.told = allGone
		j.answer(&wire.Queued{Reason: allGone}, Nothing)
	}
	if j.told == allGone {
		j.updated = j.m.now
	}
	return true
}

// seconds converts for people and for medians.
func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
