package server

import (
	"bytes"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/clock"
)

// TestTwoHundred has two hundred workers join at once, train together and on their own, and be lost and come
// back. It bounds what grows with their number: messages of a phase, by worker, and none of them longer
// than it has to be; a driver is not flooded; the log has a few lines for each.
func TestTwoHundred(t *testing.T) {
	const n = 200
	var log syncBuffer
	s := start(t, Options{Clock: stillClock{}, Log: slog.New(slog.NewTextHandler(&log, nil))})
	var mu sync.Mutex
	heard := map[string]int{} // messages to workers, by kind
	longest := 0
	hold := func(m wire.Message) {
		text, err := wire.AppendHead(nil, wire.Frame{Message: m})
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			t.Error(err)
		}
		heard[m.Kind()]++
		longest = max(longest, len(text))
	}
	take := func() map[string]int {
		mu.Lock()
		defer mu.Unlock()
		was := heard
		heard = map[string]int{}
		return was
	}
	hands := hireHolding(t, s, n, hold)
	eventually(t, "all are there", func() bool { return len(s.View().Workers) == n })

	driver := party{t, dial(t, "driver", s.Driver)}
	job := testJob("j", "sync")
	job.Workers, job.BatchSize, job.Rows = n, n, [3]int{20 * n, n, 0}
	driver.say(&wire.Attach{Protocol: wire.Protocol, Job: job})
	queued := 0
	for {
		f, err := driver.conn.Recv()
		if err != nil {
			t.Fatalf("the driver was told %d times why it waits: %v", queued, err)
		}
		if _, ok := f.Message.(*wire.Attached); ok {
			break
		}
		queued++
	}
	if queued > 20 { // at this one moment
		t.Errorf("the driver was told %d times why it waits, for %d workers", queued, n)
	}
	driver.say(&wire.Restore{}, make([]float32, 13)...)
	hear[*wire.Restored](driver)
	if got := take(); got["open"] != n || got["load"] != n || got["welcome"] != n {
		t.Errorf("to begin with, workers heard %v, want one each of welcome, open and load for %d", got, n)
	}

	span := func(first int) {
		t.Helper()
		m := &wire.Train{Steps: 20, Span: wire.Span{First: first, Last: first + 5, Done: int64(first), Rates: []float32{1, 1, 1, 1, 1}}}
		if first > 0 {
			m.Sums = wire.Stats{Rows: int64(20 * first), Loss: 1, Metrics: map[string][]wire.Number{"accuracy": {1}}}
		}
		driver.say(m)
		hear[*wire.Trained](driver)
	}
	span(0)
	if got := take(); got["form"] != n || got["run"] != n || got["abort"]+got["load"]+got["fetch"] != 0 {
		t.Errorf("in the first span workers heard %v, want one form and one run each", got)
	}
	span(5)
	if got := take(); got["run"] != n || got["form"]+got["abort"]+got["load"]+got["fetch"] != 0 {
		t.Errorf("in the next span workers heard %v, want one run each", got)
	}
	hands[7].conn.Close()
	eventually(t, "one is lost", func() bool { return len(s.View().Workers) == n-1 })
	span(10)
	if got := take(); got["form"] != n-1 || got["run"] != n-1 || got["load"]+got["fetch"] != 0 {
		t.Errorf("without one, workers heard %v, want one form and one run each", got)
	}
	if most := 300 * n; longest > most { // all are told of all
		t.Errorf("the longest message has %d bytes, want at most %d", longest, most)
	}
	if lines := bytes.Count(log.bytes(), []byte("\n")); lines > 3*n {
		t.Errorf("the log has %d lines for %d workers, want at most three each", lines, n)
	}
	driver.say(&wire.Detach{})
}

// In a stillClock no time passes.
type stillClock struct{ clock.System }

func (stillClock) Elapsed() time.Duration { return 0 }

// syncBuffer is a buffer for several writers.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.b.Bytes())
}
