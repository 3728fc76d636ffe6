//go:build !gpu

package cuda

import (
	"context"
	"fmt"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/ir"
)

// Built reports whether this build can use a card.
const Built = false

func init() { backend.Register("gpu", stub{}) }

// stub is the backend of builds that have none.
type stub struct{}

func (stub) Open(context.Context, backend.Job) (backend.Session, error) {
	return nil, fmt.Errorf("backend gpu: %w\nhint: %s", ErrNotBuilt, HowToGet)
}

// assumedCard is what plans are described for where there is no card to ask: an H200.
var assumedCard = Card{Name: "an H200, as there is no card to ask", Major: 9, Multiprocessors: 132}

// Plan implements backend.Planner, for an assumed card.
func (stub) Plan(job backend.Job, programs ...*ir.Program) (string, error) {
	return describe(&assumedCard, job, programs)
}

// Ask returns the cards of this machine. Of all but card only, less is asked,
// which is quicker; -1 asks all.
func Ask(only int) (*Survey, error) { return nil, ErrNotBuilt }
