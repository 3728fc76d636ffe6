package server

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/gespann/gespann/dist/coord"
	"github.com/gespann/gespann/dist/server/rows"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/memlimit"
)

// do does one action.
func (c *core) do(a coord.Action) {
	switch a := a.(type) {
	case coord.Tell:
		c.tell(a)
	case coord.Answer:
		c.answer(a)
	case coord.Refuse:
		if c.joining != nil {
			c.joining.finish(&wire.Dismiss{Reason: a.Reason})
			c.joining = nil
		}
	case coord.Drop:
		if w := c.workers[a.ID]; w != nil {
			w.finish(&wire.Dismiss{Reason: a.Reason, Retry: a.Retry})
			c.loses(w, a.Reason)
		}
	case coord.SendRows:
		c.sendRows(a)
	case coord.Free:
		c.free(a.Job)
	case coord.Note:
		c.note(a)
	default:
		c.tensors(a)
	}
}

// tensors does the actions on tensors.
func (c *core) tensors(a coord.Action) {
	var id string
	var err error
	with := func(job string, needs bool, do func(j *job) error) {
		id = job
		switch j := c.jobs[job]; {
		case j == nil:
			err = errors.New("there is no such job")
		case needs && c.current == nil:
			err = errors.New("no tensors came")
		default:
			err = do(j)
		}
	}
	switch a := a.(type) {
	case coord.Keep:
		with(a.Job, true, func(j *job) error { j.keep(c.current, a.Center); return nil })
	case coord.Merge:
		with(a.Job, true, func(j *job) error { c.totals.Commits++; return j.merge(a, c.current) })
	case coord.Hold:
		with(a.Job, true, func(j *job) error { c.totals.Commits++; j.hold(a, c.current); return nil })
	case coord.Round:
		with(a.Job, false, func(j *job) error { return j.round(a) })
	}
	if err != nil {
		c.broken(id, err)
	}
}

// broken ends a job of which the machine wants what cannot be. That is a mistake
// in the machine; other jobs and the coordinator go on.
func (c *core) broken(id string, err error) {
	c.o.Log.Error("the coordinator made a mistake", "job", id, "err", err)
	c.pending = append(c.pending, coord.Cancel{Job: id, Reason: "the coordinator made a mistake: " + err.Error()})
}

// tell sends a message to a worker.
func (c *core) tell(a coord.Tell) {
	w := c.workers[a.ID]
	if w == nil {
		return // the loss is on its way to the machine, or was its own wish
	}
	switch m := a.Msg.(type) {
	case *wire.Open:
		c.opens(w, m)
	case *wire.Form:
		form := *m
		form.Secret = c.secretOf(m.Job, m.Gen)
		a.Msg = &form
	case *wire.Close:
		if w.open == m.Job {
			w.open, w.job, w.speed, w.cost = "", "", 0, wire.Cost{}
		}
	}
	t, ok := c.load(w.open, a.With, a.Msg, a.ID)
	if ok {
		w.send(a.Msg, t)
	}
}

// secretOf returns what the members of a group know of each other.
func (s *Server) secretOf(job string, gen int) string {
	h := hmac.New(sha256.New, s.groups)
	fmt.Fprintf(h, "gespann group 1\n%q %d", job, gen)
	return hex.EncodeToString(h.Sum(nil))
}

// opens prepares for what a worker will send of a job.
func (c *core) opens(w *worker, m *wire.Open) {
	j := c.jobs[m.Job.ID]
	if j == nil {
		return
	}
	if w.open != m.Job.ID {
		w.job, w.speed, w.cost = "", 0, wire.Cost{}
	}
	w.open = m.Job.ID
	w.form.Store(j.form)
	// Never less than before: something of the last job may be on its way.
	w.allowed = max(w.allowed, 4*int64(j.all))
	w.conn.Allow(w.allowed)
}

// load returns the tensors for a message, with a reference to give on.
func (c *core) load(id string, with coord.With, m wire.Message, to string) (*tensor, bool) {
	if with == coord.Nothing {
		return nil, true
	}
	j := c.jobs[id]
	if j == nil {
		c.broken(id, errors.New("tensors of a job that there is not"))
		return nil, false
	}
	t, err := j.payload(with, m, to)
	if short := (*memlimit.FullError)(nil); errors.As(err, &short) {
		c.pending = append(c.pending, coord.Cancel{Job: id, Reason: err.Error()})
		return nil, false
	}
	if err != nil {
		c.broken(id, err)
		return nil, false
	}
	c.totals.TensorBytesOut += 4 * int64(len(t.data))
	return t, true
}

// answer sends a message to a driver.
func (c *core) answer(a coord.Answer) {
	j := c.jobs[a.Job]
	if j == nil {
		return
	}
	c.follow(j, a.Msg)
	if j.driver == nil {
		return
	}
	if _, ok := a.Msg.(*wire.Attached); ok {
		j.driver.conn.Allow(j.frame) // not before: others have their turn
	}
	if t, ok := c.load(a.Job, a.With, a.Msg, ""); ok {
		j.driver.send(a.Msg, t)
	}
}

// sendRows starts to send a job's rows to a worker.
func (c *core) sendRows(a coord.SendRows) {
	w, j := c.workers[a.ID], c.jobs[a.Job]
	if w == nil || j == nil {
		return
	}
	set, store := j.data(), j.rows
	if set == nil && store.Ask() && j.driver != nil {
		j.driver.conn.Allow(data.PieceBytes)
		j.driver.send(&wire.WantRows{}, nil)
	}
	c.calls.Add(1) // the call that serves this worker has not ended
	go func() {
		defer c.calls.Done()
		var err error
		if set != nil {
			err = rows.Send(a.Job, set, w.conn.Send)
		} else {
			err = store.Stream(w.ctx, w.conn.Send)
		}
		if err != nil && !errors.Is(err, errFreed) {
			w.abort("rows of job " + a.Job + ": " + err.Error())
		}
	}()
}

// note writes to the logs.
func (c *core) note(a coord.Note) {
	c.changed = true
	attrs := []any{}
	if a.Job != "" {
		attrs = append(attrs, "job", a.Job)
		c.book.Log(a.Job, a.Text)
	}
	if a.ID != "" {
		attrs = append(attrs, "worker", a.ID)
	}
	c.o.Log.Info(a.Text, attrs...)
}
