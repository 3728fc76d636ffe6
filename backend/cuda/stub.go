//go:build !gpu

package cuda

import (
	"context"
	"fmt"

	"github.com/gespann/gespann/backend"
)

// Built reports whether this build can use a card.
const Built = false

func init() { backend.Register("gpu", stub{}) }

// stub is the backend of builds that have none.
type stub struct{}

func (stub) Open(context.Context, backend.Job) (backend.Session, error) {
	return nil, fmt.Errorf("backend gpu: %w\nhint: %s", ErrNotBuilt, HowToGet)
}

// Ask returns the cards of this machine. Of all but card only, less is asked,
// which is quicker; -1 asks all.
func Ask(only int) (*Survey, error) { return nil, ErrNotBuilt }
