package worker

import (
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/rules"
)

// A table holds what the parts of a step have measured, and what its members want.
// Each member fills in what is its own, and leaves zeros elsewhere, so that the sum
// over all members is the whole table.
//
//	of each part    loss, metrics...
//	of each member  1 if it wants to stop, else 0; seconds that it computed
type table struct {
	v              []float32 // [parts·width + 2·members]
	parts, members int
	width          int
}

// reset makes it a table of zeros.
func (t *table) reset(parts, width, members int) {
	t.parts, t.width, t.members = parts, width, members
	n := parts*width + 2*members
	if cap(t.v) < n {
		t.v = make([]float32, n)
	}
	t.v = t.v[:n]
	clear(t.v)
}

func (t *table) row(part int) []float32 { return t.v[part*t.width : (part+1)*t.width] }

func (t *table) member(rank int) []float32 {
	at := t.parts*t.width + 2*rank
	return t.v[at : at+2]
}

// set fills in what a part has measured.
func (t *table) set(part int, o backend.Outcome) {
	row := t.row(part)
	row[0] = o.Loss
	copy(row[1:], o.Metrics)
}

// setRun is set for parts of a run from number first on; those without rows measure nothing.
func (t *table) setRun(first int, all []backend.Outcome) {
	for i, o := range all {
		if o.Rows > 0 {
			t.set(first+i, o)
		}
	}
}

// vote fills in what a member wants.
func (t *table) vote(rank int, stop bool, busy time.Duration) {
	m := t.member(rank)
	if stop {
		m[0] = 1
	}
	m[1] = float32(busy.Seconds())
}

// outcome returns what a part has measured.
func (t *table) outcome(p *plan, part int) backend.Outcome {
	row := t.row(part)
	return backend.Outcome{Rows: p.parts[part].Rows, Loss: row[0], Metrics: row[1:]}
}

// notFinite returns the first part whose loss is not finite, or -1.
func (t *table) notFinite() int {
	for i := range t.parts {
		if !rules.Finite(t.row(i)[0]) {
			return i
		}
	}
	return -1
}

// stop reports whether any member wants to stop.
func (t *table) stop() bool {
	for rank := range t.members {
		if t.member(rank)[0] > 0 {
			return true
		}
	}
	return false
}

// slowest returns how long the slowest member has computed.
func (t *table) slowest() time.Duration {
	most := float32(0)
	for rank := range t.members {
		most = max(most, t.member(rank)[1])
	}
	return time.Duration(float64(most) * float64(time.Second))
}
