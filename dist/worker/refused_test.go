package worker

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/disttest"
)

// TestRefused has a worker dial a coordinator that is not there yet, and then one that
// refuses it, as one of another version does: the worker tries again, and then ends.
func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dials := 0
		err := Run(t.Context(), Options{Peers: disttest.NewNetwork().Peers("w"), Dial: func(context.Context) (dist.Conn, error) {
			if dials++; dials < 3 {
				return nil, errors.New("nobody listens there")
			}
			return nil, fmt.Errorf("coordinator x: %w protocol 3: this one speaks 2", dist.ErrRefused)
		}})
		if dials != 3 || err == nil || err.Error() != "coordinator x: refused protocol 3: this one speaks 2" {
			t.Errorf("got %v after %d dials, want the reason after 3", err, dials)
		}
	})
}
