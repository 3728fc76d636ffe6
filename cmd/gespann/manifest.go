package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gespann/gespann/dist/launch"
	"github.com/gespann/gespann/internal/outfile"
	"github.com/gespann/gespann/model/spec"
)

// manifestFlags are what a manifest is told beside the spec.
type manifestFlags struct {
	to, out            string
	gpus               int
	storage, dataClaim string
}

func newManifest(t terminal) *cobra.Command {
	var f manifestFlags
	c := &cobra.Command{
		Use:   "manifest CONFIG.yaml",
		Short: "Write what has an engine train, without this machine",
		Long: `Manifest writes what an engine takes to train a configuration by itself: driver,
coordinator and workers are all placed by it, and the machine that this is written on may
be switched off.

For Slurm it is a batch script for sbatch. The run directory is named after the job. When
Slurm requeues the job, as after preemption or the loss of a node, it goes on where its
latest checkpoint is. Program, configuration and run directory must be where nodes share
them. --launch slurm:PARTITION chooses a partition.

For Kubernetes, from 1.31, it is YAML for kubectl apply: a Job that drives and coordinates,
an Indexed Job of workers, and what they need: a Secret with certificates made for the
run, the configuration, a claim that the run is saved in, a Service and a NetworkPolicy.
jobset, leaderworkerset and trainjob write the same for these. Data with files is read
from a claim that is there: --data-claim, with paths relative to it.

CONFIG is checked with the flags now. cluster.resources.cpus, gpus, memory_mib and minutes
are what each worker gets.`,
		Example: `  gespann manifest configs/mnist-cnn.yaml --to slurm --workers 8 -o job.sh
  sbatch job.sh
  gespann manifest x.yaml --to slurm --gpu 1 | sbatch
  gespann manifest x.yaml --to kubernetes --workers 8 --image registry.example/gespann:1.0 | kubectl apply -f -
  gespann manifest x.yaml --to jobset --gpu 1 --data-claim datasets --image registry.example/gespann-cuda:1.0`,
		Args: args(1, 1, "one configuration file"),
		RunE: func(c *cobra.Command, args []string) error {
			text, next, err := manifestOf(args[0], c.Flags(), &f)
			if err != nil {
				return err
			}
			if f.out == "" {
				_, err = io.WriteString(t.out, text)
				return err
			}
			if err := outfile.Bytes(f.out, []byte(text)); err != nil {
				return err
			}
			fmt.Fprintf(t.err, "saved  %s\nnext   %s %s\n", f.out, next, shellWord(f.out))
			return nil
		},
	}
	c.Flags().StringVar(&f.to, "to", "", "the `engine`: slurm, kubernetes, jobset, leaderworkerset or trainjob")
	c.Flags().StringVarP(&f.out, "output", "o", "", "`file` to write, in place of the standard output")
	c.Flags().IntVar(&f.gpus, "gpu", 0, "cards of each worker, as cluster.resources.gpus")
	c.Flags().StringVar(&f.storage, "storage", "10Gi", "`size` of the claim that the run is saved in, for Kubernetes")
	c.Flags().StringVar(&f.dataClaim, "data-claim", "", "PersistentVolumeClaim with the files of the data, for Kubernetes")
	spec.AddFlags(c.Flags(), "backend", "epochs", "batch-size", "seed", "name", "runs", "data-dir", "workers", "strategy",
		"launch", "image", "dashboard", "set")
	return c
}

// manifestOf returns what an engine takes, and the command that gives it that.
func manifestOf(config string, flags *pflag.FlagSet, f *manifestFlags) (text, next string, err error) {
	slurm, kube := f.to == "slurm", slices.Contains(launch.ManifestKinds, f.to)
	if !slurm && !kube {
		return "", "", usagef("--to: got %q, want slurm, %s", f.to, strings.Join(launch.ManifestKinds, ", "))
	}
	for _, name := range []string{"image", "storage", "data-claim"} {
		if slurm && flags.Changed(name) {
			return "", "", usagef("--%s: has no effect: it is for Kubernetes", name)
		}
	}
	for _, name := range []string{"launch", "runs", "dashboard"} {
		if kube && flags.Changed(name) {
			return "", "", usagef("--%s: has no effect: in a pod it is as the manifest says", name)
		}
	}
	implied := map[string]string{"backend": kindCluster, "launch": "slurm"}
	if kube {
		implied["launch"] = "kubernetes" // for what resources it takes
	}
	for name, value := range implied {
		if l := flags.Lookup(name); !l.Changed {
			if err := flags.Set(name, value); err != nil {
				return "", "", err
			}
		}
	}
	if flags.Changed("gpu") {
		if err := flags.Set("set", "cluster.resources.gpus="+strconv.Itoa(f.gpus)); err != nil {
			return "", "", err
		}
	}
	if kube {
		s, err := readSpec(config, flags)
		if err != nil {
			return "", "", err
		}
		if err := enough(s); err != nil {
			return "", "", err
		}
		text, err := kubeManifest(s, f)
		return text, "kubectl apply -f", err
	}
	for _, arg := range spec.Arguments(flags) {
		for key, flag := range map[string]string{"train.name": "name", "train.dir": "runs"} {
			if strings.HasPrefix(arg, key+"=") {
				return "", "", usagef("--set %s: use --%s, which the script counts on", key, flag)
			}
		}
	}
	s, err := loadSpec(config, flags)
	if err == nil {
		err = enough(s)
	}
	if err != nil {
		return "", "", err
	}
	// The environment of the one who writes the script is not that of who runs it.
	given := append(spec.EnvironmentArguments(flags, "train.name", "train.dir"), spec.Arguments(flags, "name", "runs")...)
	b, err := batchOf(s, config, given)
	if err != nil {
		return "", "", err
	}
	text, err = b.Script()
	return text, "sbatch", err
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
