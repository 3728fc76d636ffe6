package server

import (
	"fmt"
	"time"

	"github.com/gespann/gespann/dist/server/jobs"
	"github.com/gespann/gespann/dist/wire"
)

// runJobs runs submitted jobs, one after the other, until the server closes.
func (s *Server) runJobs() {
	if s.o.RunJob == nil {
		return
	}
	var line line
	for s.runner.Err() == nil {
		changed := s.book.Changed()
		r, wait := line.next(s.book.Queue(), int(s.crew.Load()), s.o.Now(), s.o.Pass)
		if line.short != "" && !line.told {
			line.told = true
			s.book.Log(line.short, "its turn, but "+line.why)
		}
		if r != nil {
			s.runJob(*r)
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-s.crewing:
		case <-timer.C:
		case <-s.runner.Done():
		}
		timer.Stop()
	}
}

// A line remembers since when the first job of the queue lacks workers.
type line struct {
	short, why string // its ID, and what it lacks; "": it lacks none
	since      time.Time
	told       bool
}

// never is longer than anything waits.
const never = time.Hour

// next returns the job whose turn it is, with so many workers: the first; or when that
// has lacked workers for a while, the first that does not. If it is no job's turn, it
// returns how long that stays so, if nothing changes.
func (l *line) next(queue []jobs.Record, crew int, now time.Time, pass time.Duration) (*jobs.Record, time.Duration) {
	if len(queue) == 0 {
		*l = line{}
		return nil, never
	}
	head := &queue[0]
	if head.Wants <= crew {
		*l = line{}
		return head, 0
	}
	if l.short != head.ID {
		*l = line{short: head.ID, why: lacks(&head.JobStatus, crew), since: now}
	}
	if left := pass - now.Sub(l.since); left > 0 {
		return nil, left
	}
	for i := range queue {
		if queue[i].Wants <= crew {
			return &queue[i], 0
		}
	}
	return nil, never
}

// lacks says which workers a job of the queue waits for; "": it has enough.
func lacks(j *wire.JobStatus, crew int) string {
	if j.State != wire.JobQueued || j.Wants <= crew {
		return ""
	}
	are := "are"
	if crew == 1 {
		are = "is"
	}
	return fmt.Sprintf("waiting for workers: it wants %d, and %d %s connected; jobs that want fewer go first",
		j.Wants, crew, are)
}

// explain adds to a job of the queue what it waits for besides its turn.
func (s *Server) explain(j *wire.JobStatus) {
	if why := lacks(j, int(s.crew.Load())); why != "" {
		j.Reason = why
	}
}
