package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/collective"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/data"
)

// formTimeout is how long members wait for each other's links. They all were told
// to form at the same time.
const formTimeout = 10 * time.Second

// maxShare keeps rows·shares within 64 bits.
const maxShare = 1 << 20

// A group takes steps together with other workers: this one is number rank.
type group struct {
	*job
	account *account
	gen     int
	rank    int
	shares  []int // of a step's rows, by rank
	sums    sums
	plans   [2]plan // of a whole step, and of an epoch's last
	table   table
	step    backend.Stats // of a step; kept for its memory
	moved   collective.Traffic
	broken  bool // the coordinator knows
	loops   collective.Loops
}

// form makes the worker a member of a group.
func (s *serving) form(t *task, m *wire.Form) error {
	if err := s.mine(m.Job); err != nil {
		return err
	}
	j := s.held
	j.leave()
	if m.Rank < 0 || m.Rank >= len(m.Members) || m.Members[m.Rank].ID != s.id {
		return fmt.Errorf("form: rank %d of %d members is not this worker", m.Rank, len(m.Members))
	}
	if j.at == nil {
		return fmt.Errorf("form: %w", errNowhere)
	}
	g := &group{loops: s.Loops, job: j, account: &s.account, gen: m.Gen, rank: m.Rank}
	total := 0
	for _, member := range m.Members {
		g.shares = append(g.shares, member.Share)
		if total += member.Share; member.Share < 0 || member.Share > maxShare {
			return fmt.Errorf("form: got a share of %d, want 0 to %d", member.Share, maxShare)
		}
	}
	if total == 0 {
		return fmt.Errorf("form: got no share above 0")
	}
	ctx, cancel := context.WithTimeout(t.ctx, formTimeout)
	defer cancel()
	s.account.expect()
	s.account.enter(wait)
	err := g.connect(ctx, s.Peers, dist.Generation{Job: j.ID, Gen: m.Gen, Self: s.id, Secret: m.Secret}, m.Members)
	if err != nil && t.ctx.Err() == nil {
		return s.breaks(g, err)
	}
	if err != nil {
		s.account.enter(idle)
		return err
	}
	j.group = g
	return nil
}

// connect makes the links to the other members.
func (g *group) connect(ctx context.Context, peers dist.Peers, gen dist.Generation,
	members []wire.Member) error {
	o := collective.Options{BF16: g.Wire == "bf16", Loops: g.loops}
	if g.Shards > 0 {
		o.BF16 = false
		links, err := collective.ConnectTree(ctx, peers, gen, members, g.rank, g.Shards, o)
		if err != nil {
			return err
		}
		g.sums, err = newShardSums(g, links)
		return err
	}
	links, err := collective.Connect(ctx, peers, gen, members, g.rank, len(g.replica.Gradients()), o)
	if err != nil {
		return err
	}
	var meetings *collective.Ring
	if g.replica.Meets() {
		gen.Job += meetingLinks
		if meetings, err = collective.ConnectRing(ctx, peers, gen, members, g.rank, o); err != nil {
			links.Close() // err is the cause
			return err
		}
	}
	g.sums = newPartSums(g, links, meetings)
	return nil
}

// meetingLinks, behind the ID of a job, names the links of its meetings.
const meetingLinks = " meetings"

// breaks tells the coordinator that the group cannot go on.
func (s *serving) breaks(g *group, err error) error {
	s.account.enter(idle)
	g.close()
	g.broken = true
	g.job.group = g
	m := &wire.Broken{Gen: g.gen, At: g.at.position(), Err: err.Error()}
	var peer *collective.PeerError
	if errors.As(err, &peer) {
		m.Peer = peer.Peer
	}
	s.Log.Warn("the group cannot go on", "generation", g.gen, "peer", m.Peer, "error", err)
	return s.send(m, nil)
}

// close ends the links.
func (g *group) close() {
	if g.sums != nil {
		g.sums.close()
		g.sums = nil
	}
}

// aborted answers Abort; run has ended.
func (s *serving) aborted(m *wire.Abort) error {
	j := s.held
	if j.group != nil && j.group.gen == m.Gen {
		j.leave()
	}
	answer := &wire.Aborted{Gen: m.Gen}
	if j.at != nil {
		answer.At = j.at.position()
	}
	return s.send(answer, nil)
}

// run takes the steps of a span that the group has not taken yet.
func (s *serving) run(t *task, m *wire.Run) error {
	g := s.held.group
	switch {
	case g == nil || g.gen != m.Gen:
		return fmt.Errorf("run: this worker is not a member of generation %d", m.Gen)
	case g.broken:
		return nil // as the coordinator was told
	}
	s.account.begin(m.Rested)
	err := g.span(t, &m.Span)
	cost := s.account.end(idle)
	var nan *notFiniteError
	var peer *collective.PeerError
	switch {
	case err == nil || errors.As(err, &nan) && !nan.mine:
		return s.send(&wire.Ran{Gen: m.Gen, At: g.at.position(), Cost: cost}, nil)
	case nan != nil:
		return nan.trace(t.ctx, g.replica)
	case t.ctx.Err() == nil && errors.As(err, &peer):
		return s.breaks(g, err)
	}
	g.leave()
	return err
}

// span takes the steps of a span from where the variables are, until its end or
// until a member wants to stop.
func (g *group) span(t *task, m *wire.Span) error {
	done, err := g.taken(m)
	if err != nil {
		return err
	}
	settled := whenDone(t.ctx, g.sums.interrupt)
	defer settled()
	for k := done; k < m.Last-m.First; k++ {
		at := backend.StepAt{Epoch: m.Epoch, Index: m.First + k, Done: m.Done + int64(k)}
		stop, err := g.take(t, at, m.Rates[k])
		if err != nil || stop {
			return err
		}
	}
	return nil
}

// taken returns how many of a span's steps the variables have had.
func (j *job) taken(m *wire.Span) (int, error) {
	steps, k := m.Last-m.First, j.at.Done-m.Done
	size := j.BatchSize * j.Accumulate
	most := (j.Rows[data.Train] + size - 1) / size
	switch {
	case m.First < 0 || steps < 0 || m.Last > most || len(m.Rates) < steps:
		return 0, fmt.Errorf("span: got steps %d to %d with %d rates, of an epoch of %d",
			m.First, m.Last, len(m.Rates), most)
	case k >= 0 && k <= int64(steps) && j.at.Epoch == m.Epoch && int64(j.at.Index) == int64(m.First)+k:
		return int(k), nil
	case k == 0 && m.First == 0 && j.at.Epoch == m.Epoch-1:
		return 0, nil // the next epoch
	}
	return 0, fmt.Errorf("span: steps %d to %d of epoch %d, after %d, do not follow on step %d of epoch %d, after %d",
		m.First, m.Last, m.Epoch, m.Done, j.at.Index, j.at.Epoch, j.at.Done)
}

// whenDone calls f when ctx ends, unless the function that it returns was called
// before. That waits for f.
func whenDone(ctx context.Context, f func()) (settle func()) {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		f()
	})
	return func() {
		if !stop() {
			<-done
		}
	}
}
