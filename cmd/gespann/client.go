package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gespann/gespann/dist/rpc"
	"github.com/gespann/gespann/dist/server/client"
)

// clientFlags say which coordinator.
type clientFlags struct {
	coordinator string
	trust       trustFlags
}

func (f *clientFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.coordinator, "coordinator", coordinatorFromEnv(), "address of the coordinator, host:port or unix:path")
	f.trust.add(c)
}

// visit connects to the coordinator for as long as use takes.
func (f *clientFlags) visit(ctx context.Context, t terminal, use func(c *client.Client) error) error {
	return withSignals(ctx, t.err, func(ctx context.Context) error {
		trust, err := f.trust.load(f.coordinator)
		if err != nil {
			return err
		}
		conn, err := rpc.Dial(ctx, f.coordinator, rpc.Client, trust)
		if err != nil {
			return notThere(err)
		}
		defer conn.Close()
		defer context.AfterFunc(ctx, func() { conn.Close() })()
		c, err := client.New(conn, moduleVersion())
		if err == nil {
			err = use(c)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	})
}

// notThere says of an error of dialling a coordinator where its address comes from,
// unless it says how to go on.
func notThere(err error) error {
	if errors.Is(err, rpc.ErrRefused) || strings.Contains(err.Error(), "\nhint: ") {
		return err
	}
	return fmt.Errorf("%w\nhint: --coordinator says where the coordinator is, as host:port or unix:path", err)
}
