package train

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

func TestTicks(t *testing.T) {
	inf := math.Inf(1)
	whole, any := ticks{most: 10, least: 1}, ticks{most: 6}
	for _, c := range []struct {
		t      ticks
		lo, hi float64
		want   string
	}{
		{whole, 1, 12, "2 4 6 8 10 12"},
		{whole, 1, 3, "1 2 3"},
		{whole, 1, 1, "1"},
		{whole, 1, 300000, "50000 100000 150000 200000 250000 300000"},
		{whole, 1, 3e7, "5e6 1e7 1.5e7 2e7 2.5e7 3e7"},
		{whole, 1, 40, "5 10 15 20 25 30 35 40"},
		{any, -0.1, 0.5, "-0.1 0.0 0.1 0.2 0.3 0.4 0.5"},
		{ticks{most: 4}, 0, 0.1, "0.00 0.05 0.10"},
		{any, 0, 1, "0.0 0.2 0.4 0.6 0.8 1.0"},
		{any, 0, 2.3, "0.0 0.5 1.0 1.5 2.0"},
		{any, 0.91, 1, "0.92 0.94 0.96 0.98 1.00"},
		{any, 0, 3e11, "0 5e10 1e11 1.5e11 2e11 2.5e11 3e11"},
		{any, 0, 123456, "0 50000 100000"},
		{any, -4e6, 4e6, "-4e6 -2e6 0 2e6 4e6"},
		{any, 0, 4e-7, "0 1e-7 2e-7 3e-7 4e-7"},
		{any, 0, 0.00004, "0 1e-5 2e-5 3e-5 4e-5"},
		{any, 1000000, 1000000.5, "1000000.0 1000000.1 1000000.2 1000000.3 1000000.4 1000000.5"},
		{any, -1e30, -1e30, "-1e30"}, // one value alone
		{any, 5, 5, "5"},
		{any, 0, 0, "0"},
		{any, 0, 1e308, "0 2e307 4e307 6e307 8e307 1e308"},
		{any, -1e308, 1.7e308, ""}, // no float64 is as wide
		{any, inf, -inf, ""},       // no value
		{any, math.NaN(), math.NaN(), ""},
	} {
		var got []string
		for _, tick := range c.t.Ticks(c.lo, c.hi) {
			got = append(got, tick.Label)
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%+v from %v to %v: got %s, want %s", c.t, c.lo, c.hi, text, c.want)
		}
		if len(got) > c.t.most+1 {
			t.Errorf("%+v from %v to %v: %d ticks", c.t, c.lo, c.hi, len(got))
		}
	}
	for e := -40; e <= 300; e += 5 { // no range is without an end
		hi := math.Pow(10, float64(e))
		for _, lo := range []float64{0, -hi, hi * (1 - 1e-15)} {
			if n := len(any.Ticks(lo, hi)); n > 8 {
				t.Error(fmt.Sprint(n, " ticks from ", lo, " to ", hi))
			}
		}
	}
}
