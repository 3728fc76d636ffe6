package server

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/coord"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/plain"
)

// A worker is one that is connected.
type worker struct {
	*peer
	hello wire.Hello
	open  string // job that it was told to open
	job   string // job that it has opened
	phase string
	beat  wire.Beat // the latest
	heard time.Duration
	bytes time.Duration // when the latest came, as far as they were signs of life: see dist.Hearing
	// allowed is how many bytes of tensors a frame may have.
	allowed int64
	cost    wire.Cost // of its job
	// Its speed in rows per second, and the rows that it had at costAt.
	speed  float64
	rowsAt int64
	costAt time.Duration
	grew   bool // it has had rows in the second before costAt
}

// Worker serves the connection of a worker until its end.
func (s *Server) Worker(ctx context.Context, conn dist.Conn, who dist.Principal) error {
	return s.serve(ctx, conn, who, func(p *peer) error {
		f, err := p.first()
		if err != nil {
			return err
		}
		defer done(f) // what it says of itself is kept as long
		hello, ok := f.Message.(*wire.Hello)
		switch {
		case !ok:
			err = fmt.Errorf("the first message of a worker is %s, want hello", f.Kind())
		case hello.Protocol != wire.Protocol:
			err = fmt.Errorf("the worker speaks protocol %d, this coordinator %d\n"+
				"hint: use the same version of gespann everywhere", hello.Protocol, wire.Protocol)
		case hello.ID != wire.WorkerID(hello.Secret):
			err = fmt.Errorf("worker %s does not have the secret of that ID", hello.ID)
		}
		if err != nil {
			return p.refuse(&wire.Dismiss{Reason: err.Error()}, err)
		}
		hello.Secret = "" // nobody else is to know it
		hello.Name, hello.Version = plain.Line(hello.Name), plain.Line(hello.Version)
		hello.Device, hello.Backend = plain.Line(hello.Device), plain.Line(hello.Backend)
		p.worker = hello.ID
		if !s.post(incoming{from: p, hello: hello}) {
			return errClosing
		}
		for {
			f, err := p.receive()
			if err != nil {
				s.post(incoming{from: p, gone: err})
				return err
			}
			if !s.hand(p, f) {
				return errClosing
			}
		}
	})
}

func (c *core) workerJoined(p *peer, h wire.Hello) {
	old := c.workers[h.ID]
	if old != nil && !old.who.Is(p.who) {
		p.finish(&wire.Dismiss{Reason: fmt.Sprintf("worker %s is connected, and is %s's", h.ID, old.who)})
		return
	}
	if old != nil {
		old.finish(nil) // without a word: it is the same worker, and is to stay
		c.left(old)
		c.totals.WorkersLost++
	}
	c.lost = slices.DeleteFunc(slices.Clone(c.lost), func(w LostWorker) bool { return w.ID == h.ID })
	c.workers[h.ID] = &worker{peer: p, hello: h, heard: c.now}
	c.totals.WorkersJoined++
	c.counted()
	c.step(coord.WorkerJoined{Hello: h})
}

// loses notes that a worker is no longer here, and why.
func (c *core) loses(w *worker, why string) {
	c.left(w)
	h := w.hello
	state := WorkerLost
	if why == backend.TookLeave {
		state = WorkerLeft
		c.totals.WorkersLeft++
	} else {
		c.totals.WorkersLost++
	}
	gone := LostWorker{
		ID: h.ID, Name: h.Name, Address: w.conn.Remote(), Backend: h.Backend, Job: w.open, State: state, Time: c.o.Now(), Why: why,
		lost: c.o.Elapsed(),
	}
	c.lost = append([]LostWorker{gone}, c.lost[:min(len(c.lost), maxLost-1)]...)
}

// left forgets a worker's connection.
func (c *core) left(w *worker) {
	if j := c.jobs[w.open]; j != nil {
		j.forget(w.hello.ID)
	}
	if c.workers[w.hello.ID] == w {
		delete(c.workers, w.hello.ID)
	}
	c.counted()
}

// counted tells those who wait for workers that there are more, or fewer.
func (c *core) counted() {
	c.changed = true
	c.crew.Store(int32(len(c.workers)))
	c.awaken()
}

func (c *core) fromWorker(in incoming) {
	id := in.from.worker
	w := c.workers[id]
	if w == nil || w.peer != in.from {
		return // it has been dropped
	}
	if in.gone != nil {
		why := in.from.why(in.gone)
		c.loses(w, why)
		c.step(coord.WorkerGone{ID: id, Reason: why})
		return
	}
	c.totals.Messages++
	c.totals.TensorBytesIn += 4 * int64(len(in.frame.Floats))
	w.heard = c.now
	if h, ok := w.conn.(dist.Hearing); ok {
		w.bytes = h.Heard()
	}
	c.observe(w, in.frame.Message)
	e, err := c.take(w.open, id, &in)
	if err != nil {
		w.finish(&wire.Dismiss{Reason: err.Error()})
		c.loses(w, err.Error())
		c.step(coord.WorkerGone{ID: id, Reason: err.Error()})
		return
	}
	e.ID, e.Msg = id, in.frame.Message
	c.step(e)
}

// observe notes what a worker says of itself.
func (c *core) observe(w *worker, m wire.Message) {
	switch m := m.(type) {
	case *wire.Beat:
		c.totals.Beats++
		w.beat = *m
		w.phase = m.Phase
		c.cost(w, m.Cost)
	case *wire.Ran:
		c.cost(w, m.Cost)
	case *wire.Commit:
		c.cost(w, m.Cost)
	case *wire.Opened:
		c.changed = true
		if m.Job == w.open && m.Err == "" {
			w.job, w.cost, w.costAt, w.rowsAt, w.grew = m.Job, wire.Cost{}, c.now, 0, false
		}
	}
}

// cost notes where a worker's time went. Before it has opened the job, what it
// says is about another.
func (c *core) cost(w *worker, cost wire.Cost) {
	if w.job == "" || w.job != w.open {
		return
	}
	w.cost = cost
	if d := (c.now - w.costAt).Seconds(); d >= 0.9 {
		w.grew = cost.Rows > w.rowsAt
		w.speed += 0.5 * (float64(max(cost.Rows-w.rowsAt, 0))/d - w.speed)
		w.costAt, w.rowsAt = c.now, cost.Rows
	}
}

// listen takes bytes of a long frame for signs of life: the worker's beats wait
// behind it. The latest of them stands for those.
func (c *core) listen() {
	for _, w := range slices.SortedFunc(maps.Values(c.workers), func(a, b *worker) int {
		return cmp.Compare(a.hello.ID, b.hello.ID)
	}) {
		h, ok := w.conn.(dist.Hearing)
		if !ok || c.now-w.heard < silent {
			continue
		}
		if at := h.Heard(); at > w.bytes {
			w.bytes = at
			c.step(coord.FromWorker{ID: w.hello.ID, Msg: &w.beat})
		}
	}
}
