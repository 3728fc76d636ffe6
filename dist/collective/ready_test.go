package collective

import (
	"fmt"
	"testing"
)

// TestReadyThenWait tells that half of a vector is ready and at once that all is, so that
// the goroutine which sums looks in between: it must not take the half for all.
func TestReadyThenWait(t *testing.T) {
	checkGoroutines(t)
	const n, size, length, steps = 2, 16, 256, 5000
	rings := rings(t, n, Options{})
	bs := make([]*Bucketed, n)
	for rank, r := range rings {
		if bs[rank] = NewBucketed(r, size); bs[rank].inline {
			t.Fatal("sums are taken in Wait, want a goroutine")
		}
	}
	must(t, together(n, func(rank int) error {
		v, tail := make([]float32, length), make([]float32, 1)
		for step := range steps {
			bs[rank].Begin(v)
			for i := range v {
				v[i] = float32(i + step%8)
			}
			tail[0] = 1
			bs[rank].Ready(length / 2)
			err := bs[rank].Wait(tail)
			for i, got := range v {
				if want := float32(n * (i + step%8)); err == nil && got != want {
					err = fmt.Errorf("step %d: [%d] is %v, want %v", step, i, got, want)
				}
			}
			if err != nil {
				_ = bs[rank].Close() // the other would wait
				return err
			}
		}
		return nil
	}))
	for _, b := range bs {
		must(t, []error{b.Close()})
	}
}
