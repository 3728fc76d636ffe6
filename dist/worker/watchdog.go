package worker

import (
	"fmt"
	"sync"
	"time"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/internal/clock"
)

// silence is how long a worker waits for a sign of its coordinator: pings come
// every second.
const silence = 3 * time.Second

var errSilent = fmt.Errorf("nothing from the coordinator for %v", silence)

// A watchdog barks when nothing has come for too long while someone waits. Bytes
// of a frame that takes long count.
type watchdog struct {
	conn  dist.Conn
	bark  func()
	mu    sync.Mutex
	timer *time.Timer
	waits bool          // someone does
	from  time.Duration // since then
}

// newWatchdog returns one that has been started.
func newWatchdog(conn dist.Conn, bark func()) *watchdog {
	w := &watchdog{conn: conn, bark: bark, waits: true, from: now()}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(silence, w.look)
	return w
}

// start begins to wait.
func (w *watchdog) start() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waits, w.from = true, now()
	w.timer.Reset(silence)
}

// stop ends waiting.
func (w *watchdog) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waits = false
	w.timer.Stop()
}

// now is the time that passes: a wall clock that is set is no silence.
func now() time.Duration { return clock.System{}.Elapsed() }

func (w *watchdog) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.waits {
		return
	}
	last := w.from
	if h, ok := w.conn.(dist.Hearing); ok {
		last = max(last, h.Heard())
	}
	if left := silence - (now() - last); left > 0 {
		w.timer.Reset(left)
		return
	}
	w.bark()
}
