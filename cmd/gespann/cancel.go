package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/gespann/gespann/dist/server/client"
	"github.com/gespann/gespann/dist/wire"
)

func newCancel(t terminal) *cobra.Command {
	var f clientFlags
	var wait bool
	c := &cobra.Command{
		Use:   "cancel JOB",
		Short: "End a job",
		Long: `Cancel ends a job that waits or runs. What it has saved stays, and can be fetched.
JOB is its ID, or how that begins.

One that trains ends its step and saves first, which cancel waits for; --wait=false
does not. Once the coordinator has answered, the job does not begin again, also when the
coordinator is killed; where that cannot be written, cancel says so, and fails.`,
		Args: args(1, 1, "one job"),
		RunE: func(c *cobra.Command, args []string) error {
			return f.visit(c.Context(), t, func(c *client.Client) error {
				m, err := c.Cancel(args[0])
				if err != nil {
					return err
				}
				if wire.Ended(m.State) {
					fmt.Fprintf(t.out, "cancelled %s\n", m.Job)
				} else {
					fmt.Fprintf(t.err, "cancelling %s: it is %s, and %s\n", m.Job, m.State, until(m.State))
				}
				if m.Note != "" { // at once: waiting may end with the coordinator
					return fmt.Errorf("job %s: %s", m.Job, m.Note)
				}
				if wire.Ended(m.State) || !wait {
					return nil
				}
				return awaitEnd(c, t, m.Job)
			})
		},
	}
	c.Flags().BoolVar(&wait, "wait", true, "wait until it has ended")
	f.add(c)
	return c
}

// until says what a job in that state does before it ends.
func until(state string) string {
	if state == wire.JobRunning {
		return "saves first"
	}
	return "ends as soon as it can"
}

// awaitEnd waits until a job that was cancelled has ended, and says how. To end that
// sooner, close the connection.
func awaitEnd(c *client.Client, t terminal, id string) error {
	const often = 200 * time.Millisecond
	for {
		job, err := c.Show(id)
		var no *client.RefusedError
		switch {
		case errors.As(err, &no): // removed meanwhile, or the coordinator stops
			return err
		case err != nil:
			return fmt.Errorf("job %s: will not begin again, but whether it has ended is not known: %w", id, err)
		case job.State == wire.JobCancelled:
			fmt.Fprintf(t.out, "cancelled %s\n", id)
			return nil
		case wire.Ended(job.State):
			fmt.Fprintf(t.out, "%s ended before that: %s\n", id, stateWords(job))
			return nil
		}
		time.Sleep(often)
	}
}
