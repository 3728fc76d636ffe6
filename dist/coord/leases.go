package coord

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/gespann/gespann/dist/strategy"
	"github.com/gespann/gespann/dist/wire"
)

// maxLease is how many steps a lease has at most where the strategy allows more:
// what is lost with a worker, and how long a driver waits after Stop.
const maxLease = 64

// A block is consecutive steps of an epoch, for a member of an ensemble.
type block struct {
	first, last, member int
	lost                int // how many workers were lost with it
}

// A lease is a block that a worker takes.
type lease struct {
	block
	id    int
	to    *worker
	given time.Duration
}

// A piece is a block that has been taken.
type piece struct {
	block
	stats wire.Stats
}

// Leases are how a span is taken by workers on their own. Every step of the span
// is in pending, in one lease or in one piece; each member of an ensemble has the
// whole span.
type leases struct {
	span    wire.Span
	members int
	pending []block // in order
	given   []*lease
	pieces  []piece
	high    int // no step from here on has been given
	most    int // steps of a lease
}

func newLeases(s wire.Span, first, members int) *leases {
	l := &leases{span: s, members: members, high: first, most: maxLease}
	for m := range members {
		if first < s.Last {
			l.pending = append(l.pending, block{first: first, last: s.Last, member: m})
		}
	}
	return l
}

// take gives a worker the first steps that are pending, up to so many. Those of
// one member of an ensemble are taken one lease after the other.
func (l *leases) take(w *worker, size int, now time.Duration, id int) *lease {
	for i, b := range l.pending {
		taken := func(g *lease) bool { return g.member == b.member }
		if l.members > 1 && slices.ContainsFunc(l.given, taken) {
			continue
		}
		g := &lease{block: b, id: id, to: w, given: now}
		g.last = min(b.last, b.first+size)
		l.high = max(l.high, g.last)
		l.pending = slices.Delete(l.pending, i, i+1)
		l.put(block{first: g.last, last: b.last, member: b.member})
		l.given = append(l.given, g)
		return g
	}
	return nil
}

// share makes the last leases shorter when less than size is left for each worker, but
// more than few, so that nobody waits long for the end.
func (l *leases) share(size, workers, few int) {
	left := 0
	for _, b := range l.pending {
		left += b.last - b.first
	}
	if l.most == maxLease && left < size*workers && left > few {
		l.most = ceilDiv(left, workers)
	}
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// put makes steps pending again, before all later ones.
func (l *leases) put(b block) {
	if b.first >= b.last {
		return
	}
	l.pending = append(l.pending, b)
	slices.SortFunc(l.pending, func(a, b block) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.member, b.member))
	})
}

// remove returns the lease of that number, which is no longer given, or nil.
func (l *leases) remove(id int) *lease {
	i := slices.IndexFunc(l.given, func(g *lease) bool { return g.id == id })
	if i < 0 {
		return nil
	}
	g := l.given[i]
	l.given = slices.Delete(l.given, i, i+1)
	return g
}

// back makes the lease of a worker pending again, and returns how many workers
// have been lost with those steps.
func (l *leases) back(w *worker) int {
	g := l.remove(w.lease)
	if g == nil {
		return 0
	}
	g.lost++
	l.put(g.block)
	return g.lost
}

// trim forgets the steps that nobody has begun.
func (l *leases) trim() {
	kept := l.pending[:0]
	for _, b := range l.pending {
		if b.last = min(b.last, l.high); b.first < b.last {
			kept = append(kept, b)
		}
	}
	l.pending = kept
}

// end returns the first step that has not been taken.
func (l *leases) end() int {
	slices.SortFunc(l.pieces, func(a, b piece) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.member, b.member))
	})
	end := l.high
	for _, b := range l.pending {
		end = min(end, b.first)
	}
	for _, g := range l.given {
		end = min(end, g.first)
	}
	return end
}

// lease gives a worker steps, if it can have some.
func (j *job) lease(w *worker, size int) {
	l, m := j.leases, j.m
	g := l.take(w, size, m.now, m.number+1)
	if g == nil {
		return
	}
	s := l.span
	msg := &wire.Lease{Job: j.spec.ID, Lease: m.next(), Member: g.member, Load: !w.center, Span: wire.Span{
		Epoch: s.Epoch, First: g.first, Last: g.last, Done: s.Done + int64(g.first-s.First),
		Rates: s.Rates[g.first-s.First : g.last-s.First],
	}, Rested: j.rested(w)}
	with := Nothing
	if msg.Load {
		with, w.synced, w.center = Center, j.merges, j.pattern != strategy.Members
	}
	w.lease, w.given = g.id, m.now
	m.tell(w, msg, with)
}

// hasCommitted takes the result of a lease. It is ignored when the lease has gone
// to another: then the worker begins from the center with its next.
func (j *job) hasCommitted(w *worker, c *wire.Commit, e FromWorker) error {
	if w.lease == 0 || c.Lease != w.lease {
		return fmt.Errorf("a commit of lease %d, and has %d", c.Lease, w.lease)
	}
	j.stamp(w)
	l := j.leases
	if l == nil || !slices.ContainsFunc(l.given, func(g *lease) bool { return g.id == c.Lease }) {
		took := j.m.now - w.given
		j.m.note(j, w, "%s committed lease %d after %.1f s, too late: it is not used", w, c.Lease, took.Seconds())
		w.lease, w.center, w.rest = 0, false, j.m.now+5*took
		return nil
	}
	i := slices.IndexFunc(l.given, func(g *lease) bool { return g.id == c.Lease })
	if n := l.given[i].last - l.given[i].first; c.Steps < 1 || c.Steps > n {
		return fmt.Errorf("a commit of %d steps, want 1 to %d", c.Steps, n)
	}
	if most := int64(c.Steps) * int64(j.spec.BatchSize) * int64(j.spec.Accumulate); c.Stats.Rows > most {
		return fmt.Errorf("a commit of %d rows, want at most %d", c.Stats.Rows, most)
	}
	if err := j.trainShape.fits(c.Stats); err != nil {
		return err
	}
	w.measure(c.Cost)
	if e.Odd != "" && j.setAside(w, l.given[i], e) {
		j.updated = j.m.now
		return nil
	}
	g := l.remove(c.Lease)
	w.lease = 0
	perStep := (j.m.now - g.given).Seconds() / float64(c.Steps)
	j.steps = append(j.steps[max(0, len(j.steps)-15):], perStep)
	taken := block{first: g.first, last: g.first + c.Steps, member: g.member}
	l.put(block{first: taken.last, last: g.last, member: g.member})
	j.updated = j.m.now
	l.pieces = append(l.pieces, piece{taken, c.Stats})
	if e.Odd == "" {
		j.compareWith(w, taken, e)
	}
	j.merge(w, c.Lease, taken)
	j.progress()
	return nil
}

// merge lets the center have a commit.
func (j *job) merge(w *worker, id int, b block) {
	answer := &wire.Merged{Job: j.spec.ID, Lease: id}
	if j.pattern == strategy.Rounds {
		j.hold(w, id, b.last-b.first)
		return
	}
	j.m.do(Merge{Job: j.spec.ID, ID: w.hello.ID, Staleness: j.merges - w.synced, Member: b.member})
	j.merges++
	w.synced = j.merges
	with := Reply
	if j.pattern == strategy.Members {
		with = Nothing
	}
	j.m.tell(w, answer, with)
}

// reclaim takes leases back from workers that need far longer than usual, when
// others have nothing to do. It reports whether it has taken any.
func (j *job) reclaim() bool {
	if len(j.ready()) == 0 || len(j.steps) == 0 {
		return false
	}
	some := false
	for _, g := range slices.Clone(j.leases.given) {
		usual := seconds(10 * median(j.steps) * float64(g.last-g.first))
		took := j.m.now - g.given
		if took <= max(j.m.opt.Stuck, usual) {
			continue
		}
		some = true
		j.m.note(j, g.to, "%s has had steps %d to %d for %.1f s: they go to another", g.to, g.first, g.last,
			took.Seconds())
		j.leases.remove(g.id)
		j.leases.put(g.block)
	}
	return some
}
