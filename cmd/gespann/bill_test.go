package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gespann/gespann/backend"
)

// account is one of two workers, which waited and moved tensors for so many of ten
// seconds each.
func account(wait, comm float64, same bool) backend.Account {
	w := backend.WorkerAccount{
		Name: "a", Backend: "cpu", Rows: 50000, Compute: 10 - wait - comm, Wait: wait, Comm: comm,
		Sent: 12_345_678, Received: 999,
	}
	other := w
	other.Name = "b"
	return backend.Account{
		Strategy: "sync", Workers: []backend.WorkerAccount{w, other}, Rows: 100000, Seconds: 10, SameMachine: same,
	}
}

func TestBill(t *testing.T) {
	a := account(0.1, 0.4, false)
	a.Workers = append(a.Workers, backend.WorkerAccount{Name: "c", Backend: "gpu", Lost: true, Why: "silent for 3.1 s"})
	want := `worker    backend  rows    compute  wait    communication  sent     received
a         cpu      50,000  9.5 s    100 ms  400 ms         12.3 MB  999 B
b         cpu      50,000  9.5 s    100 ms  400 ms         12.3 MB  999 B
c (lost)  gpu      0       0 ms     0 ms    0 ms           0 B      0 B
c was lost: silent for 3.1 s
sync: 100,000 rows in 10.0 s, 10k rows/s; 1.90 times one worker (5.26k rows/s), efficiency 95 %
The cluster paid: 2 workers did the work of 1.9.
`
	if got := bill(a); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	a.Workers[0].Probed, a.OneWorker = true, 5000
	if got := bill(a); got != want {
		t.Errorf("the probe is near enough: got\n%s\nwant\n%s", got, want)
	}
	a.OneWorker = 10000 / 3.03 // it met a busy moment
	for _, text := range []string{bill(a), fmt.Sprint(jsonBill(a))} {
		contains(t, "the probe disagrees", text, "How many times as fast as one worker cannot be told: a worker alone made "+
			"3.3k rows/s before the run, but 5.26k rows/s by its own time in it: something else kept the machine busy "+
			"before the run. Run it again when it is quiet.")
		if strings.Contains(text, "times one worker") || strings.Contains(text, "speed_up") {
			t.Errorf("got a speed-up in\n%s", text)
		}
	}
	a = account(0.1, 0.4, false)
	a.Workers = nil
	want = "sync: 100,000 rows in 10.0 s, 10k rows/s; what each worker did, the coordinator did not say\n"
	if got := bill(a) + verdict(a); got != want {
		t.Errorf("without a coordinator: got %q, want %q", got, want)
	}
}

func TestVerdict(t *testing.T) {
	single := account(0, 5, false)
	single.Strategy = "single"
	window := account(0, 6, false)
	window.Strategy = "adag"
	alone := account(0, 1, true)
	alone.Workers, alone.Rows = alone.Workers[:1], 50000
	slow := account(0, 6, false)
	slow.Workers[1].Probed, slow.OneWorker = true, 50000
	part := account(0, 0, false)
	part.Workers = part.Workers[:1]
	short := account(0, 6, true)
	short.Seconds, short.Rows, short.OneWorker, short.Workers[0].Probed = 0.013, 8, 5000, true
	for name, c := range map[string]struct {
		account backend.Account
		want    []string
	}{
		"paid":                {account(0, 1, false), []string{"The cluster paid: 2 workers did the work of 1.8."}},
		"in part":             {account(0, 4, false), []string{"in part: 2 workers did the work of 1.2", "raise data.batch_size"}},
		"waited":              {account(3.5, 0, false), []string{"in part", "their machines differ"}},
		"did not pay":         {account(0, 6, false), []string{"did not pay", "raise data.batch_size"}},
		"windows":             {window, []string{"did not pay", "the window of adag"}},
		"here":                {account(0, 1, true), []string{"--backend=cpu", "More machines"}},
		"here, did not pay":   {account(0, 6, true), []string{"did not pay", "--backend=cpu", "raise data.batch_size"}},
		"single":              {single, []string{"one worker at a time"}},
		"one worker, no more": {alone, []string{"One worker is no cluster"}},
		"slow in any case":    {slow, []string{"cannot be told", "It did not pay, at 0.2 to 0.8 times.", "raise data.batch_size"}},
		"too short":           {short, []string{"cannot be told: 13 ms of training are too short."}},
		"accounts in part":    {part, []string{"cannot be told", "a part of the run only"}},
	} {
		contains(t, name, verdict(c.account), c.want...)
	}
}
