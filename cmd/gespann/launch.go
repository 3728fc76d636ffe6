package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/cluster"
	"github.com/gespann/gespann/dist/launch"
	"github.com/gespann/gespann/dist/rpc"
	"github.com/gespann/gespann/dist/rpc/certs"
	"github.com/gespann/gespann/model/spec"
)

// countWorkers takes the number of workers from where they are to be launched, unless
// it is set.
func countWorkers(s *spec.Spec) error {
	if s.Cluster.Launch == "" || s.Given("cluster.workers") {
		return nil
	}
	l, err := launch.For(s.Cluster.Launch)
	if err == nil && l.Workers() > 0 {
		s.Cluster.Workers = l.Workers()
	}
	return err
}

// elsewhere has the workers of a cluster started by a launcher.
func elsewhere(c *backend.Cluster, o *cluster.LocalOptions, format string) (err error) {
	if o.Launcher, err = launch.For(c.Launch); err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("launch: %w", err)
	}
	o.Listen = c.Listen
	o.Team = launch.Team{
		Name: c.Name, Program: program, Resources: launch.Resources(c.Resources),
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
