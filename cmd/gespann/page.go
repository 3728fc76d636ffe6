package main

import (
	"context"
	"fmt"

	"github.com/gespann/gespann/dist/server"
)

// A pageFunc shows a coordinator on a page at an address until ctx ends.
type pageFunc func(ctx context.Context, address string, s *server.Server) error

// showPage is the page of this build; nil: it has none.
var showPage pageFunc

// pageOf returns what shows the page of a coordinator at an address; nil for "".
func pageOf(address string, say func(format string, args ...any)) (func(context.Context, *server.Server) error, error) {
	if address == "" {
		return nil, nil
	}
	if showPage == nil {
		return nil, usagef("--dashboard: got %q, but this build has no page", address)
	}
	return func(ctx context.Context, s *server.Server) error {
		say("dashboard at %s", address)
		if err := showPage(ctx, address, s); err != nil {
			return fmt.Errorf("dashboard: %w", err)
		}
		return nil
	}, nil
}
