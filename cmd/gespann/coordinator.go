package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/spf13/cobra"

	"github.com/gespann/gespann/dist/rpc"
	"github.com/gespann/gespann/dist/server"
	"github.com/gespann/gespann/internal/infile"
	"github.com/gespann/gespann/internal/memlimit"
)

// defaultDashboard is where a coordinator shows its page when nothing is said: to this
// machine, as it is not secret, but not TLS either.
const defaultDashboard = "localhost:8080"

// coordinatorFlags are what a coordinator is told.
type coordinatorFlags struct {
	listen, dashboard, state string
	roots                    []string
	maxUpload                int64 // MiB
	wantsPage                bool  // or do without, where its address is taken
	trust                    trustFlags
}

func newCoordinator(t terminal) *cobra.Command {
	var f coordinatorFlags
	c := &cobra.Command{
		Use:   "coordinator",
		Short: "Bring workers and jobs together",
		Long: `Coordinator waits for workers and for what they are to train: from gespann train
--backend=cluster --coordinator HOST:7077, or from gespann submit. Jobs run one
after the other, each on all workers; one that wants more workers than there are
waits for them, and lets others pass.

Submitted jobs, their runs and their history are in the folder of --state; killed
and started again, the coordinator goes on where it was.

On loopback and unix sockets it is for the account that it runs under. For others, and
off this machine, it wants the certificates that gespann certs makes, which say who may
do what; or --insecure: then whoever reaches it may do everything.

It reads the data of a submitted job. For its own account that may be any file; for
others, files below the folders of --data-root: without it, none.`,
		Example: `  gespann coordinator --listen localhost:7077
  gespann certs && gespann coordinator --data-root /srv/data
  gespann coordinator --insecure --state /data/gespann`,
		Args: args(0, 0, "none"),
		RunE: func(c *cobra.Command, _ []string) error {
			f.wantsPage = c.Flags().Changed("dashboard")
			return withSignals(c.Context(), t.err, func(ctx context.Context) error { return coordinate(ctx, t, f) })
		},
	}
	c.Flags().StringVar(&f.listen, "listen", ":7077", "address for workers and drivers, host:port or unix:/path")
	c.Flags().StringVar(&f.dashboard, "dashboard", defaultDashboard, "address of the page: :8080 shows it to other machines, none to nobody")
	c.Flags().StringVar(&f.state, "state", "gespann-state", "`folder` for submitted jobs, their runs and their history")
	c.Flags().StringArrayVar(&f.roots, "data-root", nil, "`folder` that jobs of other accounts may read files in; once for each")
	c.Flags().Int64Var(&f.maxUpload, "max-upload", 1024, "`MiB` of data that submit --upload may send with a job; 0 for none")
	f.trust.add(c)
	addLogFormat(c)
	return c
}

// coordinate serves until ctx ends.
func coordinate(ctx context.Context, t terminal, f coordinatorFlags) (err error) {
	say := func(format string, args ...any) { fmt.Fprintf(t.err, format+"\n", args...) }
	log := newLog(t.err)
	roots, err := dataRoots(ctx, f.roots)
	if err != nil {
		return err
	}
	trust, err := f.trust.load(f.listen)
	if err == nil {
		err = trust.Coordinates()
	}
	if err != nil {
		return err
	}
	memory := memlimit.NewBudget(0)
	memlimit.Collect()
	port, err := rpc.Listen(rpc.Options{Listen: f.listen, Trust: trust, Memory: memory, Log: log})
	if err != nil {
		return err
	}
	page, err := f.page(joinAt(f.listen, port.Addr()), say)
	if err != nil {
		return errors.Join(err, port.Close())
	}
	jobs := newKeeper(roots, memory, log)
	s, err := server.New(server.Options{
		State: f.state, Memory: memory, MaxUpload: uploadBytes(f.maxUpload), Version: moduleVersion(), Log: log,
		Check: jobs.check, RunJob: jobs.run,
	})
	if err != nil {
		return errors.Join(err, port.Close())
	}
	say("coordinator at %s, jobs in %s", port.Addr(), f.state)
	return serveJobs(ctx, s, port, page)
}

// dataRoots returns the folders of --data-root.
func dataRoots(ctx context.Context, folders []string) ([]string, error) {
	roots, err := infile.Files{Patience: dataPatience}.Absolute(ctx, folders)
	if err != nil {
		return nil, usagef("--data-root: %v", err)
	}
	return roots, nil
}

// joinAt returns where workers reach a coordinator that was told to listen at an
// address, and listens at another when the port was the system's choice.
func joinAt(told, at string) string {
	host, port, err := net.SplitHostPort(told)
	_, chosen, also := net.SplitHostPort(at)
	if err != nil || also != nil || port != "0" {
		return told
	}
	return net.JoinHostPort(host, chosen)
}

// page returns what shows the page; nil: nothing does.
func (f *coordinatorFlags) page(join string, say func(format string, args ...any)) (func(context.Context, *server.Server) error, error) {
	if f.dashboard == "none" {
		return nil, nil
	}
	show, err := pageFor(f.dashboard, join, say)
	if err != nil {
		return nil, err
	}
	const none = "--dashboard none for no page"
	return func(ctx context.Context, s *server.Server) error {
		err := show(ctx, s)
		if err == nil || f.wantsPage {
			return hintOtherPage(err, none)
		}
		say("%v", hintOtherPage(fmt.Errorf("%w; going on without a page", err), none))
		return nil
	}, nil
}

// serveJobs lets workers, drivers and clients in until ctx ends.
func serveJobs(
	outer context.Context, s *server.Server, port *rpc.Server, page func(context.Context, *server.Server) error,
) error {
	ctx, cancel := context.WithCancelCause(outer)
	defer cancel(nil)
	var all sync.WaitGroup
	if page != nil {
		all.Go(func() {
			if err := page(ctx, s); err != nil {
				cancel(err)
			}
		})
	}
	// Connections outlive ctx: a job that is interrupted saves with the help of
	// workers.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	all.Go(func() {
		cancel(port.Serve(serving, rpc.Handler{Worker: s.Worker, Driver: s.Driver, Client: s.Client}))
	})
	<-ctx.Done()
	err := s.Close()
	stop()
	all.Wait()
	if outer.Err() != nil {
		return outer.Err()
	}
	return errors.Join(context.Cause(ctx), err)
}
