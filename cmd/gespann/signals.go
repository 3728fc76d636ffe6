package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// A signalError ends a command that a signal interrupted, after it has said so.
type signalError struct{ signal syscall.Signal }

func (e *signalError) Error() string { return e.signal.String() }

// code is what shells report for the signal.
func (e *signalError) code() int { return 128 + int(e.signal) }

// withSignals returns a context that the first SIGINT or SIGTERM ends, with a
// *signalError as its cause. The second one ends the process. Call stop when the
// command is done.
func withSignals(parent context.Context, log io.Writer) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	done := make(chan struct{})
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		for first := true; ; first = false {
			select {
			case <-done:
				return
			case s := <-signals:
				e := &signalError{s.(syscall.Signal)}
				if !first {
					os.Exit(e.code())
				}
				fmt.Fprintln(log, "\nfinishing the step and saving; once more to quit at once")
				cancel(e)
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}
