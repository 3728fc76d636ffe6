package coord

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gespann/gespann/dist/wire"
)

// A group takes steps together.
type group struct {
	gen     int
	members []*worker
	shares  []int
	formed  time.Duration
	begun   time.Duration // its latest Run
	from    int64         // where that began
}

// trainTogether moves a Train of a group on, when no one is computing: to a
// common position, to a group, to a Run, or to its answer.
func (j *job) trainTogether(t *wire.Train) {
	if j.working() {
		return
	}
	if j.group == nil {
		j.muster(true)
	}
	end := spanEnd(t.Span)
	at, ready := j.gather(t.Span.Done, end)
	if !ready {
		if at != nil && j.stop && len(j.crew()) == 0 && j.base != nil && j.base.Done == at.Done { // all have left, and the base is where they were
			j.trained(t, *at)
		}
		return
	}
	if at.Done == end || j.stop || j.bad != nil {
		j.trained(t, *at)
		return
	}
	if j.shun(at.Done) {
		j.advance()
		return
	}
	if j.futile++; j.futile > maxFutile {
		j.doom = fmt.Sprintf("%d groups have tried to take step %d, and no one has taken it", maxFutile, at.Done+1)
		j.advance()
		return
	}
	if j.group == nil || j.unfair() {
		j.form(j.crew(), at.Done)
	}
	j.run(t.Span, at.Done)
}

// trained answers Train. A span of which nothing was taken is at its beginning,
// which may be the end of the epoch before.
func (j *job) trained(t *wire.Train, at wire.Position) {
	if at.Done == t.Span.Done {
		at = wire.Position{Epoch: t.Span.Epoch, Index: t.Span.First, Done: at.Done, Sums: t.Sums}
	}
	j.at = &at
	j.bill.span(j.m.now-j.asked, at.Sums.Rows-t.Sums.Rows)
	j.finish(&wire.Trained{At: at, NotFinite: j.bad}, Nothing)
}

// working reports whether a worker is told to run, and has not answered.
func (j *job) working() bool {
	return slices.ContainsFunc(j.m.workers, func(w *worker) bool { return w.busy })
}

// form makes a group of workers that are at the same position.
func (j *job) form(crew []*worker, from int64) {
	m := j.m
	crew = byMachine(crew)
	g := &group{gen: m.next(), members: crew, shares: j.shares(crew), formed: m.now}
	members := make([]wire.Member, len(crew))
	for i, w := range crew {
		members[i] = wire.Member{ID: w.hello.ID, Peer: w.hello.Peer, Host: w.hello.Host, Share: g.shares[i]}
	}
	m.note(j, nil, "group %d: %s from step %d on", g.gen-m.opt.FirstGen+1, people(crew), from)
	for i, w := range crew {
		w.gen = g.gen
		if !w.trained {
			j.stamp(w)
		}
		m.tell(w, &wire.Form{Job: j.spec.ID, Gen: g.gen, Rank: i, Members: members}, Nothing)
	}
	j.group = g
}

// byMachine puts those of one machine behind each other, so that sums cross between machines as
// rarely as can be. Machines and their workers stay in the order in which they came.
func byMachine(crew []*worker) []*worker {
	first := map[string]int{}
	for i, w := range crew {
		if _, known := first[w.hello.Host]; !known {
			first[w.hello.Host] = i
		}
	}
	crew = slices.Clone(crew)
	slices.SortStableFunc(crew, func(a, b *worker) int { return cmp.Compare(first[a.hello.Host], first[b.hello.Host]) })
	return crew
}

// people names workers, if they are few.
func people(crew []*worker) string {
	if len(crew) > 4 {
		return fmt.Sprintf("%d workers", len(crew))
	}
	names := make([]string, len(crew))
	for i, w := range crew {
		names[i] = w.String()
	}
	return strings.Join(names, ", ")
}

// run lets the group take the steps of a span that are left.
func (j *job) run(s wire.Span, from int64) {
	g := j.group
	g.begun, g.from = j.m.now, from
	for _, w := range g.members {
		w.busy, w.span, w.since = true, s, j.m.now
		j.m.tell(w, &wire.Run{Gen: g.gen, Span: s, Rested: j.rested(w)}, Nothing)
	}
}

// disband ends the group. Members that compute are told, and say where they are.
func (j *job) disband() {
	for _, w := range j.opened() {
		if w.busy && !w.aborting {
			w.aborting, w.owes = true, j.m.now
			j.m.tell(w, &wire.Abort{Gen: w.gen}, Nothing)
		}
	}
	j.group = nil
}

// stands takes a member's word that it computes no more, and where it is. Words of
// earlier groups are ignored: Ran may cross Abort.
func (j *job) stands(w *worker, gen int, at wire.Position) (bool, error) {
	if gen != w.gen || !w.busy {
		if gen > w.gen {
			return false, fmt.Errorf("speaks of group %d, and was in none after %d", gen, w.gen)
		}
		return false, nil
	}
	if w.sure {
		if err := plausible(w, at); err != nil {
			return false, err
		}
		w.at = &at
		j.reach(at.Done)
	}
	w.busy, w.aborting = false, false
	j.stamp(w)
	return true, nil
}

// plausible checks where a worker says that it is.
func plausible(w *worker, at wire.Position) error {
	s := w.span
	if at.Done < w.at.Done || at.Done > spanEnd(s) {
		return fmt.Errorf("is at step %d, want %d to %d", at.Done, w.at.Done, spanEnd(s))
	}
	if at.Done > s.Done && (at.Epoch != s.Epoch || int64(at.Index-s.First) != at.Done-s.Done) {
		return fmt.Errorf("is at step %d, and says %d of epoch %d", at.Done, at.Index, at.Epoch)
	}
	return nil
}

func (j *job) hasRan(w *worker, r *wire.Ran) error {
	ok, err := j.stands(w, r.Gen, r.At)
	if !ok {
		return err
	}
	w.measure(r.Cost)
	if g := j.group; g != nil && r.At.Done > g.from {
		perStep := (j.m.now - g.begun).Seconds() / float64(r.At.Done-g.from)
		j.steps = append(j.steps[max(0, len(j.steps)-15):], perStep)
	}
	return nil
}

func (j *job) isBroken(w *worker, b *wire.Broken) error {
	told, waited := w.aborting, j.m.now-w.since
	ok, err := j.stands(w, b.Gen, b.At)
	if !ok {
		return err
	}
	j.m.note(j, w, "%s cannot go on with %s at step %d: %s", w, j.name(b.Peer), b.At.Done, b.Err)
	if !told { // else the other has left because it was told, too
		j.trouble.add(w.hello.ID, b.Peer, waited)
	}
	j.disband()
	return nil
}

func (j *job) hasAborted(w *worker, a *wire.Aborted) error {
	_, err := j.stands(w, a.Gen, a.At)
	return err
}

// isNotFinite takes the word of the worker that saw a loss that is not finite. The
// others of a group see it too, and stop before that step.
func (j *job) isNotFinite(w *worker, f *wire.Failed) error {
	switch {
	case w.busy:
		sure := w.sure
		if _, err := j.stands(w, w.gen, before(f, w.span)); err != nil || !sure {
			return err
		}
	case w.lease != 0:
		if j.leases != nil {
			j.leases.back(w)
		}
		w.lease, w.center = 0, false
	default:
		return fmt.Errorf("a loss that is not finite, and was not training")
	}
	j.m.note(j, w, "%s: %v", w, f.NotFinite.Err())
	j.bad = f.NotFinite
	return nil
}

// before returns the position before a step whose loss is not finite.
func before(f *wire.Failed, s wire.Span) wire.Position {
	if f.At != nil {
		return *f.At
	}
	done := f.NotFinite.Step - 1
	return wire.Position{Epoch: s.Epoch, Index: s.First + int(done-s.Done), Done: done}
}

func (j *job) name(id string) string {
	if w := j.m.worker(id); w != nil {
		return w.String()
	}
	return "another"
}
