package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/gespann/gespann/backend"
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
		name := x.Name
		if x.Lost {
			name += " (lost)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", name, x.Backend, grouped(int(x.Rows)),
			seconds(x.Compute), seconds(x.Wait), seconds(x.Comm), size(x.Sent), size(x.Received))
	}
	w.Flush()
	for _, x := range a.Workers {
		if x.Lost && x.Why != "" {
			fmt.Fprintf(&b, "%s was lost: %s\n", x.Name, firstWords(x.Why))
		}
	}
	fmt.Fprintf(&b, "%s: %s rows in %s, %s", a.Strategy, grouped(int(a.Rows)), seconds(a.Seconds), speed(a.RowsPerSecond()))
	if s := a.SpeedUp(); s > 0 {
		fmt.Fprintf(&b, "; %.2f times one worker (%s), efficiency %.0f %%", s, speed(a.OneWorker), 100*efficiency(a))
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

// present returns how many workers took part to the end.
func present(a backend.Account) int {
	n := 0
	for _, w := range a.Workers {
		if !w.Lost {
			n++
		}
	}
	return max(n, 1)
}

// efficiency is the speed-up per worker.
func efficiency(a backend.Account) float64 { return a.SpeedUp() / float64(present(a)) }

// verdict says in a sentence or two whether the cluster paid, and if not, what to
// do instead.
func verdict(a backend.Account) string {
	s := a.SpeedUp()
	switch {
	case s == 0 || len(a.Workers) == 0:
		return ""
	case a.Strategy == "ensemble": // which --backend=cpu does not train
		return fmt.Sprintf("%d workers did the work of %.1f; a member is with one of them at a time.", present(a), s)
	case a.Strategy == "single":
		return "The strategy single trains on one worker at a time; the others only stand by."
	case present(a) < 2:
		return "One worker is no cluster: --backend=cpu does the same without messages."
	case s < leastSpeedUp && a.SameMachine:
		return "The cluster did not pay: one worker alone is as fast, and --backend=cpu faster still. " + advice(a)
	case s < leastSpeedUp:
		return "The cluster did not pay: one worker alone is as fast. " + advice(a)
	case a.SameMachine:
		return "The workers were worth it, but they share this machine: " +
			"--backend=cpu has all its processors, and sends nothing. " + advice(a)
	case efficiency(a) < goodEfficiency:
		return fmt.Sprintf("The cluster paid in part: %d workers did the work of %.1f. %s", present(a), s, advice(a))
	}
	return fmt.Sprintf("The cluster paid: %d workers did the work of %.1f.", present(a), s)
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
		"rows_per_second": jsonNumber(a.RowsPerSecond()), "same_machine": a.SameMachine,
	}
	if s := a.SpeedUp(); s > 0 {
		o["one_worker_rows_per_second"] = a.OneWorker
		o["speed_up"], o["efficiency"], o["verdict"] = s, efficiency(a), verdict(a)
	}
	return o
}
