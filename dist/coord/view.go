package coord

import (
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/dist/wire"
)

// A WorkerState is what the Machine knows about a worker that is present.
type WorkerState struct {
	Hello  wire.Hello // as it came
	State  string     // "idle", "opening", "waiting", "ready", "training", "moving", "testing" or "out"
	Why    string     // it is out of the job
	Job    string     // ID, or ""
	Gen    int        // of its latest group; 0: none
	Done   int64      // steps, as it said last
	Phase  string     // likewise
	Cost   wire.Cost  // since it joined the job
	Share  int        // of Shares, in its group
	Shares int
	Speed  float64       // rows per second of computing; 0: not known
	Since  time.Duration // its age as a member
	Silent time.Duration // since its latest message
}

// Workers returns the workers that are present, in the order in which they came.
func (m *Machine) Workers() []WorkerState {
	all := make([]WorkerState, len(m.workers))
	for i, w := range m.workers {
		all[i] = WorkerState{
			Hello: w.hello, State: w.state(), Why: w.why, Gen: w.gen, Done: w.beat.Done, Phase: w.beat.Phase,
			Cost: w.cost, Speed: w.speed, Since: m.now - w.joined, Silent: m.now - w.heard,
		}
		if w.stage != idle && m.active != nil {
			all[i].Job = m.active.spec.ID
			all[i].Share, all[i].Shares = m.active.shareOf(w)
		}
	}
	return all
}

func (j *job) shareOf(w *worker) (share, of int) {
	if j.group == nil {
		return 0, 0
	}
	for i, o := range j.group.members {
		of += j.group.shares[i]
		if o == w {
			share = j.group.shares[i]
		}
	}
	if share == 0 {
		return 0, 0
	}
	return share, of
}

func (w *worker) state() string {
	switch {
	case w.stage == idle:
		return "idle"
	case w.stage == opening:
		return "opening"
	case w.stage == out:
		return "out"
	case w.loads+w.fetches > 0:
		return "moving"
	case w.busy || w.lease != 0:
		return "training"
	case w.task != nil:
		return "testing"
	case !w.crew:
		return "waiting"
	}
	return "ready"
}

// A JobState is what the Machine knows about a job that has not ended.
type JobState struct {
	Job     wire.Job
	State   string // "queued", "starting", "ready", "restoring", "training", "testing", "saving" or "probing"
	Reason  string // why it waits, as its driver was told
	Place   int    // in the queue, from 1; 0: it is not in it
	Driver  bool   // is connected
	Workers int    // that take part
	// At is where the run was before the request at hand; Done, in Train, how many
	// steps are done now, and Steps how many an epoch has.
	At      wire.Position
	Done    int64
	Steps   int
	Gen     int // of the group that is together; 0: none
	Commits int // that the center has
	Account backend.Account
}

// Jobs returns the jobs that have not ended: the one that has its turn, then the
// queue.
func (m *Machine) Jobs() []JobState {
	var first, rest []JobState
	for _, j := range m.jobs {
		s := j.snapshotState()
		if j == m.active {
			first = append(first, s)
			continue
		}
		s.Place = len(rest) + 1
		rest = append(rest, s)
	}
	return append(first, rest...)
}

func (j *job) snapshotState() JobState {
	s := JobState{
		Job: j.spec, State: j.doing(), Driver: j.driver, Workers: len(j.crew()), Commits: j.merges, Account: j.account(),
	}
	if j.state != attached {
		s.Reason, s.Workers = j.told, 0
	}
	if j.at != nil {
		s.At, s.Done = *j.at, j.at.Done
	}
	if t, ok := j.request.(*wire.Train); ok {
		s.Steps = t.Steps
		s.Done = max(s.Done, t.Span.Done+int64(j.taken(t)))
	}
	if j.group != nil {
		s.Gen = j.group.gen
	}
	return s
}

// doing names what the job does.
func (j *job) doing() string {
	switch j.state {
	case queued:
		return "queued"
	case starting:
		return "starting"
	}
	switch j.request.(type) {
	case *wire.Restore:
		return "restoring"
	case *wire.Train:
		return "training"
	case *wire.Test:
		return "testing"
	case *wire.Snapshot:
		return "saving"
	case *wire.Probe:
		return "probing"
	}
	return "ready"
}
