package coord

import (
	"fmt"
	"slices"
	"time"
)

// Trouble is what went wrong with groups at one step, though nobody was lost.
type trouble struct {
	done    int64
	faulty  bool          // the latest group could not go on
	members int           // lost since the latest group began
	count   int           // of groups that could not go on, in a row
	first   time.Duration // when the first of them could not
	blamed  map[string]int
}

func (t *trouble) add(peer string) {
	t.faulty = true
	if t.blamed == nil {
		t.blamed = map[string]int{}
	}
	t.blamed[peer]++
}

const (
	// patienceWithGroups is how many groups may fail in a row at the same step, and
	// fewPatience after longTrouble: connections that nobody answers take seconds to
	// fail.
	patienceWithGroups = 3
	fewPatience        = 2
	longTrouble        = 2 * time.Second
	// maxFutile is how many groups may fail in a row at the same step, for whatever
	// reason, before the job does: it may be the step that kills its members.
	maxFutile = 20
	// maxLost is how many workers may be lost with the same lease.
	maxLost = 10
	// maxLosses is how often all variables may be lost before the same step.
	maxLosses = 5
	// bench is how long a worker waits on the bench, the first time.
	bench = 30 * time.Second
)

// shun sees to it that a group which cannot go on is not formed for ever: when
// several have failed at one step, though nobody was lost, the worker that most
// complaints were about, or the last that came, waits for a while, and longer
// each time. It is used when there is no one else.
func (j *job) shun(done int64) {
	t := &j.trouble
	if t.done != done {
		t.done, t.count = done, 0
	}
	switch {
	case t.members > 0 || !t.faulty && t.count == 0:
		t.count, t.blamed = 0, nil // that was why, or there was none
	case t.faulty:
		if t.count++; t.count == 1 {
			t.first = j.m.now
		}
	}
	t.faulty, t.members = false, 0
	crew := j.crew()
	patience := patienceWithGroups
	if j.m.now-t.first >= longTrouble {
		patience = fewPatience
	}
	if t.count < patience || len(crew) < 2 {
		return
	}
	worst := crew[len(crew)-1]
	for _, w := range crew {
		if t.blamed[w.hello.ID] > t.blamed[worst.hello.ID] {
			worst = w
		}
	}
	*t = trouble{done: done}
	wait := bench << min(worst.benched, 10)
	worst.crew, worst.bench = false, j.m.now+wait
	worst.benched++
	j.group = nil
	j.m.note(j, worst, "%s: others cannot reach it; they go on without it for %.0f s", worst, wait.Seconds())
}

// medianStep returns the median time of a step in recent spans, 0 if not known.
func (j *job) medianStep() time.Duration { return seconds(median(j.steps)) }

// median returns 0 for none.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

func (j *job) stuckAfter() time.Duration { return max(j.m.opt.Stuck, 20*j.medianStep()) }

// sawBeat takes a worker's beat. Its phase begins anew with each step.
func (j *job) sawBeat(w *worker, done int64, phase string) {
	if w.busy {
		j.reach(done)
	}
	if done != w.beat.Done || phase != w.beat.Phase {
		w.since = j.m.now
	}
}

// reach notes that a step was taken that had not been taken before.
func (j *job) reach(done int64) {
	if done > j.best {
		j.best, j.losses = done, 0
	}
	if done > j.reached {
		j.reached, j.futile, j.updated = done, 0, j.m.now
	}
}

// dropStuck drops members that compute one step for too long while another
// waits for them. When all wait for one another, their group is formed anew.
func (j *job) dropStuck() {
	g := j.group
	if g == nil || !j.working() {
		return
	}
	limit := j.stuckAfter()
	var waiting, stuck []*worker
	least := 2 * limit // that anyone has been at it
	for _, w := range g.members {
		took := j.m.now - max(w.since, g.begun)
		if w.busy {
			least = min(least, took)
		}
		switch {
		case !w.busy:
			waiting = append(waiting, w)
		case took <= limit:
		case w.beat.Phase == "wait":
			waiting = append(waiting, w)
		default:
			stuck = append(stuck, w)
		}
	}
	if len(waiting) == 0 {
		return
	}
	for _, w := range stuck {
		j.m.drop(w, fmt.Sprintf("stuck in step %d for %.1f s while others wait", w.beat.Done+1,
			(j.m.now-w.since).Seconds()), true)
	}
	// Members that wait for a link give up by themselves, and say whose it is.
	if len(stuck) == 0 && least >= limit*3/2 {
		j.m.note(j, nil, "all members have waited for one another for %.1f s", least.Seconds())
		j.trouble.add("")
		j.disband()
	}
}
