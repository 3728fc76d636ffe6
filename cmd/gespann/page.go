package main

import (
	"context"
	"fmt"
	"net"

	"github.com/gespann/gespann/dist/server"
	"github.com/gespann/gespann/dist/web"
)

// pageOf returns what shows the page of a coordinator that nobody else joins, at
// an address; nil for "".
func pageOf(address string, say func(format string, args ...any)) (func(context.Context, *server.Server) error, error) {
	return pageFor(address, "", say)
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
			return fmt.Errorf("dashboard: %w", err)
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
