package cluster

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/disttest"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/data"
)

// A fault is what goes wrong at a request.
type fault string

const (
	none    fault = ""
	lose    fault = "lose"    // the variables are gone: Lost
	drop    fault = "drop"    // the connection ends before the request is looked at
	vanish  fault = "vanish"  // the request is done, but the connection ends before the answer
	restart fault = "restart" // both: variables and connection are gone
	behind  fault = "behind"  // the answer is a state of before
	refuse  fault = "refuse"  // Fault
	silent  fault = "silent"  // no answer
)

// A coordinator answers a session as a cluster would, with one backend behind it
// that holds the variables, over connections that may end.
type coordinator struct {
	t     *testing.T
	inner backend.Session
	loses func(m wire.Message) fault // asked at every request; nil: none

	mu      sync.Mutex
	wg      sync.WaitGroup
	conns   []dist.Conn
	holds   bool
	at      wire.Position
	stale   *wire.Frame  // an earlier answer to Snapshot
	served  []string     // kinds of the requests
	digest  atomic.Value // string, of the rows that came
	detach  *wire.Detach
	refused int   // connections still to be refused
	final   error // of all connections from now on
	workers int
}

// backendOn returns a backend whose coordinator computes with another one.
func backendOn(t *testing.T, inner backend.Backend, loses func(wire.Message) fault) *onCoordinator {
	return &onCoordinator{t: t, inner: inner, loses: loses, cluster: backend.Cluster{
		Workers: 2, Strategy: "sync", Wire: "fp32", Data: "auto", Name: "run",
	}}
}

// onCoordinator opens sessions that each have a coordinator of their own.
type onCoordinator struct {
	t       *testing.T
	inner   backend.Backend
	loses   func(wire.Message) fault
	cluster backend.Cluster
	refused int
	log     []string
	last    *coordinator

	patience time.Duration
	probe    bool
}

func (b *onCoordinator) Open(ctx context.Context, job backend.Job) (backend.Session, error) {
	inner, err := b.inner.Open(ctx, job)
	if err != nil {
		return nil, err
	}
	c := &coordinator{t: b.t, inner: inner, loses: b.loses, refused: b.refused, workers: 2}
	b.last = c
	b.t.Cleanup(func() {
		for _, conn := range c.conns {
			conn.Close()
		}
		c.wg.Wait()
		inner.Close()
	})
	cl := b.cluster
	job.Cluster = &cl
	return New(Options{
		Dial: func(context.Context) (dist.Conn, error) { return c.dial() },
		Log: func(format string, _ ...any) {
			b.log = append(b.log, format)
		},
		Predictor: "ref", Patience: b.patience, Probe: b.probe,
	}).Open(ctx, job)
}

func (c *coordinator) dial() (dist.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.final != nil {
		return nil, c.final
	}
	if c.refused > 0 {
		c.refused--
		return nil, errors.New("connection refused")
	}
	driver, own := disttest.Pipe("driver", "coordinator")
	own.Allow(1 << 30)
	c.conns = append(c.conns, own)
	c.wg.Add(1)
	go func() {
		defer c.wg.Done()
		c.serve(own)
		own.Close()
	}()
	return driver, nil
}

// serve answers one connection.
func (c *coordinator) serve(conn dist.Conn) {
	stop := make(chan struct{}, 1)
	requests := make(chan wire.Frame, 1)
	c.wg.Add(1)
	go func() {
		defer c.wg.Done()
		defer close(requests)
		var layout data.Layout
		var rows []byte
		for {
			f, err := conn.Recv()
			if err != nil {
				return
			}
			switch m := f.Message.(type) {
			case *wire.Stop:
				stop <- struct{}{}
			case *wire.Rows:
				if m.Table != nil {
					layout, rows = *m.Table, nil
				}
				if rows = append(rows, f.Bytes...); m.Last {
					c.received(layout, rows)
				}
			default:
				requests <- f
			}
		}
	}()
	defer func() {
		for range requests { // until the other side is gone, too
		}
	}()
	for f := range requests {
		if !c.request(conn, f, stop) {
			conn.Close()
			return
		}
	}
}

// request answers one request, with what goes wrong with it. It reports false when
// the connection is to end.
func (c *coordinator) request(conn dist.Conn, f wire.Frame, stop chan struct{}) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.served = append(c.served, f.Kind())
	wrong := none
	if c.loses != nil {
		wrong = c.loses(f.Message)
	}
	switch wrong {
	case lose, restart:
		c.holds = false
	case drop:
		return false
	case refuse:
		return conn.Send(wire.Frame{Message: &wire.Fault{Err: "out of luck"}}) == nil
	case silent:
		return true
	}
	if wrong == restart {
		return false
	}
	answer := c.answer(conn, f, stop)
	if wrong == behind && c.stale != nil && f.Kind() == "snapshot" {
		answer = *c.stale
	}
	if wrong == vanish || answer.Message == nil {
		return false
	}
	return conn.Send(answer) == nil
}

func (c *coordinator) answer(conn dist.Conn, f wire.Frame, stop chan struct{}) wire.Frame {
	ctx := context.Background()
	fatal := func(err error) wire.Frame { return wire.Frame{Message: &wire.Fault{Err: err.Error()}} }
	switch m := f.Message.(type) {
	case *wire.Attach:
		conn.Send(wire.Frame{Message: new(wire.WantRows)})
		return wire.Frame{Message: &wire.Attached{Workers: c.workers}}
	case *wire.Restore:
		if err := c.inner.Restore(ctx, c.split(f.Floats)); err != nil {
			return fatal(err)
		}
		c.at, c.holds = m.At, true
		return wire.Frame{Message: new(wire.Restored)}
	case *wire.Detach:
		c.detach = m
		return wire.Frame{}
	case *wire.Bill:
		return wire.Frame{Message: &wire.Billed{Account: backend.Account{
			Workers: []backend.WorkerAccount{{Name: "a", Rows: 3}}, Rows: 99}}}
	}
	if !c.holds {
		return wire.Frame{Message: &wire.Lost{Reason: "no worker has them"}}
	}
	switch m := f.Message.(type) {
	case *wire.Probe:
		steps := m.Span.Last - m.Span.First
		return wire.Frame{Message: &wire.Probed{Rows: int64(10 * steps), Seconds: 0.0078125 * float64(steps)}}
	case *wire.Train:
		return c.train(conn, m, stop)
	case *wire.Test:
		stats, err := c.inner.Evaluate(ctx, m.Split)
		if err != nil {
			return fatal(err)
		}
		return wire.Frame{Message: &wire.Tested{Stats: wire.FromStats(stats)}}
	case *wire.Snapshot:
		vars, err := c.inner.Snapshot(ctx)
		if err != nil {
			return fatal(err)
		}
		answer := wire.Frame{Message: &wire.Variables{At: c.at}, Floats: slices.Concat(vars...)}
		old := answer
		c.stale = &old
		return answer
	}
	return fatal(errors.New("unexpected " + f.Kind()))
}

// train takes the steps of a span that are not taken yet.
func (c *coordinator) train(conn dist.Conn, m *wire.Train, stop chan struct{}) wire.Frame {
	taken := int(c.at.Done - m.Span.Done)
	if taken < 0 || taken > m.Span.Last-m.Span.First {
		return wire.Frame{Message: &wire.Lost{Reason: "all are elsewhere"}}
	}
	if m.Span.First == 0 && taken == 0 {
		c.at.Epoch, c.at.Index, c.at.Sums = m.Span.Epoch, 0, wire.Stats{}
	}
	if taken == 0 {
		c.at.Sums = m.Sums
	}
	conn.Send(wire.Frame{Message: &wire.Progress{At: c.at}})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for i := m.Span.First + taken; i < m.Span.Last; i++ {
		select {
		case <-stop:
			return wire.Frame{Message: &wire.Trained{At: c.at}}
		default:
		}
		stats, _, err := c.inner.Train(ctx, backend.Span{
			Epoch: m.Span.Epoch, First: i, Last: i + 1, Step: c.at.Done,
			Rates: m.Span.Rates[i-m.Span.First:][:1], Sums: c.at.Sums.Stats(),
		})
		if nan := wire.FromNotFinite(err); nan != nil {
			return wire.Frame{Message: &wire.Trained{At: c.at, NotFinite: nan}}
		} else if err != nil {
			return wire.Frame{Message: &wire.Fault{Err: err.Error()}}
		}
		c.at.Index, c.at.Done, c.at.Sums = i+1, c.at.Done+1, wire.FromStats(stats)
		conn.Send(wire.Frame{Message: &wire.Progress{At: c.at}})
	}
	return wire.Frame{Message: &wire.Trained{At: c.at}}
}

// received checks the rows of a driver.
func (c *coordinator) received(layout data.Layout, rows []byte) {
	r, err := data.NewReceiver(layout, 1<<30)
	if err == nil {
		_, err = r.Write(rows)
	}
	if err == nil {
		var set *data.Set
		if set, err = r.Set(); err == nil {
			c.digest.Store(set.Digest())
		}
	}
	if err != nil {
		c.t.Error(err)
	}
}

func (c *coordinator) split(all []float32) [][]float32 {
	shapes, err := c.inner.Snapshot(context.Background())
	if err != nil {
		c.t.Error(err)
	}
	for i := range shapes {
		n := len(shapes[i])
		shapes[i], all = all[:n], all[n:]
	}
	return shapes
}
