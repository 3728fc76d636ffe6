package memlimit

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"time"
)

const (
	// share is the part of the memory there is that a Budget has: the rest is for what
	// nobody counts, and for garbage that has not been collected yet.
	share = 0.6
	// guess is taken for the memory of a system that does not say.
	guess = 8 << 30
	// large is from where on the system is asked, too: others take memory as well.
	large = 8 << 20
	// again is how often those who wait look, and how often the system is asked.
	again = 250 * time.Millisecond
)

// A Budget is memory that parts of a process take in turn, in bytes, before they
// allocate it. Its methods may be called concurrently. A nil Budget has no end.
type Budget struct {
	total int64
	least func() (Limit, bool)

	mu      sync.Mutex
	held    int64
	changed chan struct{} // closed when some is given back
	asked   time.Time     // the system
	left    int64         // of what it said then
	freed   time.Time     // garbage was given back to it
}

// NewBudget returns a budget of so many bytes; 0: six tenths of what this process may
// take now.
func NewBudget(total int64) *Budget {
	if total == 0 {
		l, ok := Least()
		if !ok {
			l.Bytes = guess
		}
		total = int64(share * float64(l.Bytes))
	}
	return &Budget{total: total, least: Least, changed: make(chan struct{})}
}

// Collect has garbage collected before it and what is in use take more than eight tenths
// of the memory there is, unless GOMEMLIMIT says otherwise.
func Collect() {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	if l, ok := Least(); ok {
		debug.SetMemoryLimit(l.Bytes / 10 * 8)
	}
}

// Total returns how much there is; Held, how much of it is taken.
func (b *Budget) Total() int64 { return b.total }

// Held returns how much is taken.
func (b *Budget) Held() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held
}

// Force takes so much in any case: it was there before anyone asked.
func (b *Budget) Force(bytes int64) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held += bytes
}

// Give gives back what was taken.
func (b *Budget) Give(bytes int64) {
	if b == nil || bytes == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held -= bytes; b.held < 0 {
		panic("memlimit: invariant: more was given back than was taken")
	}
	close(b.changed)
	b.changed = make(chan struct{})
}

// A FullError says that a Budget has less than is asked for.
type FullError struct {
	What              string // takes Need
	Need, Left, Total int64
}

func (e *FullError) Error() string {
	return fmt.Sprintf("out of memory: %s takes %s, and %s of %s are left", e.What, Text(e.Need), Text(e.Left), Text(e.Total))
}

// Try takes so much for something, or returns a *FullError.
func (b *Budget) Try(bytes int64, what string) error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.grant(bytes, what)
}

// Take is Try that waits until others have given back enough, or ctx ends. It calls
// waits now and then meanwhile.
func (b *Budget) Take(ctx context.Context, bytes int64, what string, waits func()) error {
	if b == nil {
		return nil
	}
	tick := time.NewTicker(again)
	defer tick.Stop()
	for {
		b.mu.Lock()
		err, changed := b.grant(bytes, what), b.changed
		b.mu.Unlock()
		if err == nil || bytes > b.total {
			return err
		}
		select {
		case <-changed:
		case <-tick.C:
			waits()
		case <-ctx.Done():
			return err
		}
	}
}

// grant takes so much, if it is there. b.mu is held.
func (b *Budget) grant(bytes int64, what string) error {
	left := b.total - b.held
	if bytes >= large && bytes <= left {
		left = min(left, b.system(bytes))
	}
	if bytes > left {
		return &FullError{what, bytes, max(left, 0), b.total}
	}
	b.held += bytes
	b.left -= bytes
	return nil
}

// system returns how much the system has left, when so much is wanted. What was taken
// since it was asked counts as gone; b.mu is held.
func (b *Budget) system(want int64) int64 {
	if time.Since(b.asked) < again && b.left >= want {
		return b.left
	}
	l, ok := b.least()
	if !ok {
		return want
	}
	if l.Bytes < want && time.Since(b.freed) > time.Second {
		debug.FreeOSMemory() // what is garbage counts as taken
		b.freed = time.Now()
		l, _ = b.least()
	}
	b.asked, b.left = time.Now(), l.Bytes
	return l.Bytes
}
