package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/gespann/gespann/backend/cpu"
)

// render returns the table of some results in Markdown.
func render(results []*result, loads []load) string {
	var b strings.Builder
	b.WriteString("| work | Gespann, ms (p10 to p90) | best competitor, ms (p10 to p90) | which | ratio | goal |\n")
	b.WriteString("|---|---|---|---|---|---|\n")
	for _, r := range results {
		theirs, which := "", ""
		if best := r.best(); best != nil {
			theirs, which = spread(best.times), best.title()
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %.2f | %.1f |\n", r.Title, spread(r.runners[0].times),
			theirs, which, r.ratio(), r.Goal)
	}
	fmt.Fprintf(&b, "\nAll of them, median ms:\n\n")
	for _, r := range results {
		fmt.Fprintf(&b, "- `%s`:", r.Name)
		for i, c := range r.runners {
			if i > 0 {
				b.WriteString(";")
			}
			fmt.Fprintf(&b, " %s %.3g", c.title(), quantile(c.times, 0.5))
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "\n%s, %d threads (%s kernels), %s, %s/%s, %s.\n", processor(), results[0].Threads,
		cpu.Kernels(), runtime.Version(), runtime.GOOS, runtime.GOARCH, time.Now().Format(time.DateOnly))
	fmt.Fprintf(&b, "Load at the start: %v.\nLoad at the end: %v.\n", loads[0], loads[len(loads)-1])
	disturbed := 0
	for _, l := range loads {
		if !l.idle() {
			disturbed++
		}
	}
	fmt.Fprintf(&b, "The machine was not idle at %d of %d checks.\n", disturbed, len(loads))
	return b.String()
}

func spread(times []float64) string {
	return fmt.Sprintf("%.3g (%.3g to %.3g)", quantile(times, 0.5), quantile(times, 0.1), quantile(times, 0.9))
}

// replaceTable replaces what is between the markers of that name in a file.
func replaceTable(path, name, table string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	start, end := "<!-- "+name+": written by make bench -->\n", "<!-- end of "+name+" -->\n"
	before, rest, ok := bytes.Cut(text, []byte(start))
	_, after, ok2 := bytes.Cut(rest, []byte(end))
	if !ok || !ok2 {
		return fmt.Errorf("%s: no markers %q and %q", path, start, end)
	}
	var out bytes.Buffer
	out.Write(before)
	out.WriteString(start + "\n" + table + "\n" + end)
	out.Write(after)
	return os.WriteFile(path, out.Bytes(), 0o644)
}
