package main

import (
	"testing"

	"github.com/gespann/gespann/backend"
)

// account is one of two workers, which did the work of so many in ten seconds.
func account(speedUp, wait, comm float64, same bool) backend.Account {
	w := backend.WorkerAccount{
		Name: "a", Backend: "cpu", Rows: 50000, Compute: 10 - wait - comm, Wait: wait, Comm: comm,
		Sent: 12_345_678, Received: 999,
	}
	other := w
	other.Name = "b"
	return backend.Account{
		Strategy: "sync", Workers: []backend.WorkerAccount{w, other}, Rows: 100000, Seconds: 10,
		OneWorker: 10000 / speedUp, SameMachine: same,
	}
}

func TestBill(t *testing.T) {
	a := account(1.9, 0.1, 0.25, false)
	a.Workers = append(a.Workers, backend.WorkerAccount{Name: "c", Backend: "gpu", Lost: true, Why: "silent for 3.1 s"})
	want := `worker    backend  rows    compute  wait    communication  sent     received
a         cpu      50,000  9.7 s    100 ms  250 ms         12.3 MB  999 B
b         cpu      50,000  9.7 s    100 ms  250 ms         12.3 MB  999 B
c (lost)  gpu      0       0 ms     0 ms    0 ms           0 B      0 B
c was lost: silent for 3.1 s
sync: 100,000 rows in 10.0 s, 10k rows/s; 1.90 times one worker (5.26k rows/s), efficiency 95 %
The cluster paid: 2 workers did the work of 1.9.
`
	if got := bill(a); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	a.OneWorker = 0
	if got := verdict(a); got != "" {
		t.Errorf("without a probe: got %q, want nothing", got)
	}
	a = account(1.9, 0.1, 0.25, false)
	a.Workers = nil
	want = "sync: 100,000 rows in 10.0 s, 10k rows/s; what each worker did, the coordinator did not say\n"
	if got := bill(a) + verdict(a); got != want {
		t.Errorf("without a coordinator: got %q, want %q", got, want)
	}
}

func TestVerdict(t *testing.T) {
	single := account(1.2, 0, 0, false)
	single.Strategy = "single"
	window := account(0.7, 0, 5, false)
	window.Strategy = "adag"
	alone := account(0.9, 0, 0, true)
	alone.Workers = alone.Workers[:1]
	for name, c := range map[string]struct {
		account backend.Account
		want    []string
	}{
		"paid":                {account(1.7, 0, 1, false), []string{"The cluster paid: 2 workers did the work of 1.7."}},
		"in part":             {account(1.3, 0, 4, false), []string{"in part", "raise data.batch_size"}},
		"waited":              {account(1.3, 4, 1, false), []string{"in part", "their machines differ"}},
		"small batches":       {account(1.3, 0, 0, false), []string{"in part", "raise data.batch_size"}},
		"did not pay":         {account(0.8, 0, 6, false), []string{"did not pay", "raise data.batch_size"}},
		"windows":             {window, []string{"did not pay", "the window of adag"}},
		"here":                {account(1.7, 0, 1, true), []string{"--backend=cpu", "More machines"}},
		"here, did not pay":   {account(0.8, 0, 6, true), []string{"did not pay", "--backend=cpu", "raise data.batch_size"}},
		"single":              {single, []string{"one worker at a time"}},
		"one worker, no more": {alone, []string{"One worker is no cluster"}},
	} {
		contains(t, name, verdict(c.account), c.want...)
	}
}
