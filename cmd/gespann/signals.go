package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// echoTime is how long a signal may come again without being another.
const echoTime = 300 * time.Millisecond

// A signalError ends a command that a signal interrupted, after it has said so.
type signalError struct{ signal syscall.Signal }

func (e *signalError) Error() string { return e.signal.String() }

// code is what shells report for the signal.
func (e *signalError) code() int { return 128 + int(e.signal) }

// withSignals runs f with a context that the first SIGINT, SIGTERM or, unless
// nohup has it ignored, SIGHUP ends. The second one ends the process, unless it comes at
// once: those who end a group of processes, as timeout does, may signal twice. If f ends
// because its context did, the error is a *signalError.
func withSignals(parent context.Context, log io.Writer, f func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	signals := make(chan os.Signal, 2)
	done := make(chan struct{})
	defer close(done)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	defer signal.Stop(signals)
	go func() {
		var began time.Time
		for first := true; ; first = false {
			select {
			case <-done:
				return
			case s := <-signals:
				e := &signalError{s.(syscall.Signal)}
				if !first && time.Since(began) < echoTime {
					continue
				}
				if !first {
					os.Exit(e.code())
				}
				began = time.Now()
				fmt.Fprintln(log, "\nstopping; once more to quit at once")
				cancel(e)
			}
		}
	}()
	err := f(ctx)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return context.Cause(ctx)
	}
	return err
}
