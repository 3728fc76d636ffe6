package coord

import (
	"fmt"
	"slices"
	"time"

	"github.com/gespann/gespann/dist/strategy"
	"github.com/gespann/gespann/dist/wire"
)

const (
	// maxTask is how many batches a task has at most, where no tensors go with it.
	maxTask = 64
	// maxTasks is how many tasks there are at most, about.
	maxTasks = 1024
)

// An evaluation is a Test under way.
type evaluation struct {
	tasks []*task   // in order of batches; nil until workers are there
	took  []float64 // seconds of a batch
}

// A task is consecutive batches that a worker evaluates.
type task struct {
	first, last int
	owner       *worker // who is to take it, unless it is late
	to          *worker // who has it; nil: no one
	given       time.Duration
	stats       []wire.Stats // one for each batch; nil: not known yet
}

func (j *job) evaluate() {
	if j.pattern == strategy.Members {
		j.fail("the driver asked for a test of an ensemble, which is for the driver itself to evaluate")
		return
	}
	j.eval = &evaluation{}
}

// tested moves a Test on.
func (j *job) tested(t *wire.Test) {
	e, able := j.eval, []*worker(nil)
	if j.together() {
		if j.working() {
			return
		}
		at, ready := j.gather(j.here())
		if !ready {
			return
		}
		able = slices.DeleteFunc(j.crew(), func(w *worker) bool { return !w.sure || w.at.Done != at.Done })
	} else {
		if !j.hasCenter() {
			return
		}
		j.mergeRound()
		j.muster(true)
		able = j.opened()
	}
	if e.tasks == nil && len(able) > 0 {
		e.tasks = j.tasks(t, able)
	}
	e.reclaim(j, able)
	for _, w := range able {
		if w.free() && !w.leaving {
			j.assign(t, w)
		}
	}
	if slices.ContainsFunc(e.tasks, func(k *task) bool { return k.stats == nil }) || len(able) == 0 {
		return
	}
	j.eval = nil
	j.finish(&wire.Tested{Stats: e.sum()}, Nothing)
}

// tasks cuts a split into parts as large as workers are fast, and those into
// tasks.
func (j *job) tasks(t *wire.Test, able []*worker) []*task {
	batches := (j.spec.Rows[t.Split] + j.spec.BatchSize - 1) / j.spec.BatchSize
	size := max(1, batches)
	if j.together() {
		size = max(maxTask, batches/maxTasks)
	}
	fast := speeds(able)
	if fast == nil {
		fast = slices.Repeat([]float64{1}, len(able))
	}
	parts := apportion(max(batches, len(able)), fast)
	all, first := []*task{}, 0
	for i, w := range able {
		end := min(first+parts[i], batches)
		for ; first < end; first = min(first+size, end) {
			all = append(all, &task{first: first, last: min(first+size, end), owner: w})
		}
	}
	return all
}

// assign gives a worker a task: one of its own, or one of another's.
func (j *job) assign(t *wire.Test, w *worker) {
	waits := func(k *task) bool { return k.to == nil && k.stats == nil }
	i := slices.IndexFunc(j.eval.tasks, func(k *task) bool { return waits(k) && k.owner == w })
	if i < 0 {
		i = slices.IndexFunc(j.eval.tasks, waits)
	}
	if i < 0 {
		return
	}
	k := j.eval.tasks[i]
	k.to, k.given = w, j.m.now
	w.task, w.number = k, j.m.next()
	with := Nothing
	if !j.together() {
		with = Center
	}
	j.m.tell(w, &wire.Evaluate{Job: j.spec.ID, Task: w.number, Split: t.Split, First: k.first, Last: k.last}, with)
}

// hasEvaluated takes the result of a task, of the first worker that has it, even
// when it has been given to another. It is ignored when nobody waits for it.
func (j *job) hasEvaluated(w *worker, e *wire.Evaluated) error {
	k := w.task
	if k == nil || e.Task != w.number {
		return fmt.Errorf("results of task %d, and was not given it", e.Task)
	}
	if len(e.Stats) != k.last-k.first {
		return fmt.Errorf("results of %d batches, want %d", len(e.Stats), k.last-k.first)
	}
	for _, s := range e.Stats {
		if err := j.testShape.fits(s); err != nil {
			return err
		}
	}
	w.task = nil
	if j.eval == nil || k.stats != nil || !slices.Contains(j.eval.tasks, k) {
		return nil
	}
	k.to, k.stats, j.updated = nil, e.Stats, j.m.now
	j.eval.took = append(j.eval.took, (j.m.now-k.given).Seconds()/float64(len(e.Stats)))
	return nil
}

// reclaim takes tasks back from workers that need far longer than usual, when
// another is free.
func (e *evaluation) reclaim(j *job, able []*worker) {
	if len(e.took) == 0 || !slices.ContainsFunc(able, (*worker).free) {
		return
	}
	for _, k := range e.tasks {
		usual := seconds(10 * median(e.took) * float64(k.last-k.first))
		if took := j.m.now - k.given; k.to != nil && took > max(j.m.opt.Stuck, usual) {
			j.m.note(j, k.to, "%s has evaluated batches %d to %d for %.1f s: they go to another", k.to,
				k.first, k.last, took.Seconds())
			k.to = nil
		}
	}
}

// sum adds the batches in order.
func (e *evaluation) sum() wire.Stats {
	var total wire.Stats
	for _, k := range e.tasks {
		for _, s := range k.stats {
			total = sum(total, s)
		}
	}
	return total
}
