package cuda

import "time"

// Bounds of the time between two marks. The stream always holds work for one
// such time at least, and a run that is interrupted ends within two.
const (
	shortMark = 1 * time.Millisecond
	longMark  = 4 * time.Millisecond
)

// A pace decides how far launches run ahead of the device: after how many
// replays to set a mark and wait for the one before it.
type pace struct {
	now    func() time.Time
	replay int // between marks
	done   int // since the last
	mark   int // that is set next, 0 or 1
	last   time.Time
}

func newPace(now func() time.Time) pace { return pace{now: now, replay: 1} }

// begin starts a pass.
func (p *pace) begin() { p.done, p.mark, p.last = 0, 0, p.now() }

// step is called after each replay.
func (p *pace) step(q queue) error {
	p.done++
	if p.done < p.replay {
		return nil
	}
	if err := q.Mark(p.mark); err != nil {
		return err
	}
	p.mark, p.done = 1-p.mark, 0
	if err := q.Await(p.mark); err != nil {
		return err
	}
	now := p.now()
	switch took := now.Sub(p.last); {
	case took < shortMark:
		p.replay = min(2*p.replay, 1<<16)
	case took > longMark:
		p.replay = max(1, p.replay/2)
	}
	p.last = now
	return nil
}
