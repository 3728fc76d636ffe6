package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/gespann/gespann/dist/launch"
	"github.com/gespann/gespann/internal/outfile"
	"github.com/gespann/gespann/model/spec"
)

func newManifest(t terminal) *cobra.Command {
	var to, out string
	c := &cobra.Command{
		Use:   "manifest CONFIG.yaml",
		Short: "Write what has an engine train, without this machine",
		Long: `Manifest writes what an engine takes to train a configuration by itself: driver,
coordinator and workers are all placed by it, and the machine that this is written on may
be switched off.

For Slurm it is a batch script for sbatch. The run directory is named after the job. When
Slurm requeues the job, as after preemption or the loss of a node, it goes on where its
latest checkpoint is. Program, configuration and run directory must be where nodes share
them.

CONFIG is checked with the flags now. --launch slurm:PARTITION chooses a partition;
cluster.resources.cpus, gpus, memory_mib and minutes are what each worker gets.`,
		Example: `  gespann manifest configs/mnist-cnn.yaml --to slurm --workers 8 -o job.sh
  sbatch job.sh
  gespann manifest x.yaml --to slurm --set cluster.resources.gpus=1 | sbatch`,
		Args: args(1, 1, "one configuration file"),
		RunE: func(c *cobra.Command, args []string) error {
			if to != "slurm" {
				return usagef("--to: got %q, want slurm", to)
			}
			if b := c.Flags().Lookup("backend"); !b.Changed {
				if err := b.Value.Set(kindCluster); err != nil {
					return err
				}
				b.Changed = true
			}
			if l := c.Flags().Lookup("launch"); !l.Changed {
				if err := l.Value.Set(to); err != nil {
					return err
				}
				l.Changed = true
			}
			s, err := loadSpec(args[0], c.Flags())
			if err != nil {
				return err
			}
			b, err := batchOf(s, args[0], spec.Arguments(c.Flags(), "name", "runs"))
			if err != nil {
				return err
			}
			text, err := b.Script()
			if err != nil {
				return err
			}
			if out == "" {
				_, err = io.WriteString(t.out, text)
				return err
			}
			if err := outfile.Bytes(out, []byte(text)); err != nil {
				return err
			}
			fmt.Fprintf(t.err, "saved  %s\nnext   sbatch %s\n", out, shellWord(out))
			return nil
		},
	}
	c.Flags().StringVar(&to, "to", "", "the `engine`: slurm")
	c.Flags().StringVarP(&out, "output", "o", "", "`file` to write, in place of the standard output")
	spec.AddFlags(c.Flags(), "backend", "epochs", "batch-size", "seed", "name", "runs", "data-dir", "workers", "strategy",
		"launch", "dashboard", "set")
	return c
}

// batchOf returns the batch job of a spec, which is in a file and has flags over it.
func batchOf(s *spec.Spec, path string, flags []string) (*launch.Batch, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	config, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	runs, err := filepath.Abs(s.Train.Dir)
	if err != nil {
		return nil, err
	}
	name := s.Train.Name
	if name == "" {
		name = s.RunName()
	}
	return &launch.Batch{
		Name: name, Program: program, Config: config, Runs: runs, Flags: flags,
		Workers: s.Cluster.Workers, Resources: launch.Resources(s.Cluster.Resources), Launch: s.Cluster.Launch,
	}, nil
}
