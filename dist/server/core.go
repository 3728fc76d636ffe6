package server

import (
	"fmt"
	"math/rand/v2"
	"time"

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
	lost    []LostWorker // the latest first
	totals  Totals
	changed bool // worth telling those who watch

	current *tensor       // of the event at hand
	joining *peer         // the driver that has just joined
	pending []coord.Event // that follow from actions
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
			c.look()
			c.handle(in)
			in.finish()
		case <-ticks:
			c.look()
			c.tick()
		case <-c.quit:
			c.end()
			return
		}
	}
}

// look reads the time that has passed, which never goes back.
func (c *core) look() { c.now = max(c.now, c.o.Elapsed()-c.begun) }

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

// take makes the frame's tensors those of the event, if they are as they should
// be, and returns an event that says what of them is hard to believe.
func (c *core) take(id, from string, in *incoming) (seen coord.FromWorker, err error) {
	f := in.frame
	j, want := c.jobs[id], 0
	if named, ok := jobOf(f.Message); ok && named != id {
		return seen, nil // of a job that has ended: late, and of no use
	}
	if j != nil {
		want = j.expects(f.Message)
	}
	if len(f.Floats) == 0 && j == nil {
		return seen, nil
	}
	if len(f.Floats) != want || len(f.Bytes) > 0 {
		return seen, fmt.Errorf("%s with %d numbers and %d bytes, want %d and 0",
			f.Kind(), len(f.Floats), len(f.Bytes), want)
	}
	if want == 0 {
		return seen, nil
	}
	c.current = in.tensor.keep()
	if !c.current.looked {
		c.current.look, _ = j.look(f.Floats)
	}
	seen.Odd, seen.Size = j.yard.odd(from, f.Message, c.current.look), c.current.look.norm
	usual := j.yard.others(from)
	if seen.Odd == "" {
		usual = max(usual, seen.Size)
	}
	seen.Wild = j.yard.wild(usual)
	return seen, nil
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
