package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/gespann/gespann/dist/server/client"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/plain"
	"github.com/gespann/gespann/model/spec"
)

func newSubmit(t terminal) *cobra.Command {
	var upload bool
	c := &cobra.Command{
		Use:   "submit CONFIG.yaml",
		Short: "Give a training to a coordinator",
		Long: `Submit queues a training at a coordinator, whose workers train it when it is its
turn, and prints the job's ID. Nothing needs to stay connected: gespann jobs, logs,
cancel and fetch ask for it later, from anywhere.

The coordinator reads the data: paths in the file and in flags are paths there, relative
ones in the folder that it was started in. Submit says which files and how many rows
they have; the job reads those also when the coordinator is started again elsewhere.
With --upload, the files of the data go along: then paths are those of this machine,
relative ones in the file's folder, as for train.

The coordinator looks at file, data and model before it takes the job. One that wants more workers (--workers) than
are connected waits for them, and lets others pass.`,
		Example: `  gespann submit configs/mnist-cnn.yaml --coordinator trainer:7077
  gespann submit configs/mnist-mlp.yaml --strategy adag --epochs 4
  gespann submit table.yaml --upload            # with its CSV files`,
		Args: args(1, 1, "one configuration file"),
		RunE: func(c *cobra.Command, args []string) error {
			if b := c.Flags().Lookup("backend"); !b.Changed {
				if err := b.Value.Set(kindCluster); err != nil {
					return err
				}
				b.Changed = true
			}
			s, err := readSpec(args[0], c.Flags())
			if err != nil {
				return err
			}
			if s.Backend.Kind != kindCluster {
				return usagef("--backend: got %s, but a coordinator trains on its cluster", s.Backend.Kind)
			}
			return submit(c.Context(), t, s, upload)
		},
	}
	c.Flags().BoolVar(&upload, "upload", false, "send the files of the data along")
	spec.AddFlags(c.Flags(), "backend", "epochs", "batch-size", "seed", "data-dir", "workers", "strategy",
		"coordinator", "certs", "insecure", "set")
	return c
}

// submit queues the job of a spec, with the files of its data or without.
func submit(ctx context.Context, t terminal, s *spec.Spec, upload bool) error {
	f := clientFlags{
		coordinator: cmp.Or(s.Cluster.Coordinator, defaultCoordinator),
		trust:       trustFlags{certs: s.Cluster.Certs, insecure: s.Cluster.Insecure},
	}
	var files []client.File
	if upload {
		var err error
		if files, err = takeAlong(s); err != nil {
			return err
		}
	}
	text, err := s.Marshal()
	if err != nil {
		return err
	}
	name := cmp.Or(s.Train.Name, s.RunName())
	return f.visit(ctx, t, func(c *client.Client) error {
		m, err := c.SubmitWith(name, text, originOf(s), files, sentWords(t, files))
		if err != nil {
			return err
		}
		fmt.Fprintf(t.out, "%s\n", m.Job)
		fmt.Fprintf(t.err, "queued at place %d\n", m.Position)
		if m.Data != "" {
			fmt.Fprintf(t.err, "data   %s\n", m.Data)
		}
		if m.Note != "" {
			fmt.Fprintf(t.err, "%s\nhint: gespann worker --coordinator %s adds one, and --workers asks for fewer\n",
				m.Note, shellWord(f.coordinator))
		}
		fmt.Fprintf(t.err, "next   %s logs -f %s%s\n", self(), shellWord(m.Job), f.words())
		return nil
	})
}

// after says how a job stands that has not run, and how to get one that has ended.
func (f *clientFlags) after(j *wire.JobStatus) string {
	switch {
	case j.State == wire.JobDone && j.Submitted:
		return fmt.Sprintf("next   %s fetch %s%s\n", self(), shellWord(j.ID), f.words())
	case wire.Ended(j.State) || j.State == wire.JobRunning:
		return ""
	}
	return fmt.Sprintf("job %s is %s\n", j.ID, stateWords(j))
}

// words are the flags that find the same coordinator, for commands to copy.
func (f *clientFlags) words() string {
	words := ""
	if f.coordinator != coordinatorFromEnv() {
		words += " --coordinator " + shellWord(f.coordinator)
	}
	if f.trust.certs != "" {
		words += " --certs " + shellWord(f.trust.certs)
	}
	if f.trust.insecure {
		words += " --insecure"
	}
	return words
}

func newJobs(t terminal) *cobra.Command {
	var f clientFlags
	var keep int
	c := &cobra.Command{
		Use:   "jobs",
		Short: "List the jobs of a coordinator",
		Long: `Jobs lists what a coordinator trains, what waits for its turn, and what has ended.
With --prune, it first removes the oldest jobs that have ended, with their runs: all of
them, or with a certificate without the role admin, its own.`,
		Example: `  gespann jobs
  gespann jobs --prune 20                       # keep 20 that have ended`,
		Args: args(0, 0, "none"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("prune") && keep < 0 {
				return usagef("--prune: got %d, want 0 or more", keep)
			}
			return f.visit(cmd.Context(), t, func(c *client.Client) error {
				if cmd.Flags().Changed("prune") {
					gone, err := c.Prune(keep)
					if err != nil {
						return err
					}
					for _, id := range gone {
						fmt.Fprintf(t.err, "removed %s\n", id)
					}
				}
				jobs, err := c.List()
				if err != nil {
					return err
				}
				if err := listJobs(t, jobs); err != nil {
					return err
				}
				for _, j := range jobs { // the latest first
					if j.Submitted && j.State == wire.JobDone {
						fmt.Fprint(t.err, f.after(&j))
						break
					}
				}
				return nil
			})
		},
	}
	c.Flags().IntVar(&keep, "prune", 0, "remove jobs that have ended, except for the latest `N`")
	f.add(c)
	return c
}

// listJobs prints one line per job, with owners where there are several.
func listJobs(t terminal, jobs []wire.JobStatus) error {
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	owned := slices.ContainsFunc(jobs, func(j wire.JobStatus) bool { return j.Owner != jobs[0].Owner })
	head := "job"
	if owned {
		head += "\towner"
	}
	fmt.Fprintln(w, head+"\tstate\tepoch\tprogress\tworkers\tspeed\t")
	for _, j := range jobs {
		epoch, rate := "-", "-"
		if j.Epochs > 0 && j.Epoch > 0 {
			epoch = count(j.Epoch, j.Epochs)
		}
		if j.RowsPerSecond > 0 {
			rate = speed(j.RowsPerSecond)
		}
		state := j.State
		if j.Position > 0 {
			state = fmt.Sprintf("%s (%d)", state, j.Position)
		}
		job := j.ID
		if owned {
			job += "\t" + plain.Line(cmp.Or(j.Owner, "-"))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%.0f %%\t%d\t%s\t%s\n", job, state, epoch, 100*j.Progress, j.Workers, rate,
			plain.Line(strings.ReplaceAll(j.Reason, "\n", "; ")))
	}
	return w.Flush()
}

func newLogs(t terminal) *cobra.Command {
	var f clientFlags
	var follow bool
	c := &cobra.Command{
		Use:   "logs JOB",
		Short: "Show what a job has told",
		Long:  "Logs prints the log of a submitted job. JOB is its ID, or how that begins.",
		Example: `  gespann logs mnist-cnn
  gespann logs -f mnist-cnn-3f9a                # until the job has ended`,
		Args: args(1, 1, "one job"),
		RunE: func(c *cobra.Command, args []string) error {
			return f.visit(c.Context(), t, func(c *client.Client) error {
				if err := c.Logs(args[0], follow, t.out); err != nil {
					return err
				}
				job, err := c.Show(args[0])
				if err != nil {
					return err
				}
				fmt.Fprint(t.err, f.after(job))
				return nil
			})
		},
	}
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the job has ended")
	f.add(c)
	return c
}
