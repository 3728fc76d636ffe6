package server

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/coord"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/clock/clocktest"
)

// hearing is a connection on which bytes of a long frame may come.
type hearing struct {
	dist.Conn
	at *atomic.Int64
}

func (h hearing) Heard() time.Duration { return time.Duration(h.at.Load()) }

// TestLongFrame checks that a worker whose long frame is on its way is taken for
// alive, and one from which nothing comes is not.
func TestLongFrame(t *testing.T) {
	m, ticks := &script{}, make(chan time.Time)
	var at atomic.Int64
	clock := clocktest.At(time.Now(), 0)
	s := start(t, Options{machine: m, Ticks: ticks, Clock: clock})
	beats := func() (n int) {
		m.mu.Lock()
		defer m.mu.Unlock()
		for _, e := range m.events {
			if f, ok := e.(coord.FromWorker); ok && f.Msg.(*wire.Beat).Done == 7 {
				n++
			}
		}
		return n
	}
	pass := func(d time.Duration) {
		clock.Pass(d)
		ticks <- time.Time{}
		ticks <- time.Time{} // the one before has been handled
	}
	w := party{t, dial(t, "w", func(ctx context.Context, c dist.Conn, who dist.Principal) error {
		return s.Worker(ctx, hearing{c, &at}, who)
	})}
	w.say(hello("w"))
	w.say(&wire.Beat{Done: 7})
	eventually(t, "the beat has come", func() bool { return beats() == 1 })
	at.Store(int64(clock.Elapsed()))
	pass(2 * time.Second)
	if n := beats(); n != 1 {
		t.Errorf("%d signs of life, want that of the beat", n)
	}
	for i := range 3 {
		at.Store(int64(clock.Elapsed()))
		pass(time.Second / 4)
		if n := beats(); n != 2+i {
			t.Errorf("%d signs of life, want %d", n, 2+i)
		}
	}
	pass(time.Second / 4)
	if n := beats(); n != 4 {
		t.Errorf("%d signs of life when no more bytes come, want 4", n)
	}
}
