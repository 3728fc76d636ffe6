// Command bench times one training step of the 784-512-512-10 network, batch
// 128, SGD, on Gespann's CPU backend and on Gorgonia's own TapeMachine, both in
// this process, in turns, and prints medians and their ratio.
//
// With -write FILE it replaces the table between the markers in that file.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

const (
	rounds   = 12 // turns of each contestant
	perRound = 25 // steps of a turn; the slow one takes a fifth of them
)

// A contestant takes training steps on the same model and kind of batches.
type contestant struct {
	name  string
	steps int // per round
	step  func()
	times []time.Duration
}

func main() {
	write := flag.String("write", "", "Markdown file whose table to replace")
	flag.Parse()
	if err := run(*write); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(write string) error {
	ours, closeOurs, err := gespannStep()
	if err != nil {
		return err
	}
	defer closeOurs()
	theirs, closeTheirs, err := tapeMachineStep()
	if err != nil {
		return err
	}
	defer closeTheirs()
	field := []*contestant{
		{name: "Gespann, cpu backend", steps: perRound, step: ours},
		{name: "Gorgonia v0.9.18, TapeMachine", steps: perRound / 5, step: theirs},
	}
	race(field)
	table := render(field)
	fmt.Print(table)
	if write != "" {
		return replaceTable(write, table)
	}
	return nil
}

// race lets the contestants take turns, so that a slow moment of the machine
// hits them all. The first turn of each warms up and is not counted.
func race(field []*contestant) {
	for round := range rounds + 1 {
		for _, c := range field {
			runtime.GC()
			for range c.steps {
				start := time.Now()
				c.step()
				if round > 0 {
					c.times = append(c.times, time.Since(start))
				}
			}
		}
	}
	for _, c := range field {
		slices.Sort(c.times)
	}
}

func quantile(sorted []time.Duration, q float64) float64 {
	return sorted[int(q*float64(len(sorted)-1))].Seconds() * 1e3
}

func render(field []*contestant) string {
	var b strings.Builder
	b.WriteString("| 784-512-512-10, batch 128, SGD | median ms/step | p10 | p90 | times Gespann |\n")
	b.WriteString("|---|---|---|---|---|\n")
	base := quantile(field[0].times, 0.5)
	for _, c := range field {
		median := quantile(c.times, 0.5)
		fmt.Fprintf(&b, "| %s | %.2f | %.2f | %.2f | %.1f |\n", c.name, median,
			quantile(c.times, 0.1), quantile(c.times, 0.9), median/base)
	}
	fmt.Fprintf(&b, "\n%s, %d threads, %s, %s/%s, %s.\n", processor(), runtime.GOMAXPROCS(0),
		runtime.Version(), runtime.GOOS, runtime.GOARCH, time.Now().Format(time.DateOnly))
	return b.String()
}

// processor returns the model name that Linux knows, or the architecture.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

const (
	tableStart = "<!-- step table: written by make bench -->\n"
	tableEnd   = "<!-- end of step table -->\n"
)

func replaceTable(path, table string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := bytes.Cut(text, []byte(tableStart))
	_, after, ok2 := bytes.Cut(rest, []byte(tableEnd))
	if !ok || !ok2 {
		return fmt.Errorf("%s: no markers %q and %q", path, tableStart, tableEnd)
	}
	var out bytes.Buffer
	out.Write(before)
	out.WriteString(tableStart + "\n" + table + "\n" + tableEnd)
	out.Write(after)
	return os.WriteFile(path, out.Bytes(), 0o644)
}

func init() { debug.SetGCPercent(400) }
