package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/train"
	"github.com/gespann/gespann/model"
	"github.com/gespann/gespann/model/spec"
)

func newEvaluate(t terminal) *cobra.Command {
	var splitName, file string
	c := &cobra.Command{
		Use:   "evaluate RUN",
		Short: "Measure a trained model on data with labels",
		Long: `Evaluate prints loss and metrics of a trained model on the test rows of its data,
and for classes the confusion matrix. RUN is a run directory, or a checkpoint in
one.

Flags override GESPANN_* environment variables, which override the run's settings.`,
		Example: `  gespann evaluate runs/digits-mlp
  gespann evaluate runs/digits-mlp --split validation
  gespann evaluate runs/digits-mlp/checkpoints/best.safetensors
  gespann evaluate runs/wine --data new.csv`,
		Args: args(1, 1, "one run directory or checkpoint"),
		RunE: func(c *cobra.Command, args []string) error {
			split, err := parseSplit(splitName)
			if err != nil {
				return err
			}
			s, err := openSaved(args[0], spec.Options{Flags: c.Flags(), Env: true})
			if err != nil {
				return err
			}
			which := split.String() + " rows"
			if file != "" {
				if c.Flags().Changed("split") && s.spec.Data.Source == "csv" {
					return usagef("--split: with --data, all rows of the file are evaluated")
				}
				if split, err = useFile(&s.spec.Data, file, split); err != nil {
					return err
				}
				if s.spec.Data.Source == "csv" {
					which = "rows" // all of the file
				}
			}
			return withSignals(c.Context(), t.err, func(ctx context.Context) error {
				return evaluate(ctx, t, s, split, which)
			})
		},
	}
	c.Flags().StringVar(&splitName, "split", "test", "rows to evaluate: test, validation or training")
	c.Flags().StringVar(&file, "data", "", "evaluate this CSV file, or folder of IDX files, instead")
	spec.AddFlags(c.Flags(), "backend", "threads", "batch-size", "set")
	return c
}

func parseSplit(name string) (data.Split, error) {
	for _, s := range []data.Split{data.Train, data.Validation, data.Test} {
		if name == s.String() || name == "train" && s == data.Train {
			return s, nil
		}
	}
	return 0, usagef("--split: got %q, want test, validation or training", name)
}

// useFile makes d read a file or folder instead, and returns the split to use.
func useFile(d *spec.Data, file string, split data.Split) (data.Split, error) {
	switch d.Source {
	case "csv":
		d.CSV.Path, d.CSV.TestPath = file, ""
		d.TestSplit, d.ValidationSplit = 0, 0
		return data.Train, nil
	case "mnist", "fashion_mnist", "idx":
		d.Dir = file
		return split, nil
	}
	return 0, usagef("--data: for source %s, use --set, such as --set data.npy.test_x=x.npy", d.Source)
}

// evaluate measures a split, and says which rows those were.
func evaluate(ctx context.Context, t terminal, s *saved, split data.Split, which string) error {
	if err := placeHere(ctx, t, s.spec); err != nil {
		return err
	}
	set, err := loadData(ctx, s.spec, s.prep, t)
	if err != nil {
		return err
	}
	m, err := s.model()
	if err != nil {
		return err
	}
	rows := set.Parts[split].Rows
	if rows == 0 {
		return fmt.Errorf("there are no %s rows in %s\nhint: --split training, or validation", split, fileOf(s.spec.Data, set, split))
	}
	// Without training rows the session makes no programs to train with.
	session, err := s.session(ctx, m, set.AsTest(split))
	if err != nil {
		return err
	}
	defer session.Close()
	stats, err := session.Evaluate(ctx, data.Test)
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, "%s on %s %s of %s\n", s.path, grouped(rows), which, fileOf(s.spec.Data, set, split))
	values := train.Values(stats, m.Metrics())
	width := 0
	for _, v := range values {
		width = max(width, len(v.Name))
	}
	for _, v := range values {
		fmt.Fprintf(t.out, "  %-*s  %s\n", width, v.Name, decimal(v.Value))
	}
	if counts := stats.Metrics[model.Confusion]; len(counts) > 0 {
		fmt.Fprint(t.out, "\n"+confusion(counts, classNames(s.prep, counts)))
	}
	return nil
}

// fileOf names what a split was read from: the test rows have a file of their own in
// some sources.
func fileOf(d spec.Data, set *data.Set, split data.Split) string {
	switch {
	case split != data.Test:
	case d.Source == "csv" && d.CSV.TestPath != "":
		return d.CSV.TestPath
	case d.Source == "npy" && d.NPY.TestX != "":
		return d.NPY.TestX
	}
	return set.Source
}

// classNames returns the names of the classes of a confusion matrix.
func classNames(p *data.Prep, counts []float64) []string {
	n := 0
	for n*n < len(counts) {
		n++
	}
	if len(p.Labels) == n {
		return p.Labels
	}
	return numbers(n)
}
