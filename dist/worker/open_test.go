package worker

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/data"
)

// sendRows streams a set to a worker that asked for it.
func (h *hand) sendRows(job wire.Job, set *data.Set) {
	h.t.Helper()
	layout := set.Layout()
	first := wire.Rows{Job: job.ID, Table: &layout}
	for piece := range set.Pieces() {
		m := first
		if err := h.conn.Send(wire.Frame{Message: &m, Bytes: piece}); err != nil {
			h.t.Fatal(err)
		}
		first.Table = nil
	}
	h.tell(&wire.Rows{Job: job.ID, Last: true})
}

// TestData checks where workers get the rows, and that training is the same.
func TestData(t *testing.T) {
	other := rows()
	other.Parts[data.Train].X.F32[0]++
	fewer := rows()
	fewer.Parts[data.Test] = data.Part{X: data.Table{Shape: []int{features}}, Y: data.Table{Shape: []int{}}}
	load := func(set *data.Set, err error) func(context.Context, *wire.Job) (*data.Set, error) {
		return func(context.Context, *wire.Job) (*data.Set, error) { return set, err }
	}
	for _, c := range []struct {
		name, from string
		load       func(context.Context, *wire.Job) (*data.Set, error)
		why        string // asked for rows
		err        string // not opened
	}{
		{name: "own", from: "auto", load: load(rows(), nil)},
		{name: "own copy only", from: "local", load: load(rows(), nil)},
		{name: "sent", from: "stream", load: load(rows(), nil), why: "the job says so"},
		{name: "no files", from: "auto", load: load(nil, errors.New("/data: no such folder")), why: "/data: no such folder"},
		{name: "no reader", from: "auto", why: "this worker has no data of its own"},
		{name: "other rows", from: "auto", load: load(other, nil), why: "has other rows than the job: got digest"},
		{name: "fewer rows", from: "auto", load: load(fewer, nil), why: "got 0 test rows, want 45"},
		{name: "no files, and none wanted", from: "local", load: load(nil, errors.New("/data: no such folder")),
			err: "/data: no such folder\nhint: "},
		{name: "other rows, and none wanted", from: "local", load: load(other, nil), err: "other rows"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inYard(t, func(t *testing.T, y *yard) {
				y.load = c.load
				job := newJob(t, normed, 1, 0)
				job.DataFrom = c.from
				h := y.hire()
				h.tell(&wire.Open{Job: job})
				if c.why != "" {
					if m := answer[*wire.NeedData](h); !strings.Contains(m.Why, c.why) || m.Job != job.ID {
						t.Errorf("got %+v, want %s", m, c.why)
					}
					h.sendRows(job, rows())
				}
				m := answer[*wire.Opened](h)
				if !strings.Contains(m.Err, c.err) || (c.err == "") != (m.Err == "") {
					t.Errorf("got %q, want %q", m.Err, c.err)
				}
				if m.Err == "" {
					h.tell(&wire.Load{Job: job.ID}, initial(t, job)...)
					answer[*wire.Loaded](h)
					form(job, 1, h)
					run(1, spanOf(job, 0, 0, stepsOf(job)), h)
					answer[*wire.Ran](h)
					_, want := alone(t, job, 1)
					_, got := h.fetch(job)
					sameBits(t, "variables", got, want)
					job.ID = "job-2" // on the same rows
					h.take(job, wire.Position{}, initial(t, job))
				}
				h.leave()
			})
		})
	}
}

// TestRowsThatCannotBe checks what a worker says of rows that are not the job's.
func TestRowsThatCannotBe(t *testing.T) {
	other := rows()
	other.Parts[data.Train].X.F32[0]++
	layout := rows().Layout()
	huge := layout
	huge.Parts[data.Train].Rows = math.MaxInt32
	long := make([]byte, 10000)
	for _, c := range []struct {
		name string
		send func(h *hand, job wire.Job)
		want string
	}{
		{"other rows", func(h *hand, job wire.Job) { h.sendRows(job, other) }, "not those of the job: got digest"},
		{"no table", func(h *hand, job wire.Job) { h.tell(&wire.Rows{Job: job.ID}) }, "from the first on"},
		{"another job", func(h *hand, job wire.Job) { h.tell(&wire.Rows{Job: "x", Table: &layout}) }, "want the rows of job"},
		{"another message", func(h *hand, job wire.Job) { h.tell(&wire.Fetch{Job: job.ID}) }, "got fetch, want the rows"},
		{"too few", func(h *hand, job wire.Job) { h.tell(&wire.Rows{Job: job.ID, Table: &layout, Last: true}) }, "got 0 bytes"},
		{"huge", func(h *hand, job wire.Job) { h.tell(&wire.Rows{Job: job.ID, Table: &huge}) }, "want at most 1048576"},
		{"too many", func(h *hand, job wire.Job) {
			_ = h.conn.Send(wire.Frame{Message: &wire.Rows{Job: job.ID, Table: &layout}, Bytes: long})
		}, "got 10000 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inYard(t, func(t *testing.T, y *yard) {
				job := newJob(t, mlp, 1, 0)
				job.DataFrom, y.load = "auto", nil // so that the digest is looked at
				y.max = 1 << 20
				h := y.hire()
				h.tell(&wire.Open{Job: job})
				answer[*wire.NeedData](h)
				c.send(h, job)
				if m := answer[*wire.Opened](h); !strings.Contains(m.Err, c.want) {
					t.Errorf("got %q, want %s", m.Err, c.want)
				}
				h.tell(&wire.Rows{Job: job.ID}) // the rest, on its way
				h.tell(&wire.Open{Job: job})
				answer[*wire.NeedData](h)
				h.sendRows(job, rows())
				if m := answer[*wire.Opened](h); m.Err != "" {
					t.Errorf("got %q the second time", m.Err)
				}
				h.leave()
			})
		})
	}
}

// counted counts sessions that are open.
type counted struct {
	backend.Replica
	open *int
}

func (c *counted) Close() error {
	*c.open--
	return c.Replica.Close()
}

// plain is a session that is no Replica.
type plain struct{ backend.Session }

// TestOpen checks opening again, another job, and jobs that cannot be opened; and
// that no session is left open.
func TestOpen(t *testing.T) {
	inYard(t, func(t *testing.T, y *yard) {
		open := 0
		y.open = func(ctx context.Context, job wire.Job, set *data.Set) (backend.Session, error) {
			s, err := openRef(ctx, job, set)
			if err != nil {
				return nil, err
			}
			open++
			c := &counted{s.(backend.Replica), &open}
			switch job.Name {
			case "plain":
				return plain{c}, nil
			case "other variables":
				c.Replica = &shrunk{c.Replica}
			}
			return c, nil
		}
		job := newJob(t, mlp, 1, 0)
		h := y.hire()
		h.take(job, wire.Position{Epoch: 2, Index: 3, Done: 17}, initial(t, job))
		h.tell(&wire.Open{Job: job})
		if m := answer[*wire.Opened](h); m.Err != "" || m.At == nil || m.At.Done != 17 || open != 1 {
			t.Errorf("opened again: got %+v and %d sessions, want step 17 and 1", m, open)
		}
		next := job
		next.ID = "job-2"
		h.tell(&wire.Open{Job: next})
		if m := answer[*wire.Opened](h); m.Err != "" || m.At != nil || open != 1 {
			t.Errorf("opened another: got %+v and %d sessions, want no position and 1", m, open)
		}
		h.tell(&wire.Close{Job: job.ID}) // another one
		h.tell(&wire.Fetch{Job: job.ID})
		if m := answer[*wire.Failed](h); m.Err != "job job-1 is not open, job-2 is" {
			t.Errorf("got %q", m.Err)
		}
		for _, c := range []struct {
			want   string
			change func(j *wire.Job)
		}{
			{`strategy "x": this worker does not know it`, func(j *wire.Job) { j.Strategy = "x" }},
			{"unknown kind", func(j *wire.Job) { j.Spec = []byte("model: [{x: {}}]") }},
			{"variable 0 is param dense.kernel [6 7] here, and param dense.kernel [7 6] in the job",
				func(j *wire.Job) { j.Vars[0].Shape = []int{7, 6} }},
			{"8 variables, the job's 3", func(j *wire.Job) { j.Vars = j.Vars[:3] }},
			{"backend ref cannot train together", func(j *wire.Job) { j.Name = "plain" }},
			{"has 7 variables, the job's 8", func(j *wire.Job) { j.Name = "other variables" }},
		} {
			bad := newJob(t, mlp, 1, 0)
			bad.ID = "job-3"
			c.change(&bad)
			h.tell(&wire.Open{Job: bad})
			if m := answer[*wire.Opened](h); !strings.Contains(m.Err, c.want) || open != 0 {
				t.Errorf("got %q and %d sessions, want %s and none", m.Err, open, c.want)
			}
			h.tell(&wire.Run{Gen: 1})
			if m := answer[*wire.Failed](h); m.Err != "got run, but no job is open" {
				t.Errorf("got %q", m.Err)
			}
		}
		h.tell(&wire.Abort{Gen: 3})
		h.tell(&wire.Close{Job: job.ID})
		h.take(job, wire.Position{}, initial(t, job))
		h.leave()
		if open != 0 {
			t.Errorf("%d sessions are open at the end", open)
		}
	})
}

// shrunk lacks a variable.
type shrunk struct{ backend.Replica }

func (s *shrunk) Snapshot(ctx context.Context) ([][]float32, error) {
	vars, err := s.Replica.Snapshot(ctx)
	return vars[1:], err
}

// TestHangingLoad closes a job whose data hangs whatever is done, and opens another.
func TestHangingLoad(t *testing.T) {
	inYard(t, func(t *testing.T, y *yard) {
		reading, release := make(chan struct{}), make(chan struct{})
		defer close(release)
		first := true
		y.load = func(context.Context, *wire.Job) (*data.Set, error) {
			if !first {
				return rows(), nil
			}
			first = false
			close(reading)
			<-release
			return nil, errors.New("too late")
		}
		h := y.hire()
		job := newJob(t, normed, 1, 0)
		job.DataFrom = "local"
		h.tell(&wire.Open{Job: job})
		<-reading
		h.tell(&wire.Close{Job: job.ID})
		job.ID = "job-2"
		h.take(job, wire.Position{}, initial(t, job))
		h.leave()
	})
}

// TestCloseWhileOpening checks that a job can be ended while its data is being
// read.
func TestCloseWhileOpening(t *testing.T) {
	inYard(t, func(t *testing.T, y *yard) {
		reading := make(chan struct{})
		y.load = func(ctx context.Context, _ *wire.Job) (*data.Set, error) {
			close(reading)
			<-ctx.Done()
			return nil, ctx.Err()
		}
		h := y.hire()
		job := newJob(t, mlp, 1, 0)
		h.tell(&wire.Open{Job: job})
		<-reading
		h.tell(&wire.Close{Job: job.ID})
		synctest.Wait()
		if len(h.in) > 0 {
			t.Errorf("got %+v, want nothing", <-h.in)
		}
		h.leave()
	})
}
