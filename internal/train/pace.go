package train

import "time"

// A pace measures how fast steps go, to size spans and to guess the time left.
type pace struct {
	refresh time.Duration // wanted duration of a span
	perStep float64       // seconds, smoothed; 0 unknown
	perEval float64       // seconds of the last validation
}

// smoothing is the weight of the latest span: a second's worth of spans counts
// for two thirds.
const smoothing = 0.1

// span returns how many steps to take at once.
func (p *pace) span() int {
	if p.perStep == 0 {
		return 1
	}
	return max(1, int(min(p.refresh.Seconds()/p.perStep, 1<<20)))
}

// took tells that a span of so many steps took d.
func (p *pace) took(steps int, d time.Duration) {
	if steps == 0 {
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
