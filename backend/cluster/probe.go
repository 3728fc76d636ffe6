package cluster

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/dist/wire"
)

const (
	probeSteps = 3
	probeTime  = 200 * time.Millisecond
)

// probe lets one worker train alone before the first span: for some steps, and
// when those took a moment only, for about probeTime. What it does is undone.
func (s *session) probe(ctx context.Context, span backend.Span) error {
	if s.probed || !s.opt.Probe || s.workers < 2 {
		return nil
	}
	s.probed = true
	n := min(probeSteps, stepsPerEpoch(s.job)-span.First)
	for {
		rows, seconds, err := s.probeOnce(ctx, span, n)
		if err != nil || rows == 0 || seconds <= 0 {
			return err
		}
		s.oneWorker = float64(rows) / seconds
		more := int(math.Ceil(float64(n) * probeTime.Seconds() / seconds))
		if more = min(more, stepsPerEpoch(s.job)-span.First); more <= 2*n {
			return nil
		}
		n = more
	}
}

// probeOnce takes n steps from where the span begins.
func (s *session) probeOnce(ctx context.Context, span backend.Span, n int) (rows int64, seconds float64, err error) {
	span.Last, span.Rates = span.First+n, slices.Repeat(span.Rates[:1], n)
	f, err := s.do(ctx, wire.Frame{Message: &wire.Probe{Span: wireSpan(span)}}, nil)
	if err != nil {
		return 0, 0, err
	}
	p := f.Message.(*wire.Probed)
	return p.Rows, p.Seconds, nil
}
