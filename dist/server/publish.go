package server

import (
	"cmp"
	"slices"
	"time"

	"github.com/gespann/gespann/dist/server/jobs"
)

// silent is how long a worker may say nothing before its View tells so.
const silent = 1500 * time.Millisecond

// View returns the coordinator as it is, or was a quarter of a second ago.
func (s *Server) View() *View { return s.view.Load() }

// Watch returns a channel that gets something whenever View may have changed,
// about four times a second at most; several changes may be one. It is closed
// with the server. Call stop when done.
func (s *Server) Watch() (changes <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watchers == nil {
		close(ch)
		return ch, func() {}
	}
	s.watchers[ch] = true
	return ch, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, ch)
	}
}

// Curve returns the curve of a job, also of one that ended long ago.
func (s *Server) Curve(id string) (*jobs.Curve, error) { return s.book.Curve(id) }

// Spec returns the YAML of a job. That of a job with its driver elsewhere is there
// while the coordinator lives.
func (s *Server) Spec(id string) ([]byte, error) { return s.book.Spec(id) }

// LogTail returns at most so many bytes from the end of a job's log, which may
// begin inside a line; nil when there is none.
func (s *Server) LogTail(id string, bytes int) ([]byte, error) { return s.book.LogTail(id, bytes) }

// publish makes a View of what is now.
func (c *core) publish() {
	now := c.o.Now()
	v := &View{
		Version: c.o.Version, Coordinator: c.id, Started: c.started, Time: now,
		Uptime: now.Sub(c.started).Seconds(), Keeps: c.o.State != "",
		Workers: make([]WorkerView, 0, len(c.workers)), Totals: c.totals,
	}
	if err := c.book.Err(); err != nil {
		v.Warning = err.Error()
	}
	for _, w := range c.workers {
		v.Workers = append(v.Workers, c.viewOf(w))
	}
	slices.SortFunc(v.Workers, func(a, b WorkerView) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	records := c.book.All()
	v.Jobs = make([]JobView, len(records))
	for i, r := range records {
		v.Jobs[i] = JobView{JobStatus: r.JobStatus, Account: r.Account, Curve: c.book.Recent(r.ID)}
	}
	c.view.Store(v)
	if !c.changed {
		return
	}
	c.changed = false
	c.mu.Lock()
	defer c.mu.Unlock()
	for ch := range c.watchers {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

func (c *core) viewOf(w *worker) WorkerView {
	h := w.hello
	v := WorkerView{
		ID: h.ID, Name: h.Name, Address: w.conn.Remote(), Host: h.Host, Version: h.Version,
		Backend: h.Backend, Device: h.Device, Threads: h.Threads,
		State: cmp.Or(w.phase, "idle"), Job: w.open, Since: w.since,
		Heard: (c.now - w.heard).Seconds(), RowsPerSecond: w.speed, Rows: w.cost.Rows,
		Sent: w.cost.Sent, Received: w.cost.Received,
	}
	if c.now-w.heard > silent {
		v.State = "silent"
	}
	if total := w.cost.Compute + w.cost.Wait + w.cost.Comm; total > 0 {
		v.Seconds = total
		v.Compute, v.Wait, v.Comm = w.cost.Compute/total, w.cost.Wait/total, w.cost.Comm/total
	}
	return v
}

// endWatches closes all watches.
func (s *Server) endWatches() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ch := range s.watchers {
		close(ch)
	}
	s.watchers = nil
}
