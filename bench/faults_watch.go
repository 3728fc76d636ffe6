//go:build linux

package main

import (
	"bytes"
	"os"
	"sync"
	"time"
)

// A watch notes when a run makes progress: when its metrics.csv grows.
type watch struct {
	path  string
	quit  chan struct{}
	ended chan struct{}
	once  sync.Once

	mu    sync.Mutex
	lines int
	grown []time.Time
}

func newWatch(path string) *watch {
	w := &watch{path: path, quit: make(chan struct{}), ended: make(chan struct{})}
	go w.look()
	return w
}

func (w *watch) look() {
	defer close(w.ended)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var size int64
	for {
		select {
		case <-tick.C:
		case <-w.quit:
			return
		}
		info, err := os.Stat(w.path)
		if err != nil || info.Size() == size {
			continue
		}
		text, err := os.ReadFile(w.path)
		if err != nil {
			continue
		}
		w.mu.Lock()
		w.lines = bytes.Count(text, []byte("\n"))
		if int64(len(text)) > size {
			w.grown = append(w.grown, time.Now())
		}
		w.mu.Unlock()
		size = int64(len(text))
	}
}

// end ends the watch.
func (w *watch) end() {
	w.once.Do(func() { close(w.quit) })
	<-w.ended
}

// epochs returns how many epochs the run has behind it.
func (w *watch) epochs() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return max(0, w.lines-1)
}

// standstill returns the longest time without progress from a moment to another one,
// or to the last epoch if that is zero.
func (w *watch) standstill(from, to time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	var longest time.Duration
	if from.IsZero() {
		return 0
	}
	for _, at := range w.grown {
		if at.After(from) && (to.IsZero() || from.Before(to)) {
			longest = max(longest, at.Sub(from))
			from = at
		}
	}
	return longest
}
