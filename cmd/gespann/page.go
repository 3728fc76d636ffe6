package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/gespann/gespann/dist/server"
	"github.com/gespann/gespann/dist/web"
)

// pageOf returns what shows the page of a coordinator that nobody else joins, at
// an address; nil for "".
func pageOf(address string, say func(format string, args ...any)) (func(context.Context, *server.Server) error, error) {
	show, err := pageFor(address, "", say)
	if show == nil || err != nil {
		return nil, err
	}
	return func(ctx context.Context, s *server.Server) error {
		return hintOtherPage(show(ctx, s), "without --dashboard and cluster.dashboard there is none")
	}, nil
}

// errNoPage is that a page cannot be where it was wanted.
var errNoPage = errors.New("dashboard")

// hintOtherPage says how to ask for another page, and how for none.
func hintOtherPage(err error, none string) error {
	if !errors.Is(err, errNoPage) {
		return err
	}
	return fmt.Errorf("%w\nhint: --dashboard localhost:8081 for another port, localhost:0 for any that is free; %s", err, none)
}

// notListening says in a sentence why there can be no page at an address.
func notListening(address string, err error) error {
	return fmt.Errorf("%w: %w", errNoPage, whyNotAt(address, err))
}

// whyNotAt says in a sentence why nobody can listen at an address.
func whyNotAt(address string, err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	var sys *os.SyscallError
	if errors.As(err, &sys) {
		err = sys.Err
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s is in use", address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s is not an address of this machine", address)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s: ports below 1024 are not for this user", address)
	}
	return fmt.Errorf("%s: %w", address, err)
}

// pageFor is pageOf for a coordinator that workers reach at join.
func pageFor(
	address, join string, say func(format string, args ...any),
) (func(context.Context, *server.Server) error, error) {
	if address == "" {
		return nil, nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, usagef("--dashboard: got %q, want host:port, such as localhost:8080", address)
	}
	return func(ctx context.Context, s *server.Server) error {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return notListening(address, err)
		}
		at := l.Addr().(*net.TCPAddr)
		if host == "" || at.IP.IsUnspecified() {
			say("dashboard at http://localhost:%d, for all who reach this machine", at.Port)
		} else {
			say("dashboard at http://%s", at)
		}
		if err := web.ServeOn(ctx, l, web.Handler(s, web.Options{Join: join})); err != nil {
			return fmt.Errorf("dashboard: %w", err)
		}
		return nil
	}, nil
}
