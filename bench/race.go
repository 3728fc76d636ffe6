package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// A runner is a contestant in one of its modes, with what its steps took.
type runner struct {
	*contestant
	mode  string
	times []float64 // milliseconds
}

// title names the runner.
func (r *runner) title() string {
	title := r.name
	for _, s := range []string{r.mode, r.label} {
		if s != "" {
			title += ", " + s
		}
	}
	return title
}

// A result is the outcome of one work.
type result struct {
	*work
	runners []*runner // ours first
}

// best returns the quickest of the competitors, or nil.
func (r *result) best() *runner {
	var best *runner
	for _, c := range r.runners[1:] {
		if best == nil || quantile(c.times, 0.5) < quantile(best.times, 0.5) {
			best = c
		}
	}
	return best
}

// ratio is the best competitor's time divided by ours, 0 without competitors.
func (r *result) ratio() float64 {
	best := r.best()
	if best == nil {
		return 0
	}
	return quantile(best.times, 0.5) / quantile(r.runners[0].times, 0.5)
}

// A plan says how long to race.
type plan struct {
	rounds int
	ms     float64       // of a turn
	pause  time.Duration // before a turn: threads of the one before stop spinning
}

// race lets the contestants take turns at one work, so that a slow moment of the
// machine hits them all. The first turn of each warms up and is not counted.
func race(w *work, all []*contestant, p plan, progress io.Writer) (*result, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := w.write(filepath.Join(dir, "data")); err != nil {
		return nil, err
	}
	res := &result{work: w}
	var want float64
	for i, c := range all {
		a, err := c.ask(request{Work: w})
		if err != nil {
			if i == 0 {
				return nil, fmt.Errorf("%s: %w", w.Name, err)
			}
			fmt.Fprintf(progress, "%s: %s%s does not take part: %v\n", w.Name, a.Name, c.label, err)
			continue
		}
		if i == 0 {
			want = a.Loss
		}
		tolerance := 1e-3
		if w.Precision != "" {
			tolerance = 1e-2 // a factor is off by 2⁻⁸
		}
		if a.Loss != 0 && math.Abs(a.Loss-want) > tolerance*want {
			return nil, fmt.Errorf("%s: loss of the first batch is %v with %s, %v with ours",
				w.Name, a.Loss, a.Name, want)
		}
		c.name = a.Name
		for _, mode := range a.Modes {
			res.runners = append(res.runners, &runner{contestant: c, mode: mode})
		}
	}
	for round := range p.rounds + 1 {
		for _, r := range res.runners {
			time.Sleep(p.pause)
			a, err := r.ask(request{Mode: r.mode, MS: p.ms})
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", w.Name, r.title(), err)
			}
			if round > 0 {
				r.times = append(r.times, a.Times...)
			}
		}
	}
	for _, r := range res.runners {
		slices.Sort(r.times)
	}
	return res, nil
}

// write makes the file that contestants read.
func (w *work) write(path string) error {
	x, y, values, err := w.content()
	if err != nil {
		return err
	}
	var buf []byte
	for _, part := range []any{x, y, values} {
		if buf, err = binary.Append(buf, binary.LittleEndian, part); err != nil {
			return err
		}
	}
	w.Data, w.Rows = path, len(y)
	return os.WriteFile(path, buf, 0o600)
}

func quantile(sorted []float64, q float64) float64 {
	return sorted[int(q*float64(len(sorted)-1))]
}
