package coord

import (
	"cmp"
	"time"

	"github.com/gespann/gespann/dist/wire"
)

// progressEvery is the least time between two messages of progress.
const progressEvery = 100 * time.Millisecond

// progress tells the driver how many steps are done, as far as that is known.
func (j *job) progress() {
	t, ok := j.request.(*wire.Train)
	if !ok || j.m.now-j.shown < progressEvery {
		return
	}
	steps := j.taken(t)
	at := wire.Position{Epoch: t.Span.Epoch, Index: t.Span.First + steps, Done: t.Span.Done + int64(steps)}
	if steps > 0 && at.Done != j.shownAt {
		j.shown, j.shownAt = j.m.now, at.Done
		j.answer(&wire.Progress{At: at}, Nothing)
	}
}

// taken returns how many steps of a Train that is under way are done: by all
// members of a group, as their beats tell, or in leases.
func (j *job) taken(t *wire.Train) int {
	if l := j.leases; l != nil {
		steps := 0
		for _, p := range l.pieces {
			steps += p.last - p.first
		}
		return steps/l.members + int(j.at.Done-t.Span.Done)
	}
	if j.group == nil || !j.working() {
		return 0
	}
	least := spanEnd(t.Span)
	for _, w := range j.group.members {
		least = min(least, cmp.Or(w.beat.Done, t.Span.Done))
	}
	return int(max(0, least-t.Span.Done))
}
