package coord

import (
	"fmt"
	"slices"

	"github.com/gespann/gespann/dist/wire"
)

// step brings an event with its tensors to the machine, and does what it says.
func (s *sim) step(e Event, with vars) {
	if d := s.driver; !d.here {
		if _, ok := e.(FromWorker); ok && s.rng.IntN(40) == 0 {
			defer d.flip()
		}
	}
	s.log = append(s.log, fmt.Sprintf("%v: %T%+v", s.now, e, e))
	if f, ok := e.(FromWorker); ok {
		s.log = append(s.log, fmt.Sprintf("    %+v", f.Msg))
	}
	actions := s.m.Step(s.now, e)
	s.late(e, actions)
	for _, a := range actions {
		if text := describe(a); text != "" {
			s.log = append(s.log, "        "+text)
		}
		s.do(a, e, with)
	}
	s.checkMachine()
}

// late takes the center from a worker whose commit is not used: its next lease has
// to bring it.
func (s *sim) late(e Event, actions []Action) {
	f, ok := e.(FromWorker)
	if !ok || f.Msg.Kind() != "commit" {
		return
	}
	used := slices.ContainsFunc(actions, func(a Action) bool {
		_, merged := a.(Merge)
		_, held := a.(Hold)
		return merged || held
	})
	if !used {
		s.unused++
		s.workers[f.ID].center = false
	}
}

// checkMachine compares what the machine knows with what is.
func (s *sim) checkMachine() {
	var ids []string
	for _, w := range s.m.Workers() {
		ids = append(ids, w.Hello.ID)
	}
	slices.Sort(ids)
	s.check(slices.Equal(ids, s.present()), "the machine has workers %v, want %v", ids, s.present())
}

func (s *sim) do(a Action, e Event, with vars) {
	if tell, ok := a.(Tell); ok && s.mild {
		s.check(tell.Msg.Kind() != "abort", "%s is told to drop a step", tell.ID)
	}
	switch a := a.(type) {
	case Tell:
		s.told(a)
	case Answer:
		s.check(s.driver.here, "answer to an absent driver: %s", a.Msg.Kind())
		s.driver.hear(a.Msg, s.tensors(a.With))
	case Refuse:
		s.check(false, "refused: %s", a.Reason)
	case Drop:
		w := s.workers[a.ID]
		s.check(w != nil && w.connected, "%s dropped, and is not there", a.ID)
		s.check(a.Retry || w.leaving, "%s dropped for good: %s", a.ID, a.Reason)
		w.connected = false
		if w.leaving {
			s.left++
			s.check(!s.mild || w.run == nil && w.lease == nil && w.task == nil, "%s may go, and works", w.id)
			s.order = slices.DeleteFunc(s.order, func(id string) bool { return id == w.id })
		}
	case Keep:
		s.base = &with
		s.check(a.At.Done == with.done, "keeps variables of step %d as of %d", with.done, a.At.Done)
		if a.Center {
			clear(s.merged)
			clear(s.held)
		}
	case Merge:
		s.merge(e)
	case Hold:
		s.merge(e)
		s.held[a.ID] = true
	case Round:
		for _, id := range a.IDs {
			s.check(s.held[id], "a round of %s, of whom nothing is held", id)
			delete(s.held, id)
		}
		s.check(len(s.held) == 0, "a round without %v", s.held)
	}
}

// told sends a message to a worker.
func (s *sim) told(a Tell) {
	w := s.workers[a.ID]
	if w == nil || !w.connected {
		s.check(false, "%s told %s, and is not there", a.ID, a.Msg.Kind())
		return
	}
	switch m := a.Msg.(type) {
	case *wire.Ping, *wire.Welcome:
		return
	case *wire.Form:
		s.form(w, m)
	case *wire.Load:
		s.check(s.base != nil, "load without a base")
	case *wire.Lease:
		s.check(a.With != Center || s.base != nil, "no center to send")
	case *wire.Evaluate:
		s.check(s.together || s.base != nil, "no center to send")
		s.tested[m.Task] = s.driver.at.Done
	}
	w.in = append(w.in, parcel{a.Msg, s.tensors(a.With)})
}

// form checks a group: its number is new, and it knows of all its members.
func (s *sim) form(w *simWorker, m *wire.Form) {
	var ids []string
	for _, o := range m.Members {
		ids = append(ids, o.ID)
		s.check(o.Share > 0, "group %d: a share of %d", m.Gen, o.Share)
	}
	s.check(ids[m.Rank] == w.id, "group %d: %s has the rank of %s", m.Gen, w.id, ids[m.Rank])
	g := s.groups[m.Gen]
	if g == nil {
		for gen := range s.groups {
			s.check(gen < m.Gen, "group %d after %d", m.Gen, gen)
		}
		g = &simGroup{members: ids, gave: map[int64]map[string]vars{}, stop: map[int64]bool{}}
		s.groups[m.Gen] = g
	}
	s.check(slices.Equal(g.members, ids), "group %d of %v and of %v", m.Gen, g.members, ids)
}

func (s *sim) tensors(with With) vars {
	if s.base == nil || with != Base {
		return vars{done: s.driver.at.Done}
	}
	return *s.base
}

// merge counts the steps of a commit.
func (s *sim) merge(e Event) {
	f := e.(FromWorker)
	c := f.Msg.(*wire.Commit)
	b := s.trained[fmt.Sprint(f.ID, c.Lease)]
	t := s.driver.request.(*wire.Train)
	for i := b.first; i < b.last; i++ {
		step := block{first: t.Span.Epoch, last: i, member: b.member}
		s.merged[step]++
		s.check(s.merged[step] == 1, "step %d of epoch %d merged twice", i, t.Span.Epoch)
	}
}

// trainedTo checks that the center has the steps of a span, and no others.
func (s *sim) trainedTo(span wire.Span, at wire.Position) {
	if s.together {
		return
	}
	if at.Index == simEpoch {
		s.check(len(s.held) == 0, "an epoch has ended, and %v is not merged", s.held)
	}
	members := 1
	if n := s.driver.job.Params["members"]; n > 0 {
		members = int(n)
	}
	for i := span.First; i < span.Last; i++ {
		for m := range members {
			want := 0
			if i < at.Index {
				want = 1
			}
			got := s.merged[block{first: span.Epoch, last: i, member: m}]
			s.check(got == want, "trained to %d: step %d of member %d was merged %d times", at.Index, i, m, got)
		}
	}
	rows := int64(members * (at.Index - span.First))
	s.check(at.Sums.Rows == rows, "sums of %d rows, want %d", at.Sums.Rows, rows)
}

// evaluatedBy checks that a worker has the variables of where the run was when it
// was asked.
func (s *sim) evaluatedBy(w *simWorker) {
	want := s.tested[w.task.Task]
	s.check(!s.together || w.vars.done == want, "%s evaluates step %d, want %d", w.id, w.vars.done, want)
}
