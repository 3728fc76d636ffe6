package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/coord"
	"github.com/gespann/gespann/dist/server/jobs"
	"github.com/gespann/gespann/dist/server/rows"
	"github.com/gespann/gespann/dist/strategy"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/memlimit"
)

// A job is one that the machine knows.
type job struct {
	*tensors
	id        string
	strategy  string
	workers   int    // that have it open, as in the book
	wants     int    // to begin with
	frame     int64  // bytes of all variables, as a driver sends them
	done      func() // gives back the memory of what its driver said first
	submitted bool
	by        dist.Principal // who drives it
	driver    *peer
	rows      *rows.Store
	account   *backend.Account // the latest; it does not change
	track     *track

	state, reason string
	ending        string // state after Free, when it is known before
	written       bool   // state and reason are in the book
	curveAt       time.Duration
}

// An attachment is a driver's wish, checked.
type attachment struct {
	wire.Attach
	pattern   strategy.Pattern
	center    func() strategy.Center // nil: the strategy has none
	members   int                    // of an ensemble; 0: it is none
	rows      *rows.Store
	curve     *jobs.Curve // so far
	submitted bool
	who       dist.Principal
	form      *form
	done      func() // gives back the memory of the message; nil: it takes none
}

// forget gives back what an attachment takes that has not become a job's.
func (a *attachment) forget() {
	if a.done != nil {
		a.done()
	}
}

var (
	errDriverGone = errors.New("the driver, which has the rows, is gone")
	errFreed      = errors.New("the job has ended")
)

// A holder has the rows of its job in this process: the driver's connection, when
// it is local.
type holder interface{ Rows() *data.Set }

// data returns the rows of the job if they are in this process, or nil.
func (j *job) data() *data.Set {
	if j.driver == nil {
		return nil
	}
	if h, ok := j.driver.conn.(holder); ok {
		return h.Rows()
	}
	return nil
}

// free drops what a job holds.
func (j *job) free(why error) {
	j.tensors.free()
	j.rows.Close(why)
	if j.done != nil {
		j.done()
		j.done = nil
	}
}

// Driver serves the connection of a driver until its end.
func (s *Server) Driver(ctx context.Context, conn dist.Conn, who dist.Principal) error {
	return s.driver(ctx, conn, who, "")
}

// driver serves a driver; submitted is the job's ID when its driver is here.
func (s *Server) driver(ctx context.Context, conn dist.Conn, who dist.Principal, submitted string) error {
	return s.serve(ctx, conn, who, func(p *peer) error {
		f, err := p.first()
		if err != nil {
			return err
		}
		m, ok := f.Message.(*wire.Attach)
		if !ok {
			done(f)
			err := fmt.Errorf("the first message of a driver is %s, want attach", f.Kind())
			return p.refuse(&wire.Fault{Err: err.Error()}, err)
		}
		a, err := s.check(*m, who, submitted)
		if err != nil {
			done(f)
			return p.refuse(&wire.Fault{Err: err.Error()}, err)
		}
		p.job, a.Job.Own = a.Job.ID, who.Account
		p.form.Store(a.form)
		a.done = f.Done
		if !s.post(incoming{from: p, drive: a}) {
			a.forget()
			return errClosing
		}
		return s.listen(p, a.rows)
	})
}

// listen reads what a driver says. Rows go past the loop, which has no time for a
// disk.
func (s *Server) listen(p *peer, store *rows.Store) error {
	for {
		f, err := p.receive()
		if err != nil {
			s.post(incoming{from: p, gone: err})
			return err
		}
		if m, ok := f.Message.(*wire.Rows); ok {
			err := store.Add(m, f.Bytes)
			done(f) // the store counts what it keeps
			if err != nil {
				id, text := p.job, "its rows: "+err.Error()
				s.post(incoming{from: p, call: func(c *core) { c.step(coord.Cancel{Job: id, Reason: text}) }})
				store.Close(err)
			}
			continue
		}
		if !s.hand(p, f) {
			return errClosing
		}
	}
}

// check checks a driver's wish before anything is allocated for it.
func (s *Server) check(m wire.Attach, who dist.Principal, submitted string) (*attachment, error) {
	if m.Protocol != wire.Protocol {
		return nil, fmt.Errorf("the driver speaks protocol %d, this coordinator %d\n"+
			"hint: use the same version of gespann everywhere", m.Protocol, wire.Protocol)
	}
	if submitted != "" {
		m.Job.ID = submitted
	}
	if err := jobs.CheckID(m.Job.ID); err != nil {
		return nil, err
	}
	bytes, err := checkVars(m.Job.Vars, s.o.MaxJob)
	if err != nil {
		return nil, err
	}
	params := strategy.ParamsOf(&m.Job)
	known, _ := strategy.Lookup(m.Job.Strategy)
	params.Named = known.Complete(params.Named)
	if err := strategy.Check(m.Job.Strategy, params); err != nil {
		return nil, err
	}
	a := &attachment{Attach: m, who: who, submitted: submitted != "", curve: &jobs.Curve{}, pattern: known.Pattern}
	if known.Pattern == strategy.Members {
		a.members = int(params.Named["members"])
		if bytes > s.o.MaxJob/int64(a.members) {
			return nil, fmt.Errorf("job: %d members of %d bytes each: more than the %d bytes that this coordinator takes",
				a.members, bytes, s.o.MaxJob)
		}
	}
	if err := s.fits(a, bytes); err != nil {
		return nil, err
	}
	if known.NewCenter != nil {
		a.center = func() strategy.Center { return known.NewCenter(params) }
	}
	if err := s.recall(a); err != nil {
		return nil, err
	}
	a.form = newForm(m.Job.Vars)
	a.rows = rows.New(m.Job.ID, s.o.State, s.o.MemoryRows, s.o.MaxRows, s.o.Memory)
	return a, nil
}

// fits returns an error unless what a job takes in memory is there, when nothing else
// is: copies of its variables, of so many bytes, and what its workers send at once.
func (s *Server) fits(a *attachment, bytes int64) error {
	f := newForm(a.Job.Vars)
	shared, workers := 4*int64(f.shared), int64(max(a.Job.Workers, 1))
	var need float64 // as products may be beyond int64
	switch a.pattern {
	case strategy.AllReduce, strategy.Alone: // base, and the next one
		need = 2 * float64(bytes)
	case strategy.Members: // what was restored, each of it, and a snapshot; commits
		need = float64(bytes)*3*float64(a.members) + float64(bytes*workers)
	case strategy.Rounds: // base, a snapshot; center, the next one, momentum; commits
		need = 2*float64(bytes) + float64(shared)*float64(4+workers)
	default:
		need = 2*float64(bytes) + float64(shared)*float64(2+workers)
	}
	if total := s.o.Memory.Total(); need > float64(total) {
		return fmt.Errorf("job: out of memory: with %d workers its variables of %s take %s here, "+
			"and this coordinator gives %s in all", workers, memlimit.Text(bytes), memlimit.Text(int64(need)), memlimit.Text(total))
	}
	return nil
}

// recall adds what the book knows of the job.
func (s *Server) recall(a *attachment) error {
	for _, r := range s.book.All() {
		if r.ID != a.Job.ID {
			continue
		}
		if r.Submitted && !a.submitted {
			return fmt.Errorf("job %s was submitted: its driver is in the coordinator", r.ID)
		}
		if !a.submitted && !mayDrive(a.who, r.By) {
			return takenBy(r.ID, r.By)
		}
		if a.submitted {
			a.Job.Name = r.Name // the driver knows a folder
		} else if r.Cancel {
			return fmt.Errorf("job %s: was cancelled", r.ID)
		}
		if curve, err := s.book.Curve(r.ID); err == nil {
			a.curve = curve
		}
	}
	return nil
}

// driverJoined begins a job, or lets a connection take the place of the job's
// earlier one, unless the machine refuses.
func (c *core) driverJoined(p *peer, a *attachment) {
	id := a.Job.ID
	j, known := c.jobs[id]
	if known && !j.by.Is(a.who) { // since check has looked
		p.finish(&wire.Fault{Err: takenBy(id, j.by).Error()})
		a.rows.Close(errFreed)
		a.forget()
		return
	}
	if err := c.drives(a); err != nil && !known {
		p.finish(&wire.Fault{Err: err.Error()})
		a.rows.Close(errFreed)
		a.forget()
		return
	}
	if !known {
		j = newJob(a, c.o.Memory)
		c.jobs[id] = j
		if !j.submitted {
			c.book.Attach(id, a.Job.Name, a.who)
			c.book.KeepSpec(id, a.Job.Spec)
		}
	}
	if known {
		a.forget() // the job has what was said first
	}
	before := j.driver
	j.driver, c.joining, c.changed = p, p, true
	c.step(coord.DriverJoined{Attach: a.Attach})
	refused := c.joining == nil
	c.joining = nil
	switch {
	case refused && known:
		j.driver = before
	case refused:
		j.driver, j.ending, j.reason = nil, wire.JobFailed, "the coordinator did not take it"
		c.free(id)
	case before != nil:
		before.finish(&wire.Dismiss{Reason: "another connection has taken its place"})
	}
	if refused || c.jobs[id] != j || j.rows == a.rows {
		return
	}
	if !j.rows.Complete() {
		j.rows.Close(errDriverGone)
		j.rows = a.rows
	}
}

func newJob(a *attachment, memory *memlimit.Budget) *job {
	j := &job{
		tensors: newTensors(a.Job.Vars, a.pattern, a.center, a.members),
		id:      a.Job.ID, submitted: a.submitted, by: a.who, strategy: a.Job.Strategy, rows: a.rows,
		wants: a.Job.Workers,
		track: newTrack(a.curve, a.Job.Epochs), state: wire.JobWaiting, done: a.done,
	}
	j.memory = memory
	j.frame = max(4*int64(j.all)*int64(max(a.members, 1)), data.PieceBytes)
	return j
}

func (c *core) fromDriver(in incoming) {
	j := c.jobs[in.from.job]
	if j == nil || j.driver != in.from {
		return // another has taken its place, or the job has ended
	}
	if in.gone != nil {
		c.driverGone(j)
		return
	}
	c.totals.TensorBytesIn += 4 * int64(len(in.frame.Floats))
	switch m := in.frame.Message.(type) {
	case *wire.Train:
		j.track.train(c.now, m)
	case *wire.Test:
		j.track.test(c.now, m.Split)
	case *wire.Detach:
		j.ending, j.reason = wire.JobDone, m.Err
		switch m.Err {
		case "":
		case wire.Interrupted:
			j.ending, j.reason = wire.JobCancelled, "its driver was interrupted"
		default:
			j.ending = wire.JobFailed
		}
	}
	e, err := c.take(j.id, "", &in)
	if err == nil && e.Odd != "" {
		err = fmt.Errorf("%s: %s", in.frame.Kind(), "the variables are not finite")
		c.current.release()
		c.current = nil
	}
	if err != nil {
		j.driver.finish(&wire.Fault{Err: err.Error()})
		c.driverGone(j)
		return
	}
	c.step(coord.FromDriver{Job: j.id, Msg: in.frame.Message})
}

func (c *core) driverGone(j *job) {
	j.driver, c.changed = nil, true
	if !j.rows.Complete() {
		j.rows.Close(errDriverGone)
	}
	j.set(wire.JobWaiting, "its driver is gone")
	c.record(j, false)
	c.step(coord.DriverGone{Job: j.id})
}

func (j *job) set(state, reason string) { j.state, j.reason, j.written = state, reason, false }

// follow notes what a driver is told.
func (c *core) follow(j *job, m wire.Message) {
	switch m := m.(type) {
	case *wire.Queued:
		j.set(wire.JobWaiting, m.Reason)
		c.lacks(j, m.Pass)
		c.record(j, false) // at once: the time until then is not the job's
	case *wire.Attached:
		j.set(wire.JobRunning, "")
		c.lacks(j, false)
		c.record(j, false)
	case *wire.Progress:
		c.resumes(j)
		j.track.progress(c.now, m.At, false)
	case *wire.Trained:
		c.resumes(j)
		c.totals.Rows += max(m.At.Sums.Rows-j.track.spanRows, 0)
		c.charge(j)
		j.track.progress(c.now, m.At, true)
	case *wire.Tested:
		j.track.tested(c.now, m.Stats)
	case *wire.Billed:
		j.account = &m.Account
	case *wire.Fault:
		if j.ending == "" {
			j.ending, j.reason = wire.JobFailed, m.Err
		}
	}
	c.changed = true
}

// resumes notes that a job goes on that was waiting for workers.
func (c *core) resumes(j *job) {
	if j.state == wire.JobWaiting && j.driver != nil {
		j.set(wire.JobRunning, "")
		c.record(j, false)
	}
}

// lacks notes for the runner whether a submitted job lets others go first.
func (c *core) lacks(j *job, pass bool) {
	c.mu.Lock()
	if c.running[j.id] != nil {
		c.lacking[j.id] = pass
	}
	c.mu.Unlock()
	c.awaken()
}

// charge takes the job's account from the machine, which forgets it with the job.
func (c *core) charge(j *job) {
	if a, ok := c.machine.Account(j.id); ok {
		j.account = &a
	}
}

// free does coord.Free: it drops what a job holds, and closes its record unless
// the one that runs it does that.
func (c *core) free(id string) {
	j := c.jobs[id]
	if j == nil {
		return
	}
	for _, w := range c.workers {
		if w.open == id {
			w.open, w.job, w.speed, w.cost = "", "", 0, wire.Cost{}
		}
	}
	c.record(j, true)
	if !j.submitted {
		state, reason := j.ending, j.reason
		if state == "" {
			state = wire.JobFailed
		}
		c.book.Update(id, func(r *jobs.Record) { r.State, r.Reason = state, reason })
		c.totals.count(state)
	}
	if j.driver != nil {
		j.driver.finish(nil)
	}
	j.free(errFreed)
	delete(c.jobs, id)
	c.changed = true
}

func (t *Totals) count(state string) {
	switch state {
	case wire.JobDone:
		t.JobsDone++
	case wire.JobFailed:
		t.JobsFailed++
	case wire.JobCancelled:
		t.JobsCancelled++
	}
}

// curveTime is the least time between two curves in the book.
const curveTime = time.Second

// record brings what is known of a job into the book; final: for the last time.
func (c *core) record(j *job, final bool) {
	t := j.track
	if t.moved && (final || c.now-j.curveAt >= curveTime) {
		c.book.SetCurve(j.id, t.curve.Clone())
		t.moved, j.curveAt = false, c.now
	}
	workers := 0
	for _, w := range c.workers {
		if w.job == j.id {
			workers++
		}
	}
	if !t.changed && j.written && !final && workers == j.workers {
		return
	}
	c.charge(j)
	c.book.Update(j.id, func(r *jobs.Record) {
		if j.state != "" && (!j.submitted || live(r.State)) {
			r.State, r.Reason = j.state, j.reason
		}
		r.Strategy, r.Account = j.strategy, j.account
		if !final || workers > 0 {
			r.Workers = workers
		}
		r.Wants = j.wants
		t.write(&r.JobStatus)
		if r.State == wire.JobWaiting { // at no speed
			r.RowsPerSecond, r.Left = 0, 0
		}
	})
	t.changed, j.written, j.workers = false, true, workers
}

// live reports whether a submitted job in that state has a driver.
func live(state string) bool {
	return state == wire.JobStarting || state == wire.JobWaiting || state == wire.JobRunning
}
