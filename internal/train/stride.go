package train

import (
	"time"

	"github.com/gespann/gespann/internal/pace"
)

// A stride sizes spans by how fast steps go.
type stride struct {
	pace.Meter
	refresh time.Duration // wanted duration of a span
	granule int           // of a session that wants long spans, and reports in between; or 0
}

// longer is how many times as long spans of a granular session are: their ends,
// where its workers wait for one another, cost time.
const longer = 50

// maxSpan bounds the steps of a span, whose rates a message must hold.
const maxSpan = 1 << 16

// span returns how many steps to take at once.
func (p *stride) span() int {
	if p.PerStep == 0 {
		return max(1, p.granule)
	}
	n := p.refresh.Seconds() / p.PerStep
	if p.granule == 0 {
		return max(1, int(min(n, maxSpan)))
	}
	steps := int(min(longer*n, maxSpan))
	return max(steps-steps%p.granule, p.granule)
}
