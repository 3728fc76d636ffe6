package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/train"
	"github.com/gespann/gespann/model/spec"
)

// latestRun is the value of --resume for the run that was started last.
const latestRun = "latest"

func newTrain(t terminal) *cobra.Command {
	var resume, from, log string
	var again bool
	c := &cobra.Command{
		Use:   "train CONFIG.yaml | --resume [RUN] | [CONFIG.yaml] --from RUN",
		Short: "Train a model and save the run",
		Long: `Train trains the model that a YAML file defines, and saves the run in a directory
of its own: the spec, metrics.csv, checkpoints, the trained model and a plot.

Flags override GESPANN_* environment variables, which override the file.

Interrupt a run with Ctrl-C: it finishes the step, saves, and says how to go on.
A resumed run ends with the same bits as one that was never interrupted. What of it
may be changed with --resume, configs/README.md lists; the rest is for a new run,
which may begin with the weights of another: --from.`,
		Example: `  gespann train configs/digits-mlp.yaml
  gespann train configs/mnist-cnn.yaml --epochs 4 --set optimizer.adam.learning_rate=0.002
  gespann train --resume                       # the latest run below runs/
  gespann train --resume runs/digits-mlp --epochs 60
  gespann train --from runs/digits-mlp --set optimizer=sgd`,
		Args: args(0, 1, "one configuration file, or --resume"),
		RunE: func(c *cobra.Command, args []string) error {
			sink, err := newSink(t, log)
			if err != nil {
				return err
			}
			if again && (c.Flags().Changed("from") || c.Flags().Changed("resume")) {
				return usagef("--continue: is for a configuration file, and goes on with the run of its name")
			}
			if c.Flags().Changed("from") {
				if c.Flags().Changed("resume") {
					return usagef("--from: begins a new run, and --resume goes on with one")
				}
				return withSignals(c.Context(), t.err, func(ctx context.Context) error {
					return trainFrom(ctx, t, from, args, c.Flags(), sink)
				})
			}
			if !c.Flags().Changed("resume") {
				if len(args) == 0 {
					return usagef("which configuration? such as gespann train configs/digits-mlp.yaml")
				}
				return withSignals(c.Context(), t.err, func(ctx context.Context) error {
					return trainNew(ctx, t, args[0], again, c.Flags(), sink)
				})
			}
			// "--resume RUN" reads as a flag without value, and an argument.
			if len(args) == 1 && resume == latestRun {
				resume = args[0]
			} else if len(args) == 1 {
				return usagef("got %s besides --resume: a run goes on with the spec in its directory", args[0])
			}
			return withSignals(c.Context(), t.err, func(ctx context.Context) error {
				return trainOn(ctx, t, resume, c.Flags(), sink)
			})
		},
	}
	c.Flags().StringVar(&resume, "resume", "", "continue the run in directory `RUN`")
	c.Flags().Lookup("resume").NoOptDefVal = latestRun
	c.Flags().StringVar(&from, "from", "", "begin a new run with the weights of `RUN`, or of a checkpoint")
	c.Flags().BoolVar(&again, "continue", false, "go on with the run of that train.name if it has begun, or else begin it: for engines that start a process again")
	c.Flags().StringVar(&log, "log", "auto", "how to show progress: auto, plain or json")
	addLogFormat(c)
	spec.AddFlags(c.Flags())
	return c
}

// trainNew starts a run, or goes on with it where that is asked for.
func trainNew(ctx context.Context, t terminal, path string, again bool, flags *pflag.FlagSet, sink sink) error {
	s, err := loadSpec(path, flags)
	if err != nil {
		return err
	}
	if done, err := beside(ctx, t, &s.Cluster); done {
		return err
	}
	if !again {
		return start(ctx, t, s, nil, sink)
	}
	if s.Train.Name == "" {
		return usagef("--continue: which run? train.name or --name says it")
	}
	dir, err := whenFree(ctx, t, filepath.Join(s.Train.Dir, s.Train.Name))
	if errors.Is(err, train.ErrNoRun) || errors.Is(err, fs.ErrNotExist) {
		return start(ctx, t, s, nil, sink)
	} else if err != nil {
		return err
	}
	defer dir.Close()
	fmt.Fprintf(t.err, "going on with %s\n", dir.Path)
	return goOn(ctx, t, s, dir, sink)
}

// whenFree opens a run that may be another process's until that has ended: an engine that
// has lost sight of a node starts the process again while the first one trains on.
func whenFree(ctx context.Context, t terminal, path string) (*train.Dir, error) {
	for said := false; ; said = true {
		dir, err := train.Open(path)
		if !errors.Is(err, train.ErrInUse) {
			return dir, err
		}
		if !said {
			fmt.Fprintf(t.err, "%v; going on when that has ended\n", err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// start starts the run of a spec, with the weights of another, if there is one.
func start(ctx context.Context, t terminal, s *spec.Spec, from *ancestor, sink sink) error {
	if err := place(ctx, t, s); err != nil {
		return err
	}
	workers, stop, err := gather(ctx, t, s)
	if err != nil {
		return err
	}
	defer stop()
	o := train.Options{Spec: s, Backend: workers}
	create := train.Create
	if from == nil {
		o.Data, o.Model, err = load(ctx, s, nil, t)
	} else {
		o.Data, o.Model, err = from.load(ctx, s, t)
		o.Weights, o.From = from.state, from.origin
		create = func(s *spec.Spec, set *data.Set) (*train.Dir, error) {
			return train.CreateAs(s, set, from.name, o.From)
		}
	}
	if err != nil {
		return err
	}
	if o.Dir, err = create(s, o.Data); err != nil {
		return err
	}
	defer o.Dir.Close()
	return run(ctx, t, o, sink)
}

// trainOn continues a run.
func trainOn(ctx context.Context, t terminal, path string, flags *pflag.FlagSet, sink sink) error {
	if flags.Changed("name") || flags.Changed("runs") && path != latestRun {
		return usagef("--name and --runs: a run that is resumed keeps its directory")
	}
	if path == latestRun {
		var err error
		if path, err = latest(runsDir(flags)); err != nil {
			return err
		}
	}
	seen, err := train.View(path)
	if err != nil {
		return err
	}
	was, err := seen.Spec(spec.Options{})
	if err != nil {
		return err
	}
	s, err := seen.Spec(spec.Options{Flags: flags, Env: true, Unheeded: func(key string) bool {
		when := spec.ChangeOf(key).When
		return when == spec.Never || when == spec.Place || !was.Applies(key)
	}})
	if err != nil {
		return err
	}
	noteUnheeded(t, s)
	if done, err := beside(ctx, t, &s.Cluster); done {
		return err
	}
	dir, err := train.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return goOn(ctx, t, s, dir, sink)
}

// goOn continues the run in a directory, with what may be changed in it as s says.
func goOn(ctx context.Context, t terminal, s *spec.Spec, dir *train.Dir, sink sink) error {
	if err := dir.CheckChanges(s); err != nil {
		return err
	}
	if err := place(ctx, t, s); err != nil {
		return err
	}
	workers, stop, err := gather(ctx, t, s)
	if err != nil {
		return err
	}
	defer stop()
	prep, err := dir.Prep()
	if err != nil {
		return err
	}
	set, m, err := load(ctx, s, prep, t)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w\nhint: %s", err, whereIs(s.Data))
	} else if err != nil {
		return err
	}
	return run(ctx, t, train.Options{Spec: s, Model: m, Data: set, Dir: dir, Backend: workers}, sink)
}

// run trains, and says how it ended.
func run(ctx context.Context, t terminal, o train.Options, sink sink) error {
	o.Version = moduleVersion()
	o.Events = sink.event
	_, err := train.Run(ctx, o)
	sink.close()
	if plotErr := o.Dir.Plot(); err == nil {
		err = plotErr
	}
	var interrupted *train.InterruptedError
	if errors.As(err, &interrupted) {
		fmt.Fprintf(t.err, "%v\nto continue: %s train --resume %s\n", err, self(), shellWord(o.Dir.Path))
		return ctx.Err()
	}
	return err
}

// runsDir returns the folder of run directories.
func runsDir(flags *pflag.FlagSet) string {
	if f := flags.Lookup("runs"); f != nil && f.Changed {
		return f.Value.String()
	}
	if dir := os.Getenv("GESPANN_TRAIN_DIR"); dir != "" {
		return dir
	}
	return "runs"
}

// latest returns the run directory below dir that was started last.
func latest(dir string) (string, error) {
	path, err := train.LatestRun(dir)
	if err == nil && path == "" {
		err = usagef("no run below %s to resume", filepath.Clean(dir))
	}
	return path, err
}

// stopHint says how to go on after a run that stopped.
func stopHint(e *train.StoppedError) string {
	again := self() + " train --resume " + shellWord(e.Dir)
	var nan *backend.NotFiniteError
	var weights *train.BadWeightsError
	first := errors.As(e, &nan) && nan.Step <= 1
	if first || (nan != nil || errors.As(e, &weights)) && e.Rate == 0 {
		why := "the weights are still the initial ones"
		if !first {
			why = "the learning rate is 0"
		}
		return why + ", so that they or the data are the cause: data.normalize makes the numbers of the data small, " +
			"and an initializer such as glorot_uniform those of a layer"
	}
	if nan != nil || errors.As(e, &weights) {
		return fmt.Sprintf("try a lower learning rate: %s --set %s=%.3g", again, e.RateKey, e.Rate/10)
	}
	return "to continue: " + again
}
