package rpc

import (
	"testing"
	"time"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/clock"
)

// TestHeard checks that a long frame on its way shows that the other side is there.
func TestHeard(t *testing.T) {
	noLeak(t)
	a, b := pair(t, Options{Listen: socket(t)})
	b.Allow(1 << 30)
	began := clock.System{}.Elapsed()
	sent := make(chan error, 1)
	go func() {
		sent <- a.Send(wire.Frame{Message: &wire.State{Job: "j"}, Floats: make([]float32, 16<<20)})
	}()
	came := make(chan error, 1)
	go func() {
		_, err := b.Recv()
		came <- err
	}()
	times := map[time.Duration]bool{}
	for {
		if h := b.(dist.Hearing).Heard(); h > began {
			times[h] = true
		}
		select {
		case err := <-came:
			if err != nil {
				t.Fatal(err)
			}
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
			if len(times) < 3 {
				t.Errorf("64 MiB were heard at %d times, want some on the way", len(times))
			}
			return
		case <-time.After(100 * time.Microsecond):
		}
	}
}
