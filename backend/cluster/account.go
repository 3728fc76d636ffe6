package cluster

import (
	"context"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/dist/strategy"
	"github.com/gespann/gespann/dist/wire"
)

// billTime is how long the account of a run is worth waiting for.
const billTime = 5 * time.Second

// Account asks the coordinator where the time of its workers went. Without an answer,
// only what this session has seen is in it. A coordinator that has begun anew in between
// has not seen all of it: then rows and seconds are those of this session, too.
func (s *session) Account() backend.Account {
	a := s.bill()
	if a.Rows != s.rows {
		a.Rows, a.Seconds = s.rows, s.seconds
	}
	a.Strategy, a.OneWorker = s.wire.Strategy, s.oneWorker
	a.SameMachine = a.SameMachine || s.local != nil
	return a
}

// bill asks the coordinator for the account of the job so far.
func (s *session) bill() backend.Account {
	if s.line == nil {
		return backend.Account{}
	}
	ctx, cancel := context.WithTimeout(context.Background(), billTime)
	defer cancel()
	f, err := s.exchange(ctx, wire.Frame{Message: new(wire.Bill)}, nil)
	if err != nil {
		return backend.Account{}
	}
	return f.Message.(*wire.Billed).Account
}

// granule returns after how many steps all workers have met.
func granule(job *wire.Job, workers, stepsPerEpoch int) int {
	s, ok := strategy.Lookup(job.Strategy)
	if !ok || s.Pattern != strategy.Rounds && s.Pattern != strategy.Windows {
		return 1
	}
	window := s.Window(strategy.ParamsOf(job), stepsPerEpoch)
	return max(1, min(window*workers, stepsPerEpoch))
}
