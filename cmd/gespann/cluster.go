package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/cluster"
	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/rpc"
	"github.com/gespann/gespann/dist/rpc/certs"
	"github.com/gespann/gespann/model/spec"
)

// defaultCoordinator is where commands look for a coordinator that is not named.
const defaultCoordinator = "localhost:7077"

func init() {
	backend.Register(kindCluster, cluster.New(cluster.Options{})) // a name; a run has its own
}

// newCluster returns the backend of the workers of a run.
func newCluster(t terminal, s *spec.Spec) *cluster.Backend {
	say := func(format string, args ...any) { fmt.Fprintf(t.err, format+"\n", args...) }
	o := cluster.Options{Log: say, Probe: s.Cluster.Probe}
	if s.Cluster.Coordinator != "" {
		o.Dial = func(ctx context.Context) (dist.Conn, error) { return dialDriver(ctx, &s.Cluster) }
	} else {
		o.Start = func(ctx context.Context, threads int) (cluster.Local, error) { return t.host(ctx, s, threads, say) }
	}
	return cluster.New(o)
}

// host starts a coordinator in this process, and workers here or where cluster.launch says.
func (t terminal) host(ctx context.Context, s *spec.Spec, threads int, say func(string, ...any)) (cluster.Local, error) {
	c := &s.Cluster
	page, err := pageOf(c.Dashboard, say)
	if err != nil {
		return nil, err
	}
	o := cluster.LocalOptions{
		Workers: c.Workers, Threads: threads, Command: t.childCommand,
		Page: page, Version: moduleVersion(), Say: say,
	}
	if t.jsonFormat() {
		o.Log = newLog(t.err).With("part", "coordinator")
		o.Words = func(i int) io.Writer { return t.words(childName(i)) }
	}
	if c.Launch != "" {
		if err := elsewhere(cmp.Or(s.Train.Name, s.RunName()), c, &o, t.format()); err != nil {
			return nil, err
		}
	}
	return cluster.StartLocal(ctx, o)
}

// dialDriver connects a driver to a coordinator elsewhere.
func dialDriver(ctx context.Context, c *spec.Cluster) (dist.Conn, error) {
	trust, err := trustFor(c.Coordinator, c.Certs, c.Insecure)
	if err != nil {
		return nil, err
	}
	conn, err := rpc.Dial(ctx, c.Coordinator, rpc.Driver, trust)
	if err != nil {
		return nil, notThere(err)
	}
	return conn, nil
}

// childName is the name of the worker i of a run.
func childName(i int) string { return fmt.Sprintf("worker-%d", i+1) }

// childCommand returns the command of a worker that belongs to this process.
func (t terminal) childCommand(i int, address string, threads int) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	cmd := exec.Command(self, "worker", "--child", "--coordinator", address, "--backend", kindCPU,
		"--threads", strconv.Itoa(threads), "--name", childName(i), "--log-format", t.format())
	// One more for messages, so that they need not wait for the arithmetic.
	cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(threads+1))
	return cmd
}

// gather starts the workers of a run on this machine, so that they come up while
// the data is read. It returns nil for runs on other backends. The caller ends with
// stop.
func gather(ctx context.Context, t terminal, s *spec.Spec) (_ backend.Backend, stop func(), err error) {
	if usedKind(s) != kindCluster {
		return nil, func() {}, nil
	}
	if err := countWorkers(s); err != nil {
		return nil, nil, err
	}
	b := newCluster(t, s)
	if err := b.Start(ctx, s.Backend.Threads); err != nil {
		return nil, nil, err
	}
	return b, func() {
		if err := b.Discard(); err != nil {
			fmt.Fprintln(t.err, err)
		}
	}, nil
}

// trustFor returns whom a process trusts that talks to an address. Certificates in
// the default folder are used when they are there.
func trustFor(address, folder string, insecure bool) (rpc.Trust, error) {
	if insecure || strings.HasPrefix(address, "unix:") {
		return rpc.Trust{Insecure: insecure}, nil
	}
	given := folder != ""
	if !given {
		var err error
		if folder, err = certsFolder(); err != nil {
			return rpc.Trust{}, nil // and so there are none
		}
	}
	c, err := certs.Load(folder)
	if !given && errors.Is(err, fs.ErrNotExist) {
		return rpc.Trust{}, nil
	}
	return rpc.Trust{Certs: c}, err
}

// certsFolder returns where certificates are when nothing else is said.
func certsFolder() (string, error) {
	dir, err := os.UserConfigDir()
	return filepath.Join(dir, "gespann", "certs"), err
}
