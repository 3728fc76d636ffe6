package worker

import (
	"context"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/sumtree"
	"github.com/gespann/gespann/dist/collective"
)

// sums is a way to compute gradients and to add those of all members.
type sums interface {
	// compute computes this member's parts of a step, and writes what they measure
	// to the table. It may begin to add.
	compute(ctx context.Context, at backend.StepAt, p *plan) error
	// finish returns when the gradients of all members are summed, and the table.
	finish(table []float32) error
	// waited returns how much of compute's time was spent waiting for other members.
	waited() time.Duration
	traffic() collective.Traffic
	// interrupt ends the links, and so what is under way. It may be called at any time.
	interrupt()
	// close ends the links. Nothing reads or writes gradients any more.
	close()
}

// partSums adds over a ring, or nested where workers share machines, in buckets that travel while the last part is still
// being computed; between processes of one machine, when it has been.
type partSums struct {
	*group
	ring     collective.Summer
	added    *collective.Bucketed
	ready    func(end int)
	meetings *partMeetings // nil where parts do not meet
}

// newPartSums takes the links over; that of meetings is nil where parts do not meet.
func newPartSums(g *group, ring collective.Summer, meetings *collective.Ring) *partSums {
	s := &partSums{group: g, ring: ring, added: collective.NewBucketed(ring, 0)}
	s.ready = s.added.Ready
	if meetings != nil {
		s.meetings = newPartMeetings(g, meetings)
	}
	return s
}

func (s *partSums) compute(ctx context.Context, at backend.StepAt, p *plan) error {
	dw := s.replica.Gradients()
	s.added.Begin(dw)
	if s.meetings != nil {
		s.meetings.spent = 0
		return s.together(ctx, at, p)
	}
	lo, hi := p.runs[0].lo, p.runs[0].hi
	if lo == hi {
		clear(dw) // fewer rows than members
	}
	for i := lo; i < hi; i++ {
		var ready func(end int)
		if i == hi-1 {
			ready = s.ready
		}
		o, err := s.replica.Gradient(ctx, at, p.at(i, at), i > lo, ready)
		if err != nil {
			return err
		}
		s.table.set(i, o)
	}
	return nil
}

func (s *partSums) finish(table []float32) error { return s.added.Wait(table) }

func (s *partSums) waited() time.Duration {
	if s.meetings == nil {
		return 0
	}
	return s.meetings.spent
}

func (s *partSums) traffic() collective.Traffic {
	all := s.ring.Traffic()
	if s.meetings != nil {
		met := s.meetings.ring.Traffic()
		all.Sent, all.Received = all.Sent+met.Sent, all.Received+met.Received
	}
	return all
}

func (s *partSums) interrupt() {
	if s.meetings != nil {
		_ = s.meetings.ring.Close()
	}
	_ = s.ring.Close()
}

func (s *partSums) close() {
	if s.meetings != nil {
		_ = s.meetings.ring.Close()
	}
	_ = s.added.Close()
}

// shardSums adds in the order of a tree over the shards of a step, whoever has
// them.
type shardSums struct {
	*group
	links    *collective.Tree
	mine     *sumtree.Tree
	meetings *shardMeetings // nil where parts do not meet
}

func newShardSums(g *group, links *collective.Tree) (*shardSums, error) {
	mine, err := sumtree.New(g.Shards, nil)
	s := &shardSums{group: g, links: links, mine: mine}
	if g.replica.Meets() {
		s.meetings = newShardMeetings(g, links)
	}
	return s, err
}

func (s *shardSums) compute(ctx context.Context, at backend.StepAt, p *plan) error {
	dw := s.replica.Gradients()
	s.mine.Reset()
	if s.meetings != nil {
		s.meetings.spent = 0
		return s.together(ctx, at, p)
	}
	for i := p.runs[0].lo; i < p.runs[0].hi; i++ {
		part, shard := p.at(i, at), []float32(nil)
		if part.Rows > 0 {
			o, err := s.replica.Gradient(ctx, at, part, false, nil)
			if err != nil {
				return err
			}
			s.table.set(i, o)
			shard = dw
		}
		if err := s.mine.Push(i, i+1, shard); err != nil {
			return err
		}
	}
	return nil
}

func (s *shardSums) finish(table []float32) error {
	return s.links.Sum(s.replica.Gradients(), s.mine.Nodes(), table)
}

func (s *shardSums) waited() time.Duration {
	if s.meetings == nil {
		return 0
	}
	return s.meetings.spent
}

func (s *shardSums) traffic() collective.Traffic { return s.links.Traffic() }
func (s *shardSums) interrupt()                  { _ = s.links.Close() }
func (s *shardSums) close()                      { _ = s.links.Close() }
