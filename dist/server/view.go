package server

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/server/jobs"
	"github.com/gespann/gespann/dist/wire"
)

// A View is a coordinator at a moment, for its page and its API. It does not
// change, and its parts are shared between Views: nobody may write to it.
type View struct {
	Version     string    `json:"version"`
	Coordinator string    `json:"coordinator"` // random, of this process
	Started     time.Time `json:"started"`
	Time        time.Time `json:"time"` // of this View, by the wall clock
	// Elapsed is when it was made by the clock that never goes back.
	Elapsed time.Duration `json:"-"`
	Uptime  float64       `json:"uptime_seconds"`
	Keeps   bool          `json:"keeps_jobs"`        // has a folder, and takes jobs
	Warning string        `json:"warning,omitempty"` // the disk is full, and such
	Workers []WorkerView  `json:"workers"`           // by name, then ID
	Jobs    []JobView     `json:"jobs"`              // running, then queued in order, then ended, latest first
	Totals  Totals        `json:"totals"`
	// Lost are workers whose connection has ended, the latest first. The API has them
	// beside those that are there.
	Lost []LostWorker `json:"-"`
}

// A LostWorker is one that was connected, and has not come back.
type LostWorker struct {
	ID      string        `json:"id"`
	Name    string        `json:"name"`
	Address string        `json:"address"`
	Backend string        `json:"backend"`
	Job     string        `json:"job,omitempty"` // that it had open
	State   string        `json:"state"`         // WorkerLost or WorkerLeft
	Time    time.Time     `json:"time"`          // when that was
	Why     string        `json:"why"`
	lost    time.Duration // then, by the clock that never goes back
}

// How a worker went: without a word, or when it had been told to and nobody needed it.
const (
	WorkerLost = "lost"
	WorkerLeft = "left"
)

// Bounds of what is remembered of lost workers.
const (
	maxLost  = 10
	lostTime = 24 * time.Hour
)

// A WorkerView is a worker that is connected.
type WorkerView struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Address string    `json:"address"`
	Host    string    `json:"host"` // equal for workers on one machine
	Version string    `json:"version"`
	Backend string    `json:"backend"`
	Device  string    `json:"device"`
	Threads int       `json:"threads"`
	State   string    `json:"state"` // "idle", "opening", "compute", "wait", "silent"
	Job     string    `json:"job,omitempty"`
	Since   time.Time `json:"since"`
	Heard   float64   `json:"heard_seconds"` // since its latest message
	// RowsPerSecond is its speed over the last seconds.
	RowsPerSecond float64 `json:"rows_per_second"`
	// Shares of the time since it joined the job: together 1, or all 0.
	Compute  float64 `json:"compute"`
	Wait     float64 `json:"wait"`
	Comm     float64 `json:"comm"`
	Seconds  float64 `json:"seconds"` // that they are shares of
	Rows     int64   `json:"rows"`    // trained on for the job
	Sent     int64   `json:"sent_bytes"`
	Received int64   `json:"received_bytes"`
}

// A JobView is a job with what the page shows of it.
type JobView struct {
	wire.JobStatus
	// Private: its spec and its log are for its owner, who has a certificate, and not for
	// whoever sees the page.
	Private bool `json:"private,omitempty"`
	// Curve is nil for jobs that ended long ago: see Server.Curve.
	Curve   *jobs.Curve      `json:"curve,omitempty"`
	Account *backend.Account `json:"account,omitempty"`
}

// Totals count what happened since the coordinator started.
type Totals struct {
	Beats          int64 `json:"beats"`
	Messages       int64 `json:"messages"`         // from workers, beats included
	Commits        int64 `json:"commits"`          // merged into a center
	TensorBytesIn  int64 `json:"tensor_bytes_in"`  // by way of the coordinator
	TensorBytesOut int64 `json:"tensor_bytes_out"` // queued for sending
	WorkersJoined  int64 `json:"workers_joined"`
	WorkersLost    int64 `json:"workers_lost"`
	WorkersLeft    int64 `json:"workers_left"` // that had been told to end
	JobsDone       int64 `json:"jobs_done"`
	JobsFailed     int64 `json:"jobs_failed"`
	JobsCancelled  int64 `json:"jobs_cancelled"`
	Rows           int64 `json:"rows"` // trained on, by all jobs
}

// Job returns the job with that ID, or nil.
func (v *View) Job(id string) *JobView {
	for i := range v.Jobs {
		if v.Jobs[i].ID == id {
			return &v.Jobs[i]
		}
	}
	return nil
}

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

// Spec returns the YAML of a job, unless that is private. That of a job with its driver
// elsewhere is there while the coordinator lives.
func (s *Server) Spec(id string) ([]byte, error) {
	if err := s.forAll(id); err != nil {
		return nil, err
	}
	return s.book.Spec(id)
}

// LogTail returns at most so many bytes from the end of a job's log, which may
// begin inside a line; nil when there is none; an error when it is private.
func (s *Server) LogTail(id string, bytes int) ([]byte, error) {
	if err := s.forAll(id); err != nil {
		return nil, err
	}
	return s.book.LogTail(id, bytes)
}

// forAll returns an error when a job's spec and log are not for whoever sees the page.
func (s *Server) forAll(id string) error {
	r, err := s.book.Find(id)
	if err == nil && private(r.By) {
		err = fmt.Errorf("job %s: its spec and log are for %s", r.ID, r.By)
	}
	return err
}

// private reports whether the jobs of an owner have secrets from who sees the page. With a
// certificate, there are others whom it separates from.
func private(by dist.Principal) bool { return by.Name != "" && !by.Account }

// publish makes a View of what is now.
func (c *core) publish() {
	now := c.o.Elapsed()
	v := &View{
		Version: c.o.Version, Coordinator: c.id, Started: c.started, Time: c.o.Now(), Elapsed: now,
		Uptime: (now - c.begun).Seconds(), Keeps: c.o.State != "",
		Workers: make([]WorkerView, 0, len(c.workers)), Totals: c.totals,
	}
	if err := c.book.Err(); err != nil {
		v.Warning = err.Error()
	}
	for _, w := range c.workers {
		v.Workers = append(v.Workers, c.viewOf(w))
	}
	for _, w := range c.lost {
		if now-w.lost < lostTime {
			v.Lost = append(v.Lost, w)
		}
	}
	slices.SortFunc(v.Workers, func(a, b WorkerView) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	records := c.book.All()
	v.Jobs = make([]JobView, len(records))
	for i, r := range records {
		c.explain(&r.JobStatus)
		v.Jobs[i] = JobView{JobStatus: r.JobStatus, Private: private(r.By), Account: r.Account, Curve: c.book.Recent(r.ID)}
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
	if j := c.jobs[w.job]; v.State == "idle" && j != nil && j.state == wire.JobRunning {
		// A beat that fell between two spans; what it has done meanwhile tells more.
		v.State = "wait"
		if w.grew {
			v.State = "compute"
		}
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
