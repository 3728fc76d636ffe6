package server

import (
	"fmt"
	"slices"
	"time"

	"github.com/gespann/gespann/dist/server/jobs"
	"github.com/gespann/gespann/dist/wire"
)

// maxBeside is how many submitted jobs are under way at a time: one, and others while those
// before them wait for workers. Each has its data in memory.
const maxBeside = 4

// runJobs runs submitted jobs, one after the other, until the server closes. The next one
// is begun also when those under way let others go first: the machine has them pass.
func (s *Server) runJobs() {
	if s.o.RunJob == nil {
		return
	}
	var line line
	running, ended := map[string]bool{}, make(chan string)
	defer func() {
		for len(running) > 0 {
			delete(running, <-ended)
		}
	}()
	for s.runner.Err() == nil {
		changed := s.book.Changed()
		var r *jobs.Record
		wait := never
		if s.pass(running) {
			queue := slices.DeleteFunc(s.book.Queue(), func(r jobs.Record) bool { return running[r.ID] })
			r, wait = line.next(queue, int(s.crew.Load()), s.o.Elapsed(), s.o.Pass)
		}
		if line.short != "" && !line.told {
			line.told = true
			s.book.Log(line.short, "its turn, but "+line.why)
		}
		if r != nil {
			job := *r
			running[job.ID] = true
			go func() {
				s.runJob(job)
				ended <- job.ID
			}()
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-s.crewing:
		case <-timer.C:
		case id := <-ended:
			delete(running, id)
		case <-s.runner.Done():
		}
		timer.Stop()
	}
}

// pass reports whether another job may begin beside those under way.
func (s *Server) pass(running map[string]bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range running {
		if !s.lacking[id] {
			return false
		}
	}
	return len(running) < maxBeside
}

// awaken tells runJobs that something has changed.
func (s *Server) awaken() {
	select {
	case s.crewing <- struct{}{}:
	default:
	}
}

// A line remembers since when the first job of the queue lacks workers.
type line struct {
	short, why string // its ID, and what it lacks; "": it lacks none
	since      time.Duration
	told       bool
}

// never is longer than anything waits.
const never = time.Hour

// next returns the job whose turn it is, with so many workers: the first; or when that
// has lacked workers for a while, the first that does not. If it is no job's turn, it
// returns how long that stays so, if nothing changes.
func (l *line) next(queue []jobs.Record, crew int, now, pass time.Duration) (*jobs.Record, time.Duration) {
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
	if left := pass - (now - l.since); left > 0 {
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
