package train

import "time"

// A pace measures how fast steps go, to size spans and to guess the time left.
type pace struct {
	refresh time.Duration // wanted duration of a span
	perStep float64       // seconds, smoothed; 0 unknown
	perEval float64       // seconds of the last validation
	granule int           // of a session that wants long spans, and reports in between; or 0
}

// smoothing is the weight of the latest span: a second's worth of spans counts
// for two thirds.
const smoothing = 0.1

// longer is how many times as long spans of a granular session are: their ends,
// where its workers wait for one another, cost time.
const longer = 50

// maxSpan bounds the steps of a span, whose rates a message must hold.
const maxSpan = 1 << 16

// span returns how many steps to take at once.
func (p *pace) span() int {
	if p.perStep == 0 {
		return max(1, p.granule)
	}
	n := p.refresh.Seconds() / p.perStep
	if p.granule == 0 {
		return max(1, int(min(n, maxSpan)))
	}
	steps := int(min(longer*n, maxSpan))
	return max(steps-steps%p.granule, p.granule)
}

// took tells that a span of so many steps took d.
func (p *pace) took(steps int, d time.Duration) {
	if steps <= 0 {
		return
	}
	now := max(d.Seconds()/float64(steps), 1e-9)
	if p.perStep == 0 {
		p.perStep = now
	}
	p.perStep += smoothing * (now - p.perStep)
}

// left guesses how long so many steps and validations take.
func (p *pace) left(steps, evals int) time.Duration {
	seconds := float64(steps)*p.perStep + float64(evals)*p.perEval
	return time.Duration(seconds * float64(time.Second))
}
