package main

import (
	"context"
	"errors"
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

// asChild runs a worker until standard input ends, which the parent keeps open, or a
// SIGTERM comes. When the parent was killed, the folder of the coordinator's
// socket, which was the parent's, is removed.
func asChild(ctx context.Context, t terminal, f workerFlags, run func(context.Context) error) error {
	signal.Ignore(syscall.SIGPIPE) // nobody may read what it says
	ctx, cancel := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer cancel()
	go func() { // until the end of the process
		io.Copy(io.Discard, t.in)
		cancel()
	}()
	context.AfterFunc(ctx, func() {
		time.Sleep(orphanTime)
		os.Exit(exitRun)
	})
	err := run(ctx)
	if os.Getppid() != f.parent {
		if path, ok := strings.CutPrefix(f.coordinator, "unix:"); ok {
			os.RemoveAll(filepath.Dir(path))
		}
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}
