//go:build linux

package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// A fault is something that goes wrong while processes on this machine train. Its
// run starts them, breaks something at a random moment, and returns nil when the
// training ended as it should.
type fault struct {
	name, title string
	epochs      int
	strategy    string             // "": deterministic sync, whose bits are those of the cpu backend
	plain       bool               // sync that is not deterministic
	overlap     int                // trials at a time: 2, or more of those that mostly wait
	few         bool               // tried a quarter as often
	prepare     func(l *lab) error // before the first trial; nil: nothing
	run         func(t *trial) error
}

// Epochs take some 20 ms. Numbers of epochs are multiples of saveEvery, so that the
// end has a checkpoint.
const (
	saveEvery   = 7
	shortEpochs = 20 * saveEvery
	cutEpochs   = 55 * saveEvery
	stopEpochs  = 85 * saveEvery
)

// faults returns everything that is tried.
func faults() []*fault {
	return []*fault{
		{name: "kill-worker-local", title: "SIGKILL a worker, `train --workers 2`", run: killChild},
		{name: "kill-worker", title: "SIGKILL one of 3 workers of a standing coordinator", run: killWorker},
		{name: "kill-worker-sync", title: "the first, not deterministic", plain: true, run: killChild},
		{name: "kill-worker-adag", title: "the second, `adag`", strategy: "adag", run: killWorker},
		{name: "kill-two-workers", few: true, title: "SIGKILL 2 of 3 workers within a second", run: killTwoWorkers},
		{name: "kill-all-workers", few: true, title: "SIGKILL all 3 workers, start others", run: killAllWorkers},
		{name: "kill-coordinator", title: "SIGKILL the coordinator, start it again; `train --coordinator`", run: killCoordinator},
		{name: "kill-coordinator-job", title: "the same, a submitted job", run: killCoordinatorOfJob},
		{name: "kill-both", few: true, title: "SIGKILL the coordinator, and a worker while it is down", run: killBoth},
		{name: "kill-driver", few: true, title: "SIGKILL `train --workers 2`, resume", run: killDriver},
		{name: "kill-driver-elsewhere", few: true, title: "SIGKILL `train --coordinator`, resume", overlap: 5, run: killDriverElsewhere},
		{name: "interrupt", few: true, title: "SIGINT to `train --workers 2`, resume on the cluster or the cpu backend", run: interruptDriver},
		{name: "join", few: true, title: "a worker joins 2 others", run: joinLate},
		{name: "stop-worker", title: "SIGSTOP one of 3 workers for 30 s", epochs: stopEpochs, overlap: 5, run: stopWorker},
		{name: "cut-worker", title: "cut the network of one of 3 workers, mutual TLS, heal it", epochs: cutEpochs, overlap: 3, run: cutWorker},
		{name: "cut-driver", few: true, title: "the same, of `train --coordinator`", run: cutDriver},
		{name: "cut-link", few: true, title: "the same, between two of 3 workers only", epochs: cutEpochs, overlap: 3, run: cutLink},
		{name: "stop-coordinator", few: true, title: "SIGSTOP the coordinator for 1 to 13 s", run: stopCoordinator},
		{name: "stop-driver", few: true, title: "the same, `train --coordinator`", run: stopDriver},
		{name: "full-disk-coordinator", title: "fill the disk of the coordinator, a submitted job", overlap: 4, run: fillCoordinator},
		{name: "full-disk-driver", title: "fill the disk of the run directory, `train --workers 2`, resume", run: fillDriver},
		{name: "damaged-checkpoint", title: "SIGKILL `train --workers 2`, damage its latest checkpoint, resume", run: damageCheckpoint},
		{name: "stuck-file", title: "the data of a queued job becomes a pipe; it is cancelled, the jobs before and behind it train", overlap: 4, run: stickFile},
		{name: "cancel-starting", title: "cancel a job that begins, SIGKILL the coordinator at once, start it again; the next job trains", overlap: 4, run: cancelStarting},
		{name: "liar", title: "one of 3 workers commits NaN, or 1e30, `adag`", strategy: "adag", run: lie},
		{name: "strangers", title: "hundreds of strangers at the port of a coordinator, mutual TLS; a worker joins", epochs: cutEpochs, run: crowd},
		{name: "pages", title: "300 pages that do not read, and /healthz is asked", run: openPages},
		{name: "restores", title: "4 drivers send 400 MB each to a coordinator that may take 1 GB, before their turn", epochs: cutEpochs, overlap: 1, run: floodMemory},
		{name: "clock", title: "the wall clocks of all processes jump by an hour and ten years, three times a second", prepare: buildJumping, run: jumpClocks},
	}
}

// A lab is where trials are made.
type lab struct {
	program, dir string
	seed         uint64
	mu           sync.Mutex
	whole        map[int]string // undisturbed runs on the cpu backend, by epochs
	jumping      string         // the program with a clock that jumps, once that is built
}

// injectFaults tries all faults, or those whose names are given.
func injectFaults(o *options) error {
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano())
	}
	dir, err := os.MkdirTemp("", "faults")
	if err != nil {
		return err
	}
	l := &lab{program: filepath.Join(dir, "gespann"), dir: dir, seed: o.seed, whole: map[int]string{}}
	if text, err := exec.Command("go", "build", "-trimpath", "-o", l.program, "./cmd/gespann").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, text)
	}
	before := measureLoad(2)
	fmt.Fprintf(os.Stderr, "seed %d, below %s; %v\n", l.seed, dir, before)
	var table strings.Builder
	table.WriteString("| fault | runs | ended well | same bits | went on after at most (median) |\n|---|---|---|---|---|\n")
	failed := 0
	for _, f := range faults() {
		if o.only != "" && !slices.Contains(strings.Split(o.only, ","), f.name) {
			continue
		}
		f.epochs, f.overlap = cmp.Or(f.epochs, shortEpochs), cmp.Or(f.overlap, 2)
		times := cmp.Or(o.repeat, 20)
		if f.few {
			times = (times + 3) / 4
		}
		if f.prepare != nil {
			if err := f.prepare(l); err != nil {
				return err
			}
		}
		results := l.repeat(f, times)
		failed += writeRow(&table, f, results)
	}
	fmt.Fprintf(&table, "\n%s, %d processors, %s, %s; seed %d. Load before: %v; after: %v.\n", processor(),
		runtime.NumCPU(), runtime.Version(), time.Now().Format(time.DateOnly), l.seed, before, measureLoad(2))
	fmt.Print(table.String())
	if failed > 0 {
		return fmt.Errorf("%d trials did not end as they should; see %s", failed, dir)
	}
	if err := os.RemoveAll(dir); err != nil || o.write == "" {
		return err
	}
	return replaceTable(o.write, "faults", table.String())
}

// An outcome is how a trial ended.
type outcome struct {
	err        error
	standstill time.Duration // the longest after the fault
}

// repeat makes n trials, and some more where the run ended before its fault.
func (l *lab) repeat(f *fault, n int) []outcome {
	results := make([]outcome, n)
	gate := make(chan struct{}, f.overlap)
	var all sync.WaitGroup
	for i := range n {
		gate <- struct{}{}
		all.Go(func() {
			defer func() { <-gate }()
			for again := range 10 {
				results[i] = l.try(f, i, again)
				if !errors.Is(results[i].err, errMissed) {
					break
				}
			}
			fmt.Fprintf(os.Stderr, "%-22s %2d: %.2f s; %v\n", f.name, i, results[i].standstill.Seconds(), results[i].err)
		})
	}
	all.Wait()
	return results
}

// writeRow writes what has come of a fault, and returns the number of failures.
func writeRow(table *strings.Builder, f *fault, results []outcome) int {
	well, other := 0, 0
	var times []time.Duration
	for _, r := range results {
		switch {
		case r.err == nil:
			well++
		case errors.Is(r.err, errOtherBits):
			well++
			other++
		}
		times = append(times, r.standstill)
	}
	slices.Sort(times)
	same := fmt.Sprint(well - other)
	if !f.deterministic() {
		same = ""
	}
	fmt.Fprintf(table, "| %s | %d | %d | %s | %.1f s (%.1f s) |\n", f.title, len(results), well, same,
		times[len(times)-1].Seconds(), times[len(times)/2].Seconds())
	return len(results) - well + other
}

func (f *fault) deterministic() bool { return f.strategy == "" && !f.plain }
