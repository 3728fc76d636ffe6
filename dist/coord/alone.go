package coord

import (
	"fmt"
	"maps"
	"slices"

	"github.com/gespann/gespann/dist/strategy"
	"github.com/gespann/gespann/dist/wire"
)

// trainAlone moves a Train on whose steps workers take on their own.
func (j *job) trainAlone(t *wire.Train) {
	if !j.hasCenter() {
		return
	}
	if j.leases == nil && !j.beginLeases(t) {
		return
	}
	l := j.leases
	if j.stop {
		l.trim() // what was begun is finished, so that what is done is a prefix
	}
	j.prepare()
	j.compare()
	if j.bad == nil {
		j.handOut(t)
		reclaimed := j.reclaim()
		if j.roundIsOver(t) || reclaimed {
			j.handOut(t)
		}
	}
	if len(l.given) > 0 || len(l.pending) > 0 && j.bad == nil {
		return
	}
	end := l.end()
	if end == t.Steps {
		j.mergeRound() // rounds end with the epoch
	}
	at := wire.Position{Epoch: l.span.Epoch, Index: end, Done: l.span.Done + int64(end-l.span.First), Sums: j.at.Sums}
	for _, p := range l.pieces {
		if p.first < end {
			at.Sums = sum(at.Sums, p.stats)
		}
	}
	j.leases = nil
	j.trained(t, at)
}

// beginLeases cuts what is left of the span, whose sums go on from those of the
// driver. It reports whether the center is where the span wants it.
func (j *job) beginLeases(t *wire.Train) bool {
	done := j.at.Done - t.Span.Done
	if done < 0 || done > int64(t.Span.Last-t.Span.First) {
		j.finish(&wire.Lost{Reason: fmt.Sprintf("the center is at step %d, want %d to %d",
			j.at.Done, t.Span.Done, spanEnd(t.Span))}, Nothing)
		return false
	}
	if done == 0 {
		at := wire.Position{Epoch: t.Span.Epoch, Index: t.Span.First, Done: t.Span.Done, Sums: t.Sums}
		j.at = &at
	}
	j.leases = newLeases(t.Span, t.Span.First+int(done), j.members)
	return true
}

// hasCenter reports whether the coordinator has the center. If not, the driver
// has to restore it.
func (j *job) hasCenter() bool {
	if j.base != nil && j.at != nil {
		return true
	}
	j.finish(&wire.Lost{Reason: "the coordinator does not have the center any more"}, Nothing)
	return false
}

// prepare sends all variables to workers that have none of this run: those of the
// center come with a lease, but the state of the optimiser does not.
func (j *job) prepare() {
	j.muster(true)
	if j.pattern == strategy.Members {
		return
	}
	for _, w := range j.opened() {
		if w.loads == 0 && !w.sure && w.lease == 0 && !w.leaving {
			j.load(w)
		}
	}
}

// ready returns the workers that can take a lease now. Those that were late rest
// for a while, if there are others.
func (j *job) ready() []*worker {
	free := slices.DeleteFunc(j.opened(), func(w *worker) bool {
		return w.leaving || !w.free() || !w.sure && j.pattern != strategy.Members || j.doubted(w)
	})
	rested := slices.DeleteFunc(slices.Clone(free), func(w *worker) bool { return w.rest > j.m.now })
	if len(rested) == 0 && len(j.leases.given) == 0 {
		return free
	}
	return rested
}

// handOut gives leases to those who can take one, at most their even part of the
// span, and of its end.
func (j *job) handOut(t *wire.Train) {
	l, ready, workers := j.leases, j.ready(), len(j.opened())
	size := func(w *worker) int {
		return min(j.quota(w, t.Steps), ceilDiv(l.span.Last-l.span.First, workers))
	}
	most := 0
	for _, w := range ready {
		most = max(most, size(w))
	}
	switch {
	case j.pattern == strategy.Windows:
		l.share(most, workers, most)
	case j.pattern == strategy.Rounds && l.span.Last == t.Steps: // else the round goes on with the next span
		l.share(most, len(ready), 0)
	}
	for _, w := range ready {
		if n := min(size(w), l.most); n > 0 {
			j.lease(w, n)
		}
	}
}

// roundIsOver merges what is held when nobody may take more steps, and reports
// whether it did.
func (j *job) roundIsOver(t *wire.Train) bool {
	may := func(w *worker) bool { return j.quota(w, t.Steps) > 0 }
	if len(j.round) == 0 || len(j.leases.given) > 0 || slices.ContainsFunc(j.ready(), may) {
		return false
	}
	j.mergeRound()
	return true
}

// quota returns how many steps a worker may take before the next merge.
func (j *job) quota(w *worker, stepsPerEpoch int) int {
	k := j.window(stepsPerEpoch)
	if k <= 0 || k >= stepsPerEpoch {
		k = stepsPerEpoch
	}
	switch {
	case j.pattern == strategy.Members:
		return min(k, maxLease)
	case j.pattern == strategy.Windows:
		return k
	case !w.center && j.mayNotEnter(w, k):
		return 0
	}
	return min(k-j.round[w.hello.ID], maxLease)
}

// mayNotEnter reports whether a worker without the center has to wait for the
// next round: its commit would take the place of an earlier one of its own, or
// others are done with theirs and wait.
func (j *job) mayNotEnter(w *worker, k int) bool {
	for id, steps := range j.round {
		if id == w.hello.ID || steps >= k {
			return true
		}
	}
	return false
}

// hold keeps a commit for the end of the round.
func (j *job) hold(w *worker, id, steps int) {
	if j.round == nil {
		j.round = map[string]int{}
	}
	j.round[w.hello.ID] += steps
	w.latest = id
	j.m.do(Hold{Job: j.spec.ID, ID: w.hello.ID, Steps: j.round[w.hello.ID]})
}

// mergeRound ends the round, if anything is held, and gives the center to those
// who took part.
func (j *job) mergeRound() {
	if len(j.round) == 0 {
		return
	}
	j.m.do(Round{Job: j.spec.ID, IDs: slices.Sorted(maps.Keys(j.round))})
	for _, w := range j.opened() {
		if j.round[w.hello.ID] > 0 && w.free() && w.center {
			j.m.tell(w, &wire.Merged{Job: j.spec.ID, Lease: w.latest}, Center)
		}
	}
	j.round = nil
	j.merges++
}
