package train

import (
	"context"
	"testing"
	"time"

	"github.com/gespann/gespann/backend"
)

// workers is a backend that trains like another, and behaves like one of several
// workers: it wants long spans, reports inside them, and keeps an account.
type workers struct {
	backend.Backend
	granule int
	spans   []backend.Span
}

func (b *workers) Open(ctx context.Context, job backend.Job) (backend.Session, error) {
	s, err := b.Backend.Open(ctx, job)
	return &workersSession{s, b}, err
}

type workersSession struct {
	backend.Session
	*workers
}

func (s *workersSession) Granule() int { return s.granule }

func (s *workersSession) Account() backend.Account {
	return backend.Account{Strategy: "sync", Rows: int64(len(s.spans))}
}

// Train takes the steps one by one and reports each twice.
func (s *workersSession) Train(ctx context.Context, span backend.Span) (backend.Stats, int, error) {
	s.spans = append(s.spans, span)
	sums, steps := span.Sums, 0
	for i := span.First; i < span.Last; i++ {
		one := span
		one.First, one.Last, one.Step, one.Sums = i, i+1, span.Step+int64(steps), sums
		one.Rates = span.Rates[steps : steps+1]
		var n int
		var err error
		sums, n, err = s.Session.Train(ctx, one)
		steps += n
		span.Report(sums, steps)
		span.Report(sums, steps)
		if err != nil {
			return sums, steps, err
		}
	}
	return sums, steps, nil
}

// TestGranular checks that a session of several workers gets spans of whole
// granules, except before a checkpoint and at the end of an epoch, and that the
// run is the same as without.
func TestGranular(t *testing.T) {
	// 12 steps per epoch.
	const yaml = `
model: [{dense: {units: 7, activation: relu}}, {dropout: 0.3}, {dense: 3}]
train: {epochs: 3, checkpoint_every: 8 steps}
`
	plain := newTestRun(t, yaml)
	want := plain.outcome(plain.must())

	cpu, err := backend.Lookup("cpu")
	if err != nil {
		t.Fatal(err)
	}
	// An hour: all steps that a span may have.
	for refresh, wants := range map[time.Duration][]int{
		time.Nanosecond: {3, 3, 2, 3, 1, 3, 1, 3, 3, 2, 3, 3, 2, 3, 1},
		time.Hour:       {3, 5, 4, 4, 8, 8, 4},
	} {
		several := newTestRun(t, yaml)
		b := &workers{Backend: cpu, granule: 3}
		several.on = b
		var progress []int
		var bill *Bill
		result, err := several.run(context.Background(), refresh, func(e Event) {
			switch e := e.(type) {
			case Progress:
				progress = append(progress, e.Step)
			case Bill:
				bill = &e
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		same(t, refresh.String(), several.outcome(result), want)
		checkSpans(t, refresh, b.spans, wants)
		if len(progress) < 36 {
			t.Errorf("%v: %d reports of progress for 36 steps", refresh, len(progress))
		}
		if bill == nil || bill.Rows != int64(len(b.spans)) {
			t.Errorf("%v: the bill is %+v, want one for %d spans", refresh, bill, len(b.spans))
		}
	}
}

func checkSpans(t *testing.T, refresh time.Duration, spans []backend.Span, want []int) {
	t.Helper()
	var got []int
	for _, s := range spans {
		got = append(got, s.Last-s.First)
	}
	ok := len(got) == len(want)
	for i := 0; ok && i < len(got); i++ {
		ok = got[i] == want[i]
	}
	if !ok {
		t.Errorf("%v: spans of %v steps, want %v", refresh, got, want)
	}
}
