package train

import (
	"math"
	"reflect"
	"testing"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/internal/exact"
)

// TestPositionRoundTrip checks that a position keeps every bit.
func TestPositionRoundTrip(t *testing.T) {
	p := position{
		Epoch: 3, Step: 17, Steps: 1<<40 + 1, Factor: 0.1, Seconds: 1.0 / 3,
		Best: watch{Seen: true, Best: number(math.Nextafter(0.3, 1)), Epoch: 2, Wait: 1},
		Sums: exact.From(backend.Stats{Rows: 544, Loss: 1e-310, Metrics: map[string][]float64{
			"accuracy": {500}, "huge": {math.Inf(1), math.MaxFloat64, math.Copysign(0, -1)},
		}}),
	}
	got, err := parsePosition(p.String())
	if err != nil || !reflect.DeepEqual(got, p) {
		t.Errorf("got %+v, %v, want %+v", got, err, p)
	}
	if zero := got.Sums.Metrics["huge"][2]; !math.Signbit(float64(zero)) {
		t.Error("-0 has become 0")
	}
	if got := exact.From(p.Sums.Stats()); !reflect.DeepEqual(got, p.Sums) {
		t.Errorf("sums: got %+v, want %+v", got, p.Sums)
	}
}

func TestParsePosition(t *testing.T) {
	for _, text := range []string{"", "{", "[]", `{"epoch":-1}`, `{"step":5}`, `{"sums":{"loss":"x"}}`} {
		if p, err := parsePosition(text); err == nil {
			t.Errorf("parsePosition(%q) = %+v, want an error", text, p)
		}
	}
}

// FuzzParsePosition checks that what is accepted is kept, and is a place that a
// run can be at.
func FuzzParsePosition(f *testing.F) {
	f.Add(position{Epoch: 1, Step: 2, Steps: 9, Factor: 0.1, Rows: 47, PerStep: 4}.String())
	f.Add(`{"sums":{"rows":3,"loss":"NaN","metrics":{"accuracy":["1","+Inf"]}},"best":{"best":"-0"}}`)
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parsePosition(text)
		if err != nil {
			return
		}
		if p.Epoch < 0 || p.Step < 0 || p.Steps < int64(p.Step) {
			t.Errorf("accepted %+v", p)
		}
		again, err := parsePosition(p.String())
		if err != nil || again.String() != p.String() {
			t.Errorf("%s: got %s, %v", p, again, err)
		}
	})
}

func TestWatch(t *testing.T) {
	nan := number(math.NaN())
	for name, c := range map[string]struct {
		values   []number
		rising   bool
		minDelta float64
		best     []bool
		wait     int
	}{
		"falling":        {[]number{3, 2, 2, 1}, false, 0, []bool{true, true, false, true}, 0},
		"rising":         {[]number{1, 2, 2, 1}, true, 0, []bool{true, true, false, false}, 2},
		"delta":          {[]number{3, 2.95, 2.85}, false, 0.1, []bool{true, false, true}, 0},
		"not finite":     {[]number{nan, 2, nan, number(math.Inf(-1))}, false, 0, []bool{false, true, false, false}, 2},
		"below, negated": {[]number{-1, -2, -0.5}, false, 0, []bool{true, true, false}, 1},
	} {
		w := watch{}
		for i, v := range c.values {
			if got := w.see(v, i+1, c.rising, c.minDelta); got != c.best[i] {
				t.Errorf("%s: value %d: best is %v, want %v", name, i, got, c.best[i])
			}
		}
		if w.Wait != c.wait {
			t.Errorf("%s: wait is %d, want %d", name, w.Wait, c.wait)
		}
	}
}
