package main

import (
	"bufio"
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

// leaveWord is what a parent says to a worker without which others go on.
const leaveWord = "leave"

// words reads standard input to its end, and returns how many bytes came, but for
// leaveWord, at which leave is called.
func words(in io.Reader, leave func()) (n int64) {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadSlice('\n')
		if strings.TrimSuffix(string(line), "\n") == leaveWord {
			leave()
		} else {
			n += int64(len(line))
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return n
		}
	}
}

// asChild runs a worker until standard input ends, which the parent keeps open. A parent
// that only wants the worker to end says something first, or leaveWord, and waits, when others go
// on. One that says nothing was killed,
// or what brought the worker here was: the coordinator may still be there, and the worker
// leaves, as it does at a SIGTERM, with which an engine wants its machine back. The folder
// of a coordinator's socket is removed for one that was killed.
func asChild(ctx context.Context, t terminal, coordinator string, run func(ctx context.Context, leave <-chan struct{}) error) error {
	signal.Ignore(syscall.SIGPIPE) // nobody may read what it says
	term, stop := signal.NotifyContext(context.WithoutCancel(ctx), syscall.SIGTERM)
	defer stop() // not before: the signal may come after the end of standard input
	leave, goAway := context.WithCancel(term)
	defer goAway()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	said := make(chan int64, 1)
	go func() { // until the end of the process
		n := words(t.in, goAway)
		said <- n
		if n > 0 {
			cancel()
			return
		}
		goAway()
		time.AfterFunc(orphanTime, cancel)
	}()
	context.AfterFunc(ctx, func() {
		time.Sleep(orphanTime)
		os.Exit(exitRun)
	})
	err := run(ctx, leave.Done())
	if ctx.Err() == nil && leave.Err() == nil {
		return err
	}
	path, ok := strings.CutPrefix(coordinator, "unix:")
	if !ok {
		return nil
	}
	select {
	case n := <-said:
		if n == 0 {
			os.RemoveAll(filepath.Dir(path))
		}
	case <-time.After(time.Second): // the parent is there
	}
	return nil
}
