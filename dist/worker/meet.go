package worker

import (
	"context"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/meet"
	"github.com/gespann/gespann/backend/sumtree"
	"github.com/gespann/gespann/dist/collective"
)

// Where parts of a gradient run meet (package meet), members exchange their vectors, and
// each merges all of them, in one order. A step is then cut run by run, so that every
// member has a part of each. Who waits there does not compute.

// waits keeps the account of time spent where parts meet.
type waits struct {
	account *account
	spent   time.Duration // in this step
}

// during calls f, which waits for others.
func (w *waits) during(f func() error) error {
	began := time.Now()
	w.account.enter(wait)
	err := f()
	w.account.enter(compute)
	w.spent += time.Since(began)
	return err
}

// partMeetings are those of members that have a part of each run. They have links of
// their own: gradients travel on the others meanwhile.
type partMeetings struct {
	waits
	ring *collective.Ring
	rank int
	v    [][]float64 // by rank
}

func newPartMeetings(g *group, ring *collective.Ring) *partMeetings {
	return &partMeetings{waits: waits{account: g.account}, ring: ring, rank: g.rank, v: make([][]float64, len(g.shares))}
}

// meet merges the vectors of all members in the order of their ranks.
func (m *partMeetings) meet(own [][]float64) ([]float64, error) {
	for rank := range m.v {
		m.v[rank] = resized(m.v[rank], len(own[0]))
	}
	copy(m.v[m.rank], own[0])
	if err := m.during(func() error { return m.ring.Exchange(m.v) }); err != nil {
		return nil, err
	}
	for _, x := range m.v[1:] {
		if err := meet.Merge(m.v[0], x); err != nil {
			return nil, err
		}
	}
	return m.v[0], nil
}

// shardMeetings are those of members that have shards of a run, and go along the tree
// that their gradients are added along. Those who have none of a run do not come.
type shardMeetings struct {
	waits
	links *collective.Tree
	group *group
	first int         // shard of the run at hand
	cuts  []int       // shards of the run by rank: cuts[rank] ≤ i < cuts[rank+1]
	all   [][]float64 // by shard of the run
	v     [][]float64 // by rank: the nodes of its shards, one after the other
}

func newShardMeetings(g *group, links *collective.Tree) *shardMeetings {
	n := len(g.shares)
	return &shardMeetings{waits: waits{account: g.account}, links: links, group: g,
		cuts: make([]int, n+1), all: make([][]float64, g.perRun()), v: make([][]float64, n)}
}

// begin begins a run, whose first shard is number first of the step.
func (m *shardMeetings) begin(first int) {
	m.first = first
	for rank := range m.v {
		_, hi := backend.Share(m.group.Shards, m.group.shares, rank)
		m.cuts[rank+1] = min(max(hi-first, 0), len(m.all))
	}
}

// meet merges the vectors of all shards of the run.
func (m *shardMeetings) meet(own [][]float64) ([]float64, error) {
	rank, length := m.group.rank, len(own[0])
	lo, hi := m.cuts[rank], m.cuts[rank+1]
	copy(m.all[lo:hi], own)
	if err := meet.Fold(m.all, lo, hi); err != nil {
		return nil, err
	}
	for r := range m.v {
		nodes := 0
		for from := range sumtree.Subtrees(m.cuts[r], m.cuts[r+1]) {
			m.v[r] = resized(m.v[r], (nodes+1)*length)
			if r == rank {
				copy(m.v[r][nodes*length:], m.all[from])
			}
			nodes++
		}
		m.v[r] = resized(m.v[r], nodes*length)
	}
	if err := m.during(func() error { return m.links.Exchange(m.v) }); err != nil {
		return nil, err
	}
	for r := range m.v {
		node := m.v[r]
		for from := range sumtree.Subtrees(m.cuts[r], m.cuts[r+1]) {
			m.all[from], node = node[:length], node[length:]
		}
	}
	return m.all[0], meet.Join(m.all, m.cuts)
}

// resized returns v with n elements, which it keeps as far as there are.
func resized(v []float64, n int) []float64 {
	if cap(v) < n {
		v = append(v[:cap(v)], make([]float64, n-cap(v))...)
	}
	return v[:n]
}

// together computes this member's parts of a step whose parts meet.
func (s *partSums) together(ctx context.Context, at backend.StepAt, p *plan) error {
	dw := s.replica.Gradients()
	for k, run := range p.runs {
		part := p.at(run.lo, at)
		how := backend.Together{Meet: s.meetings.meet, Add: k > 0}
		if k == len(p.runs)-1 {
			how.Ready = s.ready
		}
		if k == 0 && part.Rows == 0 {
			clear(dw) // what comes is added
		}
		o, err := s.replica.Together(ctx, at, []backend.Part{part}, how)
		if err != nil {
			return err
		}
		s.table.setRun(run.lo, o)
	}
	return nil
}

// together computes this member's shards of a step whose shards meet.
func (s *shardSums) together(ctx context.Context, at backend.StepAt, p *plan) error {
	for _, run := range p.runs {
		var parts []backend.Part
		for i := run.lo; i < run.hi; i++ {
			parts = append(parts, p.at(i, at))
		}
		s.meetings.begin(run.lo / p.perRun * p.perRun)
		o, err := s.replica.Together(ctx, at, parts, backend.Together{Meet: s.meetings.meet,
			Each: func(i int, dw []float32) error { return s.mine.Push(run.lo+i, run.lo+i+1, dw) }})
		if err != nil {
			return err
		}
		for i, part := range parts {
			if part.Rows == 0 {
				if err := s.mine.Push(run.lo+i, run.lo+i+1, nil); err != nil {
					return err
				}
			}
		}
		s.table.setRun(run.lo, o)
	}
	return nil
}
