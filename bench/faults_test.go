//go:build linux

package main

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/gespann/gespann/internal/checkpoint"
)

// TestStandstill looks for the longest time without an epoch after a fault.
func TestStandstill(t *testing.T) {
	begin := time.Now()
	at := func(ms int) time.Time { return begin.Add(time.Duration(ms) * time.Millisecond) }
	w := &watch{grown: []time.Time{at(0), at(900), at(1000), at(1300), at(1400)}}
	for from, want := range map[int]int{0: 900, 950: 300, 1350: 50, 1500: 0} {
		if got := w.standstill(at(from), time.Time{}); got != time.Duration(want)*time.Millisecond {
			t.Errorf("from %d ms: got %v, want %d ms", from, got, want)
		}
	}
}

// TestStandstillUntil does not look at what is long after the fault.
func TestStandstillUntil(t *testing.T) {
	begin := time.Now()
	at := func(s int) time.Time { return begin.Add(time.Duration(s) * time.Second) }
	w := &watch{grown: []time.Time{at(3), at(4), at(10)}}
	for to, want := range map[int]int{2: 3, 3: 3, 5: 6} {
		if got := w.standstill(begin, at(to)); got != time.Duration(want)*time.Second {
			t.Errorf("to %d s: got %v, want %d s", to, got, want)
		}
	}
}

// TestSameTensors finds a bit that differs.
func TestSameTensors(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, x float32) string {
		t.Helper()
		path := filepath.Join(dir, name)
		s := &checkpoint.State{Tensors: []checkpoint.Tensor{{Name: "w", Shape: []int{2}, Data: []float32{1, x}}}}
		if err := checkpoint.Write(path, s); err != nil {
			t.Fatal(err)
		}
		return path
	}
	a, b := write("a", 0.1), write("b", 0.1)
	if err := sameTensors(a, b); err != nil {
		t.Errorf("equal files: %v", err)
	}
	for name, x := range map[string]float32{"next": math.Nextafter32(0.1, 1), "minus": -0.1} {
		if err := sameTensors(a, write(name, x)); !errors.Is(err, errOtherBits) {
			t.Errorf("%s: got %v, want %v", name, err, errOtherBits)
		}
	}
}

// TestLosses leaves out the seconds.
func TestLosses(t *testing.T) {
	dir := t.TempDir()
	text := "epoch,step,loss,seconds\n1,41,0.5,0.021\n2,82,0.25,0.020\n"
	if err := os.WriteFile(filepath.Join(dir, "metrics.csv"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := losses(dir)
	if want := []string{"epoch,step,loss", "1,41,0.5", "2,82,0.25"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q and %v, want %q", got, err, want)
	}
}
