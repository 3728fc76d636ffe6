package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// orphanTime is how long a worker may take to end after its parent.
const orphanTime = 5 * time.Second

// asChild runs a worker until standard input ends, which the parent keeps open, or
// a SIGTERM comes. A parent that only wants the worker to end says something first;
// one that says nothing was killed, and the folder of its coordinator's socket is
// removed for it.
func asChild(ctx context.Context, t terminal, coordinator string, run func(context.Context) error) error {
	signal.Ignore(syscall.SIGPIPE) // nobody may read what it says
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop() // not before: the signal may come after the end of standard input
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	said := make(chan int64, 1)
	go func() { // until the end of the process
		n, _ := io.Copy(io.Discard, t.in)
		said <- n
		cancel()
	}()
	context.AfterFunc(ctx, func() {
		time.Sleep(orphanTime)
		os.Exit(exitRun)
	})
	err := run(ctx)
	if ctx.Err() == nil {
		return err
	}
	if path, ok := strings.CutPrefix(coordinator, "unix:"); ok && <-said == 0 {
		os.RemoveAll(filepath.Dir(path))
	}
	return nil
}
