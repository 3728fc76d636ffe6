package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gespann/gespann/backend/cluster"
	"github.com/gespann/gespann/backend/cuda"
	"github.com/gespann/gespann/dist/launch"
	"github.com/gespann/gespann/dist/rpc"
	"github.com/gespann/gespann/dist/rpc/certs"
	"github.com/gespann/gespann/model/spec"
)

// countWorkers takes the number of workers from where they are to be launched, unless
// it is set.
func countWorkers(s *spec.Spec) error {
	c := &s.Cluster
	if c.Launch == "" {
		return nil
	}
	if !s.Given("cluster.workers") {
		l, err := launch.For(c.Launch)
		if err != nil {
			return err
		}
		c.Workers = cmp.Or(l.Workers(), c.Workers)
	}
	return enough(s)
}

// enough checks that a run may begin with as many workers as it will have.
func enough(s *spec.Spec) error {
	c := &s.Cluster
	if c.MinWorkers > c.Workers {
		return fmt.Errorf("cluster.min_workers: got %d, want at most as many as %s is asked for, %d\n"+
			"hint: cluster.workers says how many", c.MinWorkers, c.Launch, c.Workers)
	}
	return nil
}

// elsewhere has the workers of a run started by a launcher.
func elsewhere(name string, c *spec.Cluster, o *cluster.LocalOptions, format string) (err error) {
	if o.Launcher, err = launch.For(c.Launch); err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("launch: %w", err)
	}
	if c.Resources.GPUs > 0 && strings.HasPrefix(c.Launch, "spark:") && !cuda.Built { // Spark gets one file
		if program, err = findCompanion(); err != nil {
			return err
		}
	}
	o.Listen = c.Listen
	if c.Launch == launch.Beside {
		o.Listen = cmp.Or(c.Listen, besideAddress)
		trust, err := trustFor(o.Listen, c.Certs, c.Insecure)
		if err == nil {
			err = trust.Coordinates()
		}
		if err != nil {
			return err
		}
		o.Trust = &trust
	}
	image := ""
	if kind, _, _ := strings.Cut(c.Launch, ":"); kind == "kubernetes" {
		if image, err = imageOf(c.Image, c.Resources.GPUs); err != nil {
			return err
		}
	}
	o.Team = launch.Team{
		Name: name, Image: image, Program: program, Resources: launch.Resources(c.Resources),
		Args: func(i int) []string {
			kind := kindCPU
			if c.Resources.GPUs > 0 {
				kind = kindGPU
			}
			return []string{"worker", "--child", "--invited", "--backend", kind,
				"--threads", strconv.Itoa(c.Resources.CPUs), "--name", childName(i), "--log-format", format}
		},
	}
	return nil
}

// besideAddress is where workers that come by themselves find the coordinator, unless
// cluster.listen says another.
const besideAddress = ":7077"

// beside trains as a worker when an engine has started this process beside the one that
// drives, and reports whether it did.
func beside(ctx context.Context, t terminal, c *spec.Cluster) (bool, error) {
	if c.Launch != launch.Beside {
		return false, nil
	}
	p, err := launch.Find(os.LookupEnv)
	if err != nil || p == nil || p.Rank == 0 {
		return err != nil, err
	}
	at := os.Getenv("GESPANN_CLUSTER_COORDINATOR")
	if at == "" && p.First == "" {
		return true, fmt.Errorf("launch: %s says that this is rank %d, but not where rank 0 is\n"+
			"hint: gespann worker --once --coordinator HOST:PORT in its place", p.Engine, p.Rank)
	}
	if at == "" {
		_, port, err := net.SplitHostPort(cmp.Or(c.Listen, besideAddress))
		if err != nil {
			return true, err
		}
		at = net.JoinHostPort(p.First, port)
	}
	f := workerFlags{
		coordinator: at, backend: kindCPU, threads: c.Resources.CPUs, place: p, once: true, patience: besidePatience,
		trust: trustFlags{certs: c.Certs, insecure: c.Insecure},
	}
	if c.Resources.GPUs > 0 {
		f.backend, f.device = kindGPU, p.Device(os.LookupEnv("CUDA_VISIBLE_DEVICES"))
	}
	leave := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { close(leave) })
	defer stop()
	if err := work(context.WithoutCancel(ctx), t, f, leave); err != nil {
		return true, err
	}
	return true, ctx.Err()
}

// besidePatience is how long the process that drives may be away, as while an engine
// starts it again.
const besidePatience = 10 * time.Minute

// accept reads an invitation from standard input, and has the worker follow it.
func (f *workerFlags) accept(t *terminal) error {
	in := bufio.NewReader(t.in)
	t.in = in
	v, err := launch.ReadInvitation(in)
	if err != nil {
		return err
	}
	c, err := certs.Unpack(v.Files)
	f.coordinator, f.invitation = v.Coordinator, &rpc.Trust{Certs: c}
	return err
}

// trustOf returns whom the worker trusts: those that have invited it, or as flags say.
func (f *workerFlags) trustOf() (rpc.Trust, error) {
	if f.invitation != nil {
		return *f.invitation, nil
	}
	return f.trust.load(f.coordinator)
}
