// Package filelock keeps processes out of each other's files.
package filelock

import (
	"context"
	"os"
	"time"
)

// pause is the time between two attempts of Wait.
const pause = 100 * time.Millisecond

// Wait takes the lock on an open file, as Try does, as soon as it is free. It
// calls busy once when it is not free at first.
func Wait(ctx context.Context, f *os.File, busy func()) error {
	for first := true; ; first = false {
		if locked, err := Try(f); locked || err != nil {
			return err
		}
		if first {
			busy()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}
