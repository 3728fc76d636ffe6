package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/backendtest"
	_ "github.com/gespann/gespann/backend/ref" // registers ref
	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/data"
)

func ref(t *testing.T) backend.Backend {
	t.Helper()
	b, err := backend.Lookup("ref")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestSession is the suite of every backend, with messages in between.
func TestSession(t *testing.T) {
	backendtest.Session(t, backendOn(t, ref(t), nil), backendtest.Allocates, backendtest.NoThreads)
}

const testEpochs = 3

// job returns a job of seven steps per epoch.
func job(t *testing.T) backend.Job { return backendtest.Job(t, 30, 1) }

// trainAll trains in spans of at most so many steps and returns the variables, and
// the statistics of each epoch.
func trainAll(t *testing.T, s backend.Session, length int) ([][]float32, []backend.Stats) {
	t.Helper()
	var all []backend.Stats
	done := int64(0)
	for epoch := range testEpochs {
		sums := backend.Stats{}
		for first := 0; first < 7; first += length {
			last := min(first+length, 7)
			span := backend.Span{
				Epoch: epoch, First: first, Last: last, Step: done, Sums: sums,
				Rates: slices.Repeat([]float32{0.05}, last-first),
			}
			var n int
			var err error
			sums, n, err = s.Train(t.Context(), span)
			if err != nil || n != last-first {
				t.Fatalf("Train of %d to %d: %d steps, %v", first, last, n, err)
			}
			done += int64(n)
		}
		all = append(all, sums)
	}
	vars, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return vars, all
}

// initial returns variables to begin with.
func initial(job backend.Job) [][]float32 { return job.Programs.(*backendtest.Tiny).Initial() }

// local returns what training without a cluster gives.
func local(t *testing.T) ([][]float32, []backend.Stats) {
	t.Helper()
	job := job(t)
	s, err := ref(t).Open(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Restore(t.Context(), initial(job)); err != nil {
		t.Fatal(err)
	}
	return trainAll(t, s, 7)
}

func sameVars(t *testing.T, got, want [][]float32) {
	t.Helper()
	for i := range want {
		if !slices.Equal(got[i], want[i]) { // bits: there is no NaN, and no -0 beside 0
			t.Errorf("variable %d differs", i)
		}
	}
}

func sameStats(t *testing.T, got, want []backend.Stats) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("statistics are\n%s\nwant\n%s", g, w)
	}
}

// TestFaults lets things go wrong at random, and checks that the run has the bits
// of one without faults.
func TestFaults(t *testing.T) {
	wantVars, wantStats := local(t)
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			b := backendOn(t, ref(t), func(m wire.Message) fault {
				if _, bye := m.(*wire.Detach); bye || r.IntN(10) > 0 {
					return none
				}
				return []fault{lose, drop, vanish, restart, behind}[r.IntN(5)]
			})
			job := job(t)
			s := openOn(t, b, job)
			if err := s.Restore(t.Context(), initial(job)); err != nil {
				t.Fatal(err)
			}
			vars, stats := trainAll(t, s, 1+r.IntN(7))
			sameVars(t, vars, wantVars)
			sameStats(t, stats, wantStats)
		})
	}
}

// openOn opens a session.
func openOn(t *testing.T, b backend.Backend, job backend.Job) backend.Session {
	t.Helper()
	s, err := b.Open(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestRequests checks what is asked of a coordinator in a plain run.
func TestRequests(t *testing.T) {
	b := backendOn(t, ref(t), nil)
	b.probe = true
	job := job(t)
	s := openOn(t, b, job)
	if err := s.Restore(t.Context(), initial(job)); err != nil {
		t.Fatal(err)
	}
	trainAll(t, s, 7)
	if _, err := s.Evaluate(t.Context(), data.Test); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Snapshot(t.Context()); err != nil { // remembered
		t.Fatal(err)
	}
	a := s.(backend.Accountant).Account()
	if a.Strategy != "sync" || a.Rows != testEpochs*203 || a.OneWorker != 1280 || len(a.Workers) != 1 || !(a.Seconds > 0) {
		t.Errorf("account is %+v", a)
	}
	s.(*session).failed(errors.New("out of luck"))
	c := b.last
	for c.digest.Load() == nil && t.Context().Err() == nil { // rows go beside the requests
		time.Sleep(time.Millisecond)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c.wg.Wait()
	// The first probe takes three steps, the second as many as the epoch has.
	want := "attach restore probe probe train train train snapshot test bill detach"
	if got := strings.Join(c.served, " "); got != want {
		t.Errorf("requests are\n%s, want\n%s", got, want)
	}
	if c.detach.Err != "out of luck" {
		t.Errorf("the coordinator is told %q, want the error", c.detach.Err)
	}
	if got, want := c.digest.Load(), job.Data.Digest(); got != want {
		t.Errorf("the rows that came have digest %v, want %s", got, want)
	}
}

// TestStop ends the context inside a span.
func TestStop(t *testing.T) {
	wantVars, _ := local(t)
	b := backendOn(t, ref(t), nil)
	job := job(t)
	s := openOn(t, b, job)
	if err := s.Restore(t.Context(), initial(job)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	span := backend.Span{Last: 7, Rates: slices.Repeat([]float32{0.05}, 7)}
	span.Report = func(_ backend.Stats, steps int) {
		if steps == 2 {
			cancel()
		}
	}
	sums, n, err := s.Train(ctx, span)
	if n == 7 && err == nil {
		t.Skip("nothing was stopped: all steps were taken before the workers heard of the end")
	}
	if n < 2 || !errors.Is(err, context.Canceled) || sums.Rows != int64(30*n) {
		t.Fatalf("Train: %d steps, %v rows, %v", n, sums.Rows, err)
	}
	span = backend.Span{First: n, Last: 7, Step: int64(n), Sums: sums, Rates: span.Rates[n:]}
	if _, _, err := s.Train(t.Context(), span); err != nil {
		t.Fatal(err)
	}
	for epoch := 1; epoch < testEpochs; epoch++ {
		span := backend.Span{Epoch: epoch, Last: 7, Step: int64(7 * epoch), Rates: slices.Repeat([]float32{0.05}, 7)}
		if _, _, err := s.Train(t.Context(), span); err != nil {
			t.Fatal(err)
		}
	}
	vars, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sameVars(t, vars, wantVars)
}

// TestErrors checks what a session says when it cannot go on.
func TestErrors(t *testing.T) {
	always := func(kind string, what fault) func(wire.Message) fault {
		return func(m wire.Message) fault {
			if m.Kind() == kind {
				return what
			}
			return none
		}
	}
	for name, c := range map[string]struct {
		loses func(wire.Message) fault
		want  string
	}{
		"attach":  {always("attach", refuse), "cluster: out of luck"},
		"restore": {always("restore", refuse), "cluster: out of luck"},
		"train":   {always("train", refuse), "cluster: out of luck"},
		"lost":    {always("train", lose), "the state was lost 11 times in a row"},
		"gone":    {always("attach", drop), "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			b := backendOn(t, ref(t), c.loses)
			b.patience = 100 * time.Millisecond // enough to be there again, not to be there never
			s, err := b.Open(t.Context(), job(t))
			if err == nil {
				_, _, err = s.Train(t.Context(), backend.Span{Last: 1, Rates: []float32{1}})
				s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestRefused loses a coordinator that does not let the driver in any more, as one of another
// version does: the session ends at once, in its words.
func TestRefused(t *testing.T) {
	var b *onCoordinator
	b = backendOn(t, ref(t), func(m wire.Message) fault {
		if m.Kind() != "train" {
			return none
		}
		b.last.final = fmt.Errorf("coordinator test:1: %w protocol 3: this one speaks 4", dist.ErrRefused)
		return drop
	})
	b.patience = time.Hour
	s := openOn(t, b, job(t))
	_, _, err := s.Train(t.Context(), backend.Span{Last: 1, Rates: []float32{1}})
	if !errors.Is(err, dist.ErrRefused) || !strings.Contains(err.Error(), "this one speaks 4") {
		t.Errorf("got %v, want that it was refused", err)
	}
}

// TestLeaveTheQueue ends the context of a session that waits for its turn, and checks
// that the coordinator is told.
func TestLeaveTheQueue(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	b := backendOn(t, ref(t), func(m wire.Message) fault {
		if m.Kind() == "attach" {
			cancel()
			return silent
		}
		return none
	})
	if _, err := b.Open(ctx, job(t)); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want canceled", err)
	}
	b.last.mu.Lock()
	defer b.last.mu.Unlock()
	if d := b.last.detach; d == nil || d.Err != "interrupted" {
		t.Errorf("the coordinator heard %+v, want that the driver was interrupted", d)
	}
}

// TestEndBetween ends the context of a caller between two requests, in the middle of the
// run and after its last epoch: the coordinator is told in the first case only.
func TestEndBetween(t *testing.T) {
	for epochs, want := range map[int]string{2: "interrupted", 1: ""} {
		ctx, cancel := context.WithCancel(t.Context())
		b := backendOn(t, ref(t), nil)
		b.cluster.Epochs = epochs
		job := job(t)
		s := openOn(t, b, job)
		if err := s.Restore(ctx, initial(job)); err != nil {
			t.Fatal(err)
		}
		steps := stepsPerEpoch(job)
		if _, n, err := s.Train(ctx, backend.Span{Last: steps, Rates: slices.Repeat([]float32{0.1}, steps)}); n != steps || err != nil {
			t.Fatalf("got %d steps, %v", n, err)
		}
		cancel()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		b.last.mu.Lock()
		if d := b.last.detach; d == nil || d.Err != want {
			t.Errorf("of %d epochs: the coordinator heard %+v, want %q", epochs, d, want)
		}
		b.last.mu.Unlock()
	}
}

// TestInterruptedOutsideSteps ends the context of a session that takes no steps at that
// moment, and checks that the coordinator is told, as its workers are to wait for the rest.
func TestInterruptedOutsideSteps(t *testing.T) {
	for name, last := range map[string]func(context.Context, backend.Session) error{
		"test": func(ctx context.Context, s backend.Session) error {
			_, err := s.Evaluate(ctx, data.Test)
			return err
		},
		"snapshot": func(ctx context.Context, s backend.Session) error {
			_, err := s.Snapshot(ctx)
			return err
		},
		"nothing": func(ctx context.Context, s backend.Session) error {
			<-ctx.Done()
			_, _, err := s.Train(ctx, backend.Span{First: 1, Last: 2, Step: 1, Rates: []float32{1}})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			b := backendOn(t, ref(t), func(m wire.Message) fault {
				if m.Kind() == name {
					cancel()
					return silent
				}
				return none
			})
			s, err := b.Open(t.Context(), job(t))
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := s.Train(t.Context(), backend.Span{Last: 1, Rates: []float32{1}}); err != nil {
				t.Fatal(err)
			}
			if name == "nothing" {
				cancel()
			}
			if err := last(ctx, s); !errors.Is(err, context.Canceled) {
				t.Fatalf("got %v, want canceled", err)
			}
			s.Close()
			b.last.mu.Lock()
			defer b.last.mu.Unlock()
			if d := b.last.detach; d == nil || d.Err != wire.Interrupted {
				t.Errorf("the coordinator heard %+v, want that the driver was interrupted", d)
			}
		})
	}
}

// TestAbandon ends the context of an evaluation that gets no answer, and goes on
// when the answer comes.
func TestAbandon(t *testing.T) {
	s := openOn(t, backendOn(t, ref(t), func(m wire.Message) fault {
		if m.Kind() == "test" {
			return silent
		}
		return none
	}), job(t))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := s.Evaluate(ctx, data.Test)
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want canceled", err)
	}
}

// TestGranule checks after how many steps workers meet.
func TestGranule(t *testing.T) {
	for _, c := range []struct {
		strategy string
		params   map[string]float64
		want     int
	}{
		{"sync", nil, 1}, {"single", nil, 1}, {"ensemble", map[string]float64{"members": 2}, 1},
		{"adag", map[string]float64{"window": 12}, 36},
		{"local_sgd", map[string]float64{"window": 8}, 24},
		{"diloco", map[string]float64{"window": 500}, 100},
		{"averaging", nil, 100},
	} {
		job := wire.Job{Strategy: c.strategy, Params: c.params}
		if got := granule(&job, 3, 100); got != c.want {
			t.Errorf("granule of %s %v: %d, want %d", c.strategy, c.params, got, c.want)
		}
	}
}
