// Package pace measures how fast the steps of a run go, and guesses the time that is
// left. The training loop and the coordinator's page see the same steps and
// validations, and so say the same.
package pace

import "time"

// A Meter measures the pace of a run. Its zero value has seen nothing.
type Meter struct {
	PerStep float64 // seconds, smoothed; 0: not known
	PerEval float64 // seconds of a validation, smoothed; 0: not known
}

// smoothing is the weight of the latest steps: a second's worth of spans of a tenth
// counts for two thirds.
const smoothing = 0.1

// Took tells that so many steps took d:
//
//	perStep += smoothing·(d/steps − perStep)
func (m *Meter) Took(steps int, d time.Duration) {
	if steps <= 0 {
		return
	}
	now := max(d.Seconds()/float64(steps), 1e-9)
	if m.PerStep == 0 {
		m.PerStep = now
	}
	m.PerStep += smoothing * (now - m.PerStep)
}

// evalSmoothing is the weight of the latest validation: there are few, and one that
// met a busy moment should not count for all that are to come.
const evalSmoothing = 0.3

// Evaluated tells that a validation took d.
func (m *Meter) Evaluated(d time.Duration) {
	if m.PerEval == 0 {
		m.PerEval = d.Seconds()
	}
	m.PerEval += evalSmoothing * (d.Seconds() - m.PerEval)
}

// Left guesses how long so many steps and validations take; 0 before the first step.
//
//	left = steps·perStep + evals·perEval
func (m *Meter) Left(steps int64, evals int) time.Duration {
	if m.PerStep == 0 {
		return 0
	}
	seconds := float64(steps)*m.PerStep + float64(evals)*m.PerEval
	return time.Duration(min(seconds, maxSeconds) * float64(time.Second))
}

// maxSeconds keeps what is left within a time.Duration: 30 years.
const maxSeconds = 1e9
