package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/gespann/gespann/internal/train"
)

// A sink shows the events of a run.
type sink struct {
	event func(train.Event)
	close func() // ends a line that is still open
}

// newSink returns the sink that --log names. Auto is a line that moves when the
// output is a terminal, else plain.
func newSink(t terminal, log string) (sink, error) {
	if t.jsonFormat() {
		if log != "auto" && log != formatJSON {
			return sink{}, usagef("--log: got %q, but --log-format json has all lines JSON", log)
		}
		return sink{slogEvents(newJSONLog(t.out)), func() {}}, nil
	}
	switch log {
	case "auto":
		if width := terminalWidth(t.out); width > 0 {
			l := &liveLog{out: t.raw(), width: func() int { return terminalWidth(t.out) }, color: os.Getenv("NO_COLOR") == ""}
			return sink{l.event, l.clear}, nil
		}
		fallthrough
	case "plain":
		l := &plainLog{out: t.out}
		return sink{l.event, func() {}}, nil
	case "json":
		return sink{jsonLog(t.out), func() {}}, nil
	}
	return sink{}, usagef("--log: got %q, want auto, plain or json", log)
}

// terminalWidth returns the columns of w, or 0 when it is not a terminal that can
// rewrite a line.
func terminalWidth(w io.Writer) int {
	f, ok := below(w).(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width <= 0 {
		return 80
	}
	return width
}

// A plainLog writes one line per epoch, and some in between when epochs are long.
type plainLog struct {
	out  io.Writer
	job  string // that was submitted, and whose log this is; "": none
	last time.Time
}

// quiet is the longest time without a line.
const quiet = 10 * time.Second

func (l *plainLog) event(e train.Event) {
	switch e := e.(type) {
	case train.Started:
		l.last = time.Now()
		fmt.Fprint(l.out, started(e))
	case train.Progress:
		if time.Since(l.last) < quiet {
			return
		}
		l.last = time.Now()
		fmt.Fprintf(l.out, "epoch %s  step %s\n", count(e.Epoch, e.Epochs), strings.Join(progressWords(e), "  "))
	case train.EpochEnd:
		l.last = time.Now()
		fmt.Fprintf(l.out, "epoch %s  %s\n", count(e.Epoch, e.Epochs), epochWords(e))
	case train.Note:
		fmt.Fprint(l.out, noted(e))
	case train.Bill:
		fmt.Fprint(l.out, bill(e.Account))
	case *train.Result:
		fmt.Fprint(l.out, l.finished(e))
	}
}

// finished is the end of a run, or of a job: who reads that has to fetch it.
func (l *plainLog) finished(r *train.Result) string {
	if l.job == "" {
		return finished(r)
	}
	return results(r) + fmt.Sprintf("next   gespann fetch %s\n", l.job)
}

// progressWords are step, values, speed and time left, as far as they are known.
func progressWords(e train.Progress) []string {
	words := []string{fmt.Sprintf("%d/%d", e.Step, e.Steps)}
	if len(e.Values) > 0 {
		words = append(words, valueWords(e.Values))
	}
	return append(words, speed(e.RowsPerSecond), minutes(e.Left)+" left")
}

// started is the head of a run.
func started(e train.Started) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s parameters, %s training rows", e.Dir, grouped(e.Parameters), grouped(e.Rows[0]))
	for i, name := range []string{"validation", "test"} {
		if n := e.Rows[i+1]; n > 0 {
			fmt.Fprintf(&b, ", %s %s", grouped(n), name)
		}
	}
	b.WriteByte('\n')
	switch {
	case e.Epoch >= e.Epochs:
		fmt.Fprintf(&b, "complete already: %d epochs; --epochs with more trains on\n", e.Epoch)
	case e.Stopped != "":
		b.WriteString(e.Stopped + "\n")
	case e.Weights != "":
		fmt.Fprintf(&b, "begins with the weights of %s\n", e.Weights)
	case e.From != "":
		fmt.Fprintf(&b, "continues from %s: epoch %d, step %d of %d\n", e.From, e.Epoch+1, e.Step, e.StepsPerEpoch)
	}
	return b.String()
}

// noted is a note on a run.
func noted(e train.Note) string {
	return "note   " + strings.ReplaceAll(e.Text, "\n", "\n       ") + "\n" // no line of its own
}

// finished is the end of a run: what it reached, where it is, and what is next.
func finished(r *train.Result) string {
	var b strings.Builder
	b.WriteString(results(r))
	fmt.Fprintf(&b, "saved  %s\n", r.Dir)
	fmt.Fprintf(&b, "next   %s evaluate %s", self(), shellWord(r.Dir))
	if len(r.Test) == 0 {
		b.WriteString(" --split training")
	}
	b.WriteByte('\n')
	return b.String()
}

// results are what a run has reached.
func results(r *train.Result) string {
	var b strings.Builder
	if r.Stopped {
		fmt.Fprintf(&b, "stopped early after epoch %d\n", r.Epochs)
	}
	if r.Best > 0 {
		fmt.Fprintf(&b, "best weights put back: those of epoch %d\n", r.Best)
	}
	if len(r.Test) > 0 {
		fmt.Fprintf(&b, "test   %s\n", valueWords(r.Test))
	}
	return b.String()
}
