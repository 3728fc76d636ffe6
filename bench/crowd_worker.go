package main

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/rpc"
	"github.com/gespann/gespann/dist/wire"
)

// A throng is simulated workers of a real coordinator: they say what workers say, and sleep
// where those compute.
type throng struct {
	address string
	perHost int           // workers of a machine
	step    time.Duration // of computing
	slow    time.Duration // how many times as slowly as in truth all happens
	vars    []float32     // what they send for variables
	wg      sync.WaitGroup

	formed, formBytes atomic.Int64 // Form messages, and bytes of the largest
	mu                sync.Mutex
	pings, merges     []time.Duration // between Pings; from Commit to Merged
	ends              map[string]int  // of connections, by why
}

// A sim is one of them.
type sim struct {
	*throng
	number int
	pinged time.Time
	sent   time.Time // of the commit at hand

	mu    sync.Mutex
	conn  dist.Conn // the latest
	job   wire.Job
	at    wire.Position
	cost  wire.Cost
	gen   int
	timer *time.Timer // of the Run at hand; nil: none
}

// live has worker number i connect, and connect again whenever that ends, as a new process, until
// ctx ends.
func (c *throng) live(ctx context.Context, i int) *sim {
	s := &sim{throng: c, number: i}
	c.wg.Go(func() {
		for ctx.Err() == nil {
			if err := s.once(ctx); err != nil && ctx.Err() == nil {
				c.ended(err.Error())
			}
			select {
			case <-ctx.Done():
			case <-time.After(c.slow * (500*time.Millisecond + rand.N(time.Second))):
			}
		}
	})
	return s
}

// once serves one connection to its end.
func (s *sim) once(ctx context.Context) error {
	conn, err := rpc.Dial(ctx, s.address, rpc.Worker, rpc.Trust{})
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	conn.Allow(1 << 30)
	s.mu.Lock()
	s.conn, s.pinged = conn, time.Time{}
	s.mu.Unlock()
	i, host := s.number, s.number/s.perHost
	secret := fmt.Sprintf("%d of %d", i, rand.Int64())
	if err := s.say(&wire.Hello{
		Protocol: wire.Protocol, ID: wire.WorkerID(secret), Secret: secret, Name: fmt.Sprintf("node%03d-%d", host, i%s.perHost),
		Version: "simulated", Backend: "cpu", Device: "AMD EPYC 9654 96-Core Processor", Threads: 8,
		Peer: []string{fmt.Sprintf("unix:/tmp/gespann-%d/peers", i), fmt.Sprintf("10.0.%d.%d:41234", host/250, host%250)},
		Host: fmt.Sprintf("0c5a8d8e-7d0f-4b5c-9c55-%012d/4026531840/1000", host),
	}, nil); err != nil {
		return err
	}
	over := make(chan struct{})
	defer close(over)
	s.wg.Go(func() { s.beat(over) })
	for {
		f, err := conn.Recv()
		if err != nil {
			return err
		}
		s.answer(f.Message)
		if f.Done != nil {
			f.Done()
		}
	}
}

// cut ends its connection, as a loss does.
func (s *sim) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn.Close()
}

func (s *sim) say(m wire.Message, floats []float32) error {
	s.mu.Lock()
	conn := s.conn
	s.mu.Unlock()
	return conn.Send(wire.Frame{Message: m, Floats: floats})
}

// beat says once a second that the worker is there, until over.
func (s *sim) beat(over chan struct{}) {
	tick := time.NewTicker(s.slow * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-over:
			return
		case <-tick.C:
		}
		s.mu.Lock()
		b := &wire.Beat{Done: s.at.Done, Phase: "compute", Cost: s.cost}
		s.mu.Unlock()
		s.say(b, nil) // an error is told to the one that receives
	}
}

func (s *sim) answer(m wire.Message) {
	switch m := m.(type) {
	case *wire.Ping:
		now := time.Now()
		if !s.pinged.IsZero() {
			s.note(&s.pings, now.Sub(s.pinged))
		}
		s.pinged = now
	case *wire.Open:
		s.mu.Lock()
		s.job, s.cost, s.at = m.Job, wire.Cost{}, wire.Position{}
		s.mu.Unlock()
		s.say(&wire.Opened{Job: m.Job.ID}, nil)
	case *wire.Load:
		s.mu.Lock()
		s.at = m.At
		s.mu.Unlock()
		s.say(&wire.Loaded{Job: s.job.ID, At: m.At}, nil)
	case *wire.Fetch:
		s.say(&wire.State{Job: s.job.ID, At: s.position()}, s.vars)
	case *wire.Form:
		s.form(m)
	case *wire.Run:
		s.run(m)
	case *wire.Abort:
		s.abort(m)
	case *wire.Lease:
		s.lease(m)
	case *wire.Dismiss:
		s.ended(m.Reason)
	case *wire.Merged:
		s.note(&s.merges, time.Since(s.sent))
	}
}

// ended counts why connections have ended.
func (c *throng) ended(why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ends == nil {
		c.ends = map[string]int{}
	}
	c.ends[why]++
}

func (c *throng) note(to *[]time.Duration, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*to = append(*to, d)
}

func (s *sim) position() wire.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

func (s *sim) form(m *wire.Form) {
	s.formed.Add(1)
	if m.Rank == 0 {
		if head, err := wire.AppendHead(nil, wire.Frame{Message: m}); err == nil {
			s.formBytes.Store(max(s.formBytes.Load(), int64(len(head))))
		}
	}
	s.mu.Lock()
	s.gen = m.Gen
	s.mu.Unlock()
}

// run takes the steps of a span in the time that they need.
func (s *sim) run(m *wire.Run) {
	span := m.Span
	s.mu.Lock()
	defer s.mu.Unlock()
	left := int(span.Done + int64(span.Last-span.First) - s.at.Done)
	s.timer = time.AfterFunc(s.slow*time.Duration(left)*s.step, func() {
		s.mu.Lock()
		if s.timer == nil || s.gen != m.Gen {
			s.mu.Unlock()
			return
		}
		s.timer = nil
		rows := int64(left * s.job.BatchSize)
		before := s.at.Sums
		if s.at.Epoch != span.Epoch || span.First == 0 {
			before = wire.Stats{}
		}
		s.at = wire.Position{Epoch: span.Epoch, Index: span.Last, Done: span.Done + int64(span.Last-span.First),
			Sums: wire.Stats{Rows: before.Rows + rows, Loss: before.Loss + wire.Number(rows)}}
		s.spend(rows/int64(s.job.Workers), time.Duration(left)*s.step)
		answer := &wire.Ran{Gen: m.Gen, At: s.at, Cost: s.cost}
		s.mu.Unlock()
		s.say(answer, nil)
	})
}

// spend notes time of computing. s.mu is held.
func (s *sim) spend(rows int64, d time.Duration) {
	s.cost.Rows += rows
	s.cost.Compute += 0.8 * d.Seconds()
	s.cost.Comm += 0.2 * d.Seconds()
}

func (s *sim) abort(m *wire.Abort) {
	s.mu.Lock()
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	answer := &wire.Aborted{Gen: m.Gen, At: s.at}
	s.mu.Unlock()
	s.say(answer, nil)
}

// lease takes steps alone, and commits.
func (s *sim) lease(m *wire.Lease) {
	steps := m.Span.Last - m.Span.First
	d := time.Duration(float64(steps) * float64(s.step) * (0.9 + 0.2*rand.Float64()))
	time.AfterFunc(s.slow*d, func() {
		rows := int64(steps * s.job.BatchSize)
		s.mu.Lock()
		s.spend(rows, d)
		c := &wire.Commit{Job: s.job.ID, Lease: m.Lease, Steps: steps, Cost: s.cost,
			Stats: wire.Stats{Rows: rows, Loss: wire.Number(rows)}}
		s.sent = time.Now()
		s.mu.Unlock()
		s.say(c, s.vars)
	})
}

// most returns the longest of what was noted, and the median, and forgets it.
func (c *throng) most(of *[]time.Duration) (longest, median time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := slices.Sorted(slices.Values(*of))
	*of = nil
	if len(all) == 0 {
		return 0, 0
	}
	return all[len(all)-1], cmp.Or(all[len(all)/2], 0)
}
