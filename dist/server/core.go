package server

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/coord"
	"github.com/gespann/gespann/dist/wire"
)

// A core is what the goroutine of the loop owns.
type core struct {
	*Server
	machine machine
	now     time.Duration // since the start
	ticks   int
	workers map[string]*worker
	jobs    map[string]*job
	totals  Totals
	changed bool // worth telling those who watch

	current *tensor       // of the event at hand
	joining *peer         // the driver that has just joined
	pending []coord.Event // that follow from actions
}

// A worker is one that is connected.
type worker struct {
	*peer
	hello wire.Hello
	open  string // job that it was told to open
	job   string // job that it has opened
	phase string
	beat  wire.Beat // the latest
	heard time.Duration
	bytes time.Time // when the latest came, as far as they were signs of life
	// allowed is how many bytes of tensors a frame may have.
	allowed int64
	cost    wire.Cost // of its job
	// Its speed in rows per second, and the rows that it had at costAt.
	speed  float64
	rowsAt int64
	costAt time.Duration
}

func newCore(s *Server) *core {
	c := &core{Server: s, machine: s.o.machine, workers: map[string]*worker{}, jobs: map[string]*job{}}
	if c.machine == nil {
		c.machine = coord.New(coord.Options{
			Coordinator: s.id,
			// Links of an earlier process's groups may still be on their way, for some
			// seconds: those groups have other numbers.
			FirstGen: 1 + rand.IntN(1<<30),
		})
	}
	return c
}

// loop runs until the server quits.
func (c *core) loop() {
	defer close(c.over)
	ticks := c.o.Ticks
	if ticks == nil {
		t := time.NewTicker(time.Second / 4)
		defer t.Stop()
		ticks = t.C
	}
	for {
		select {
		case in := <-c.events:
			c.clock()
			c.handle(in)
		case <-ticks:
			c.clock()
			c.tick()
		case <-c.quit:
			c.end()
			return
		}
	}
}

// clock reads the time, which never goes back.
func (c *core) clock() { c.now = max(c.now, c.o.Now().Sub(c.started)) }

func (c *core) tick() {
	c.listen()
	c.step(coord.Tick{})
	c.ticks++
	if c.ticks%4 == 0 {
		c.changed = true
	}
	for _, j := range c.jobs {
		c.record(j, false)
	}
	c.publish()
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
		if at := h.Heard(); at.After(w.bytes) {
			w.bytes = at
			c.step(coord.FromWorker{ID: w.hello.ID, Msg: &w.beat})
		}
	}
}

// end says good-bye to everyone.
func (c *core) end() {
	bye := &wire.Dismiss{Reason: errClosing.Error(), Retry: true}
	for _, w := range c.workers {
		w.finish(bye)
	}
	for _, j := range c.jobs {
		c.record(j, true)
		if j.driver != nil {
			j.driver.finish(bye)
		}
		j.free(errClosing)
	}
	c.publish()
}

func (c *core) handle(in incoming) {
	switch {
	case in.call != nil:
		in.call(c)
	case in.hello != nil:
		c.workerJoined(in.from, *in.hello)
	case in.drive != nil:
		c.driverJoined(in.from, in.drive)
	case in.from.worker != "":
		c.fromWorker(in)
	default:
		c.fromDriver(in)
	}
}

// step lets the machine see an event and does what it says, and then what follows
// from that.
func (c *core) step(e coord.Event) {
	for {
		for _, a := range c.machine.Step(c.now, e) {
			c.do(a)
		}
		c.current.release()
		c.current = nil
		if len(c.pending) == 0 {
			return
		}
		e = c.pending[0]
		c.pending = c.pending[1:]
	}
}

func (c *core) workerJoined(p *peer, h wire.Hello) {
	if old := c.workers[h.ID]; old != nil {
		old.finish(nil) // without a word: it is the same worker, and is to stay
		c.left(old)
	}
	c.workers[h.ID] = &worker{peer: p, hello: h, heard: c.now}
	c.totals.WorkersJoined++
	c.changed = true
	c.step(coord.WorkerJoined{Hello: h})
}

// left notes that a worker is no longer here.
func (c *core) left(w *worker) {
	if j := c.jobs[w.open]; j != nil {
		j.forget(w.hello.ID)
	}
	if c.workers[w.hello.ID] == w {
		delete(c.workers, w.hello.ID)
	}
	c.totals.WorkersLost++
	c.changed = true
}

func (c *core) fromWorker(in incoming) {
	id := in.from.worker
	w := c.workers[id]
	if w == nil || w.peer != in.from {
		return // it has been dropped
	}
	if in.gone != nil {
		c.left(w)
		c.step(coord.WorkerGone{ID: id, Reason: in.from.why(in.gone)})
		return
	}
	c.totals.Messages++
	c.totals.TensorBytesIn += 4 * int64(len(in.frame.Floats))
	w.heard, w.bytes = c.now, c.o.Now()
	c.observe(w, in.frame.Message)
	if err := c.take(w.open, in.frame); err != nil {
		w.finish(&wire.Dismiss{Reason: err.Error()})
		c.left(w)
		c.step(coord.WorkerGone{ID: id, Reason: err.Error()})
		return
	}
	c.step(coord.FromWorker{ID: id, Msg: in.frame.Message})
}

// take makes the frame's tensors those of the event, if they are as they should
// be.
func (c *core) take(id string, f wire.Frame) error {
	j, want := c.jobs[id], 0
	if named, ok := jobOf(f.Message); ok && named != id {
		return nil // of a job that has ended: late, and of no use
	}
	if j != nil {
		want = j.expects(f.Message)
	}
	if len(f.Floats) == 0 && j == nil {
		return nil
	}
	if len(f.Floats) != want || len(f.Bytes) > 0 {
		return fmt.Errorf("%s with %d numbers and %d bytes, want %d and 0",
			f.Kind(), len(f.Floats), len(f.Bytes), want)
	}
	if want > 0 {
		c.current = wrap(f.Floats)
	}
	return nil
}

// jobOf returns the job that a message of a worker with tensors names.
func jobOf(m wire.Message) (string, bool) {
	switch m := m.(type) {
	case *wire.State:
		return m.Job, true
	case *wire.Commit:
		return m.Job, true
	}
	return "", false
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
			w.job, w.cost, w.costAt, w.rowsAt = m.Job, wire.Cost{}, c.now, 0
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
		w.speed += 0.5 * (float64(max(cost.Rows-w.rowsAt, 0))/d - w.speed)
		w.costAt, w.rowsAt = c.now, cost.Rows
	}
}
