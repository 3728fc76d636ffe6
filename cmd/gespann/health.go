package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/gespann/gespann/dist/web"
)

// answerTime is how long health waits for an answer when nothing is said.
const answerTime = 5 * time.Second

func newHealth(t terminal) *cobra.Command {
	var (
		ready, optional bool
		within          time.Duration
	)
	c := &cobra.Command{
		Use:   "health [ADDRESS]",
		Short: "Ask a coordinator or worker how it is",
		Long: `Health asks the coordinator whose page is at ADDRESS, localhost:8080 unless said, or
the worker whose --metrics it is. It ends with exit code 0 if all is well, else with 1
and the reason.

Without --ready it asks whether the process moves: one that does not should be started
again. With --ready, whether it does what it is there for: a coordinator takes jobs, a
worker has been let in by one and is not leaving.

An image may also train, and has no page then: --optional takes it that nobody listens.
A process that is stuck still does.`,
		Example: `  gespann health
  gespann health --ready localhost:9108         # a worker with --metrics 9108`,
		Args: args(0, 1, "one address, host:port"),
		RunE: func(c *cobra.Command, args []string) error {
			address := defaultDashboard
			if len(args) > 0 {
				address = args[0]
			}
			path := "/healthz"
			if ready {
				path = "/readyz"
			}
			err := askHealth(c.Context(), t, address, path, within)
			if optional && errors.Is(err, syscall.ECONNREFUSED) {
				return nil
			}
			return err
		},
	}
	c.Flags().BoolVar(&ready, "ready", false, "ask whether it is ready, too")
	c.Flags().BoolVar(&optional, "optional", false, "nobody who listens there is well, too")
	c.Flags().DurationVar(&within, "timeout", answerTime, "how long to wait for the answer")
	return c
}

// askHealth prints a good answer, and makes any other one an error.
func askHealth(ctx context.Context, t terminal, address, path string, within time.Duration) error {
	at, err := pageAddress(address)
	if err != nil {
		return usagef("%v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	answer, good, err := web.Ask(ctx, at, path)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%s: no answer within %v", at, within)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s: %w\nhint: a coordinator's page is at %s unless it is told otherwise; a worker has one with --metrics",
			at, lastOf(err), defaultDashboard)
	case err != nil:
		return fmt.Errorf("%s: %w", at, lastOf(err))
	case !good:
		return fmt.Errorf("%s: %s", at, cmp.Or(answer, "it is not well, and does not say why"))
	}
	_, err = fmt.Fprintln(t.out, answer)
	return err
}

// lastOf returns what is wrong without what was done: an error of net/http begins with
// a URL, and one of net with addresses.
func lastOf(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// pageAddress makes an address of what is given: a port alone is on this machine.
func pageAddress(given string) (string, error) {
	if _, err := strconv.ParseUint(given, 10, 16); err == nil {
		return net.JoinHostPort("localhost", given), nil
	}
	_, port, err := net.SplitHostPort(given)
	if err != nil || port == "" || strings.ContainsAny(given, "/?#@ ") {
		return "", fmt.Errorf("got %q, want host:port, such as localhost:9108, or a port", given)
	}
	return given, nil
}

// show serves what others may know of a worker, if that is wanted, until the function
// that it returns is called.
func (f *workerFlags) show(t terminal, w web.Worker, log *slog.Logger) (stop func(), err error) {
	if f.metrics == "" {
		return func() {}, nil
	}
	at, err := pageAddress(f.metrics)
	if err != nil {
		return nil, usagef("--metrics: %v", err)
	}
	l, err := net.Listen("tcp", at)
	if err != nil {
		return nil, fmt.Errorf("--metrics: %w\nhint: --metrics localhost:0 takes any port that is free", whyNotAt(at, err))
	}
	fmt.Fprintf(t.err, "metrics at http://%s/metrics\n", l.Addr())
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := web.ServeOn(ctx, l, web.WorkerHandler(w, log)); err != nil {
			log.Error("metrics are not served any more", "error", err)
		}
	})
	return func() {
		cancel()
		serving.Wait()
	}, nil
}
