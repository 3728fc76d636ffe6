package worker

import (
	"fmt"
	"sync"
	"time"

	"github.com/gespann/gespann/dist"
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
	from  time.Time // of waiting; zero: nobody waits
}

// newWatchdog returns one that has been started.
func newWatchdog(conn dist.Conn, bark func()) *watchdog {
	w := &watchdog{conn: conn, bark: bark, from: time.Now()}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(silence, w.look)
	return w
}

// start begins to wait.
func (w *watchdog) start() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.from = time.Now()
	w.timer.Reset(silence)
}

// stop ends waiting.
func (w *watchdog) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.from = time.Time{}
	w.timer.Stop()
}

func (w *watchdog) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.from.IsZero() {
		return
	}
	last := w.from
	if h, ok := w.conn.(dist.Hearing); ok && h.Heard().After(last) {
		last = h.Heard()
	}
	if left := silence - time.Since(last); left > 0 {
		w.timer.Reset(left)
		return
	}
	w.bark()
}
