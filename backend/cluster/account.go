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

// Account asks the coordinator where the time of its workers went. Without an
// answer, only what this session has seen is in it.
func (s *session) Account() backend.Account {
	a := backend.Account{}
	if s.line != nil {
		ctx, cancel := context.WithTimeout(context.Background(), billTime)
		defer cancel()
		f, err := s.exchange(ctx, wire.Frame{Message: new(wire.Bill)}, nil)
		if err == nil {
			a = f.Message.(*wire.Billed).Account
		}
	}
	a.Strategy, a.OneWorker = s.wire.Strategy, s.oneWorker
	a.Rows, a.Seconds = s.rows, s.seconds
	a.SameMachine = a.SameMachine || s.local != nil
	return a
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
