package coord

import (
	"fmt"
	"slices"

	"github.com/gespann/gespann/dist/strategy"
	"github.com/gespann/gespann/dist/wire"
)

// open asks a worker to prepare the job.
func (j *job) open(w *worker) {
	if j.keepOut(w) {
		return
	}
	w.seat = seat{stage: opening}
	j.m.tell(w, &wire.Open{Job: j.spec}, Nothing)
}

// hasOpened takes the answer of a worker.
func (j *job) hasOpened(w *worker, o *wire.Opened) error {
	if w.stage != opening {
		return fmt.Errorf("it has opened the job, and was not asked")
	}
	if o.Err != "" {
		j.exclude(w, o.Err)
		return nil
	}
	w.stage, w.at = open, o.At
	delete(j.barred, w.hello.ID)
	if j.state == starting {
		j.updated = j.m.now
	}
	text := ""
	if o.At != nil {
		text = fmt.Sprintf(", and holds variables of step %d", o.At.Done)
	}
	j.m.note(j, w, "%s has opened %s%s", w, j, text)
	j.bill.joins(w)
	return nil
}

// exclude keeps a worker out of the job, until it connects again.
func (j *job) exclude(w *worker, why string) {
	was := w.stage
	j.lost(w, why)
	w.seat = seat{stage: out, why: why}
	if j.barred == nil {
		j.barred = map[string]string{}
	}
	j.barred[w.hello.ID] = why
	j.m.note(j, w, "%s cannot take part in %s: %s", w, j, why)
	if was == open {
		j.m.tell(w, &wire.Close{Job: j.spec.ID}, Nothing)
	}
}

// lost takes back what a worker was doing.
func (j *job) lost(w *worker, why string) {
	j.bill.loses(w, why)
	j.heal(w)
	j.doubts = slices.DeleteFunc(j.doubts, func(d doubt) bool { return d.w == w })
	if w.lease != 0 && j.leases != nil && j.leases.back(w) > maxLost {
		j.doom = fmt.Sprintf("%d workers were lost with the same steps; the latest was %s", maxLost+1, w)
	}
	if w.task != nil && w.task.to == w {
		w.task.to = nil
	}
	member := j.group != nil && slices.Contains(j.group.members, w)
	w.stage, w.crew, w.busy, w.lease, w.task = idle, false, false, 0, nil
	if member {
		j.trouble.members++
		j.disband()
	}
}

// present returns the workers in a stage, in the order in which they came.
func (j *job) present(s stage) []*worker {
	var all []*worker
	for _, w := range j.m.workers {
		if w.stage == s {
			all = append(all, w)
		}
	}
	return all
}

// opened returns the workers that have the job open.
func (j *job) opened() []*worker { return j.present(open) }

// crew returns those of them that take part.
func (j *job) crew() []*worker {
	return slices.DeleteFunc(j.opened(), func(w *worker) bool { return !w.crew })
}

// attach tells the driver that enough workers are ready, or why not. A job that
// was taken up again goes on with fewer after a while.
func (j *job) attach() {
	want := max(1, j.spec.Workers)
	ready := len(j.opened())
	late := j.m.now-j.begun > j.m.opt.Grace
	if why := j.hopeless(want, late); why != "" {
		j.fail(why)
		return
	}
	if ready < want && !(j.again && late && ready > 0) {
		text := fmt.Sprintf("waiting for workers: %d of %d are ready", ready, want)
		text += j.bars()
		switch {
		case late && len(j.m.workers) < want:
			text += ", and no more are connected; jobs that want fewer go first"
		case late && j.lacks():
			text += "; jobs that can begin go first"
		}
		j.wait(text)
		return
	}
	j.state = attached
	j.m.note(j, nil, "%s begins with %s", j, people(j.opened()))
	j.answer(&wire.Attached{Workers: ready}, Nothing)
}

// hopeless returns why no worker can take part, if all have said so.
func (j *job) hopeless(want int, late bool) string {
	refused := j.present(out)
	if len(refused) == 0 || len(refused) < len(j.m.workers) || len(refused) < want && !late {
		return ""
	}
	return refused[0].why
}

// muster lets open workers take part that do not yet: at once when the group has
// to change in any case, else only after a while, so that it does not change all
// the time.
func (j *job) muster(now bool) {
	crew := j.crew()
	if !now && len(crew) > 0 && j.m.now-j.settled < j.m.opt.Settle {
		return
	}
	for _, w := range j.opened() {
		if w.crew || w.leaving || len(crew) >= j.limit() || !j.reaches(w, crew) {
			continue
		}
		w.crew = true
		crew = append(crew, w)
		j.settled, j.group = j.m.now, nil
	}
}

// limit returns how many workers can have a share of every step.
func (j *job) limit() int {
	switch {
	case j.pattern == strategy.Alone:
		return 1
	case j.pattern != strategy.AllReduce:
		return len(j.m.workers)
	case j.spec.Shards > 0:
		return j.spec.Shards
	}
	return j.spec.BatchSize * j.spec.Accumulate
}
