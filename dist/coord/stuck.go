package coord

import (
	"fmt"
	"slices"
	"time"
)

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
		j.trouble.add("", "", least)
		j.disband()
	}
}
