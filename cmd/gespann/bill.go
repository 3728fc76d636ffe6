package main

import (
	"fmt"
	"math"
	"strings"
	"text/tabwriter"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/internal/plain"
	"github.com/gespann/gespann/internal/train"
)

// Where speed-ups stop to be worth their workers, per worker and in all.
const (
	goodEfficiency = 0.8
	leastSpeedUp   = 1.1
)

// bill says what the workers of a run cost, and whether they paid. When the
// coordinator did not answer at the end, nothing is known of them.
func bill(a backend.Account) string {
	if len(a.Workers) == 0 {
		return fmt.Sprintf("%s: %s rows in %s, %s; what each worker did, the coordinator did not say\n",
			a.Strategy, grouped(int(a.Rows)), seconds(a.Seconds), speed(a.RowsPerSecond()))
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "worker\tbackend\trows\tcompute\twait\tcommunication\tsent\treceived")
	for _, x := range a.Workers {
		name := plain.Line(x.Name)
		switch {
		case x.Why == backend.TookLeave:
			name += " (left)"
		case x.Lost:
			name += " (lost)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", name, plain.Line(x.Backend), grouped(int(x.Rows)),
			seconds(x.Compute), seconds(x.Wait), seconds(x.Comm), size(x.Sent), size(x.Received))
	}
	w.Flush()
	for _, x := range a.Workers {
		if x.Lost && x.Why != "" && x.Why != backend.TookLeave {
			fmt.Fprintf(&b, "%s was lost: %s\n", plain.Line(x.Name), plain.Line(firstWords(x.Why)))
		}
	}
	fmt.Fprintf(&b, "%s: %s rows in %s, %s", a.Strategy, grouped(int(a.Rows)), seconds(a.Seconds), speed(a.RowsPerSecond()))
	if w := a.Worth(); w.SpeedUp > 0 {
		fmt.Fprintf(&b, "; %.2f times one worker (%s), efficiency %.0f %%", w.SpeedUp, speed(w.Alone), 100*w.Efficiency)
	}
	b.WriteByte('\n')
	if v := verdict(a); v != "" {
		b.WriteString(v + "\n")
	}
	return b.String()
}

// firstWords is the first line of a reason.
func firstWords(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	return text
}

// verdict says in a sentence or two whether the cluster paid, and if not, what to
// do instead; or that this cannot be told.
func verdict(a backend.Account) string {
	w := a.Worth()
	s, n := w.SpeedUp, people(w.Members)
	switch {
	case w.Doubt != "" && a.Strategy != "single":
		return doubt(a, w)
	case s == 0:
		return ""
	case a.Strategy == "ensemble": // which --backend=cpu does not train
		return fmt.Sprintf("%s did the work of %.1f; a member is with one of them at a time.", n, s)
	case a.Strategy == "single":
		return "The strategy single trains on one worker at a time; the others only stand by."
	case len(a.Workers) < 2:
		return "One worker is no cluster: --backend=cpu does the same without messages."
	case s < leastSpeedUp && a.SameMachine:
		return "The cluster did not pay: one worker alone is as fast, and --backend=cpu faster still. " + advice(a)
	case s < leastSpeedUp:
		return "The cluster did not pay: one worker alone is as fast. " + advice(a)
	case a.SameMachine:
		return "The workers were worth it, but they share this machine: " +
			"--backend=cpu has all its processors, and sends nothing. " + advice(a)
	case w.Efficiency < goodEfficiency:
		return fmt.Sprintf("The cluster paid in part: %s did the work of %.1f. %s", n, s, advice(a))
	}
	return fmt.Sprintf("The cluster paid: %s did the work of %.1f.", n, s)
}

// doubt says why nobody can tell how much the cluster paid, and that it did not when that
// is so in any case.
func doubt(a backend.Account, w backend.Worth) string {
	if w.Doubt == backend.DoubtShort {
		return fmt.Sprintf("Whether the cluster paid cannot be told: %s of training are too short.", seconds(a.Seconds))
	}
	if w.Doubt == backend.DoubtRows {
		return "Whether the cluster paid cannot be told: the workers' accounts are of a part of the run only."
	}
	text := fmt.Sprintf("How many times as fast as one worker cannot be told: a worker alone made %s before the run, "+
		"but %s by its own time in it: %s.", speed(w.ByProbe), speed(w.ByRun), w.Cause())
	if low, high := w.Bounds(a); high < leastSpeedUp {
		return fmt.Sprintf("%s It did not pay, at %.2g to %.2g times. %s", text, low, high, advice(a))
	}
	return text + " Run it again when it is quiet."
}

// people is "2 workers", or "2.5 workers" when one of them was there for half of it.
func people(members float64) string {
	if whole := math.Round(members); math.Abs(members-whole) < 0.1 {
		return fmt.Sprintf("%.0f workers", whole)
	}
	return fmt.Sprintf("%.1f workers", members)
}

// advice says what to change where much time goes elsewhere than into computing.
func advice(a backend.Account) string {
	var compute, wait, comm float64
	for _, w := range a.Workers {
		compute, wait, comm = compute+w.Compute, wait+w.Wait, comm+w.Comm
	}
	const much = 0.15 // of the time
	total := compute + wait + comm
	switch {
	case comm >= wait && comm > much*total && a.Strategy == "sync":
		return "To communicate less, raise data.batch_size, or try cluster.strategy local_sgd."
	case comm >= wait && comm > much*total && (a.Strategy == "averaging" || a.Strategy == "single"):
		return "To communicate less, raise data.batch_size."
	case comm >= wait && comm > much*total:
		return "To communicate less, raise data.batch_size or the window of " + a.Strategy + "."
	case wait > much*total && a.SameMachine:
		return "The workers waited for one another: this machine may have other work to do."
	case wait > much*total:
		return "The workers waited for one another: their machines differ, or have other work to do."
	case a.SameMachine:
		return "More machines make it faster."
	}
	return "Larger batches keep workers busier: raise data.batch_size."
}

// size is a number of bytes in three digits.
func size(bytes int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	x, i := float64(bytes), 0
	for ; x >= 999.5 && i < len(units)-1; i++ {
		x /= 1000
	}
	if i == 0 {
		return fmt.Sprintf("%d B", bytes)
	}
	return fmt.Sprintf("%.3g %s", x, units[i])
}

// jsonBill is the bill for --log=json.
func jsonBill(a backend.Account) object {
	workers := make([]object, len(a.Workers))
	for i, w := range a.Workers {
		workers[i] = object{
			"name": w.Name, "backend": w.Backend, "rows": w.Rows, "lost": w.Lost, "why": w.Why,
			"compute_seconds": w.Compute, "wait_seconds": w.Wait, "communication_seconds": w.Comm,
			"sent_bytes": w.Sent, "received_bytes": w.Received,
		}
	}
	o := object{
		"event": "bill", "strategy": a.Strategy, "workers": workers, "rows": a.Rows, "seconds": a.Seconds,
		"rows_per_second": train.JSONNumber(a.RowsPerSecond()), "same_machine": a.SameMachine,
	}
	w := a.Worth()
	if w.SpeedUp > 0 {
		o["one_worker_rows_per_second"], o["members"] = w.Alone, w.Members
		o["speed_up"], o["efficiency"] = w.SpeedUp, w.Efficiency
	}
	if w.Doubt != "" {
		o["doubt"] = string(w.Doubt)
	}
	if v := verdict(a); v != "" {
		o["verdict"] = v
	}
	return o
}
