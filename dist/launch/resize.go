package launch

import (
	"errors"
	"fmt"
)

// A Resizer is a Crew whose number of workers can change while it works.
type Resizer interface {
	Crew
	// Resize changes how many workers are kept to n ≥ 1. New ones are started, and join
	// the run as they come up; those that are too many, the latest first, are told to
	// leave, and do so between two steps. It does not wait for either.
	Resize(n int) error
}

var errFixed = errors.New("launch: the number of these workers cannot change while they work")

// Resize changes how many workers a crew has, if it can.
func Resize(c Crew, n int) error {
	r, ok := c.(Resizer)
	if !ok {
		return errFixed
	}
	return r.Resize(n)
}

// KeepTeam is as Keep of n members, numbered from 0, of which there may be more or fewer
// later. Member makes one when it is hired, maybe anew after one of its number has left.
func KeepTeam(n int, member func(i int) Member, say func(format string, args ...any)) Crew {
	k := &kept{failed: make(chan struct{}), say: say, member: member}
	for i := range n {
		k.hire(member(i))
	}
	return k
}

// Resize implements Resizer.
func (k *kept) Resize(n int) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	have := len(k.children)
	switch {
	case n < 1:
		return fmt.Errorf("launch: got %d workers, want at least 1", n)
	case k.closed:
		return errors.New("launch: the workers are ending")
	case n > have && k.member == nil:
		return errFixed
	}
	for i := have; i < n; i++ {
		k.hire(k.member(i))
	}
	for _, c := range k.children[n:] {
		close(c.going)
		k.leaving = append(k.leaving, c)
	}
	k.children = k.children[:n]
	k.forget()
	return nil
}

// forget drops those of whom nothing is left. mu is held.
func (k *kept) forget() {
	kept := k.leaving[:0]
	for _, c := range k.leaving {
		select {
		case <-c.over:
		default:
			kept = append(kept, c)
		}
	}
	k.leaving = kept
}
