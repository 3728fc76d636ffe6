package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// untilTold runs a worker, which is to leave, between steps, at the first SIGINT, SIGTERM
// or, unless nohup has it ignored, SIGHUP; with withParent also when the process that has
// started this one is gone. The second signal ends the process. SIGTERM is how those who
// manage processes ask: a worker that has left then has done well, except for those who
// count ends.
func untilTold(ctx context.Context, log io.Writer, withParent bool, run func(ctx context.Context, leave <-chan struct{}) error) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	defer signal.Stop(signals)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var orphaned <-chan struct{}
	if withParent {
		orphaned = parentGone(ctx)
	}
	var (
		leave = make(chan struct{})
		mu    sync.Mutex
		by    *signalError
	)
	go func() {
		var began time.Time
		for first := true; ; first = false {
			select {
			case <-ctx.Done():
				return
			case <-orphaned:
				orphaned = nil
				fmt.Fprintln(log, "\nthe process that has started this worker is gone; leaving")
			case s := <-signals:
				e := &signalError{s.(syscall.Signal)}
				if !began.IsZero() && time.Since(began) < echoTime {
					continue
				}
				mu.Lock()
				already := by != nil
				by = e
				mu.Unlock()
				if already {
					os.Exit(e.code())
				}
				began = time.Now()
				fmt.Fprintln(log, "\nleaving after this step; once more to quit at once")
			}
			if first {
				close(leave)
			}
		}
	}()
	err := run(ctx, leave)
	mu.Lock()
	defer mu.Unlock()
	if err == nil && by != nil && (by.signal != syscall.SIGTERM || countsEnds()) {
		return by
	}
	return err
}

// countsEnds reports whether this process is of an Indexed Job of Kubernetes, which takes
// exit code 0 for work that is done, and starts no other process for it.
func countsEnds() bool {
	_, ok := os.LookupEnv("JOB_COMPLETION_INDEX")
	return ok
}

// bornOf is the process that has started this one, if it still was there then.
var bornOf = os.Getppid()

// parentTime is how often it is looked whether the parent is still there.
const parentTime = 500 * time.Millisecond

// parentGone returns a channel that is closed when this process has another parent
// than at first, as it does when that one ends, or when ctx ends. Looking is surer than
// asking the kernel for a signal (PR_SET_PDEATHSIG), which comes when the thread ends that
// has started this process, and those of a Java machine do.
func parentGone(ctx context.Context) <-chan struct{} {
	gone, parent := make(chan struct{}), bornOf
	go func() {
		defer close(gone)
		tick := time.NewTicker(parentTime)
		defer tick.Stop()
		for os.Getppid() == parent {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return gone
}
