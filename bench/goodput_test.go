//go:build linux

package main

import (
	"strings"
	"testing"
	"time"
)

// TestWriteGoodput checks what pairs come to: ratios are of pairs, not of medians.
func TestWriteGoodput(t *testing.T) {
	after := func(seconds, cpu float64, kills int) *leg {
		return &leg{took: time.Duration(seconds * 1e9), cpu: time.Duration(cpu * 1e9), kills: kills}
	}
	var table strings.Builder
	writeGoodput(&table, "x, 2 workers", 1000,
		[]*leg{after(10, 20, 0), after(20, 20, 0), after(9, 18, 0)},
		[]*leg{after(12.5, 40, 1), after(20, 20, 2), after(10, 20, 1)})
	const want = "| x, 2 workers | 3 | 4 | 100 | 80 | 0.90 (0.80 to 1.00), goal 0.9 | 0.90 | yes |\n"
	if got := table.String(); got != want {
		t.Errorf("got %swant %s", got, want)
	}
}
