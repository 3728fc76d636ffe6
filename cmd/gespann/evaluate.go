package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/train"
	"github.com/gespann/gespann/model"
	"github.com/gespann/gespann/model/spec"
)

func newEvaluate(t terminal) *cobra.Command {
	var splitName string
	var other otherData
	c := &cobra.Command{
		Use:   "evaluate RUN",
		Short: "Measure a trained model on data with labels",
		Long: `Evaluate prints loss and metrics of a trained model on the test rows of its data,
and for classes the confusion matrix. RUN is a run directory, or a checkpoint in
one. Rows whose prediction is no number have no class: they count as wrong, are not in
the matrix, and a warning says how many. The rows are those that the run held out: when the data is not what it was, they
are not there, and evaluate says so. --data evaluates all rows of other data.

Flags override GESPANN_* environment variables, which override the run's settings of
where its data is and what to run on; the others belong to the run.`,
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
			s, err := openSaved(t, args[0], c.Flags(), func(r spec.ChangeRule) bool { return r.Evaluate })
			if err != nil {
				return err
			}
			which := split.String() + " rows"
			if other.data != "" {
				if c.Flags().Changed("split") {
					return usagef("--split: with --data, all rows there are evaluated")
				}
				if split, err = other.use(&s.spec.Data); err != nil {
					return err
				}
				if split == data.Train {
					which = "rows" // all of the file
				}
				s.splits = nil
			} else if other.labels != "" {
				return usagef("--labels: only with --data")
			}
			return withSignals(c.Context(), t.err, func(ctx context.Context) error {
				return evaluate(ctx, t, s, split, which)
			})
		},
	}
	c.Flags().StringVar(&splitName, "split", "test", "rows to evaluate: test, validation or training")
	c.Flags().StringVar(&other.data, "data", "", "evaluate this instead: a CSV or NPY file, or the test files of a folder of IDX files")
	c.Flags().StringVar(&other.labels, "labels", "", "NPY file with the targets of --data")
	spec.AddFlags(c.Flags(), "backend", "threads", "batch-size", "data-dir", "set")
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

// otherData is data to evaluate that is not the run's: a new test set.
type otherData struct{ data, labels string }

// use makes d read the other data, whole, and returns the split that it comes as.
func (o *otherData) use(d *spec.Data) (data.Split, error) {
	path, err := filepath.Abs(o.data)
	if err != nil {
		return 0, err
	}
	d.TestSplit, d.ValidationSplit = 0, 0
	if o.labels != "" && d.Source != "npy" {
		return 0, usagef("--labels: the run's data is %s, which has its labels beside the features", d.Source)
	}
	switch d.Source {
	case "csv":
		d.CSV.Path, d.CSV.TestPath = path, ""
		return data.Train, nil
	case "npy":
		if o.labels == "" {
			return 0, usagef("--data: for arrays, --labels names the file of the targets")
		}
		labels, err := filepath.Abs(o.labels)
		d.NPY = spec.NPY{X: path, Y: labels}
		return data.Train, err
	case "mnist", "fashion_mnist", "idx":
		d.Dir = path
		return data.Test, nil
	}
	return 0, usagef("--data: the run's data is the %s of the program", d.Source)
}

// checkRows refuses rows of a split that are not those of the run.
func checkRows(t terminal, s *saved, set *data.Set, split data.Split) error {
	if s.splits == nil {
		return nil // other data
	}
	if !s.splits.Recorded() {
		fmt.Fprintf(t.err, "%s is of an earlier version, which did not record its rows: "+
			"that these are its %v rows cannot be checked\n", s.path, split)
		return nil
	}
	err := set.Splits.Check(s.splits, split)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s: %w", fileOf(s.spec.Data, set, split), err)
	if s.spec.Data.Source == "digits" {
		return err
	}
	return fmt.Errorf("%w\nhint: --data evaluates all rows of other data, as a new test set; %s", err, whereIs(s.spec.Data))
}

// whereIs says how to tell a command where a run's data is.
func whereIs(d spec.Data) string {
	var settings []string
	if (*spec.Spec).Applies(&spec.Spec{Data: d}, "data.root") {
		settings = append(settings, "--set data.root=FOLDER")
	}
	switch d.Source {
	case "csv":
		settings = append(settings, "--set data.csv.path=FILE")
	case "npy":
		settings = append(settings, "--set data.npy.x=FILE and data.npy.y")
	default:
		settings = append(settings, "--data-dir FOLDER")
	}
	return strings.Join(settings, ", or ") + " says where the run's own is now"
}

// evaluate measures a split, and says which rows those were.
func evaluate(ctx context.Context, t terminal, s *saved, split data.Split, which string) error {
	if err := placeHere(ctx, t, s.spec); err != nil {
		return err
	}
	set, err := loadData(ctx, s.spec, s.prep, t)
	if errors.Is(err, fs.ErrNotExist) && s.splits != nil {
		return fmt.Errorf("%w\nhint: %s", err, whereIs(s.spec.Data))
	} else if err != nil {
		return err
	}
	if err := checkRows(t, s, set, split); err != nil {
		return err
	}
	m, err := s.model()
	if err != nil {
		return err
	}
	rows := set.Parts[split].Rows
	if rows == 0 {
		err := fmt.Errorf("there are no %s rows in %s", split, fileOf(s.spec.Data, set, split))
		if s.splits != nil {
			err = fmt.Errorf("%w\nhint: --split training, or validation", err)
		}
		return err
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
	warnOdd(t, stats)
	return nil
}

// warnOdd warns of a loss that is no finite number, and of rows that have no class.
func warnOdd(t terminal, stats backend.Stats) {
	if loss := stats.Loss / float64(stats.Rows); math.IsNaN(loss) || math.IsInf(loss, 0) {
		fmt.Fprintf(t.err, "warning: the loss is %v: predictions of some of %s rows are infinite or no numbers\n",
			loss, grouped(int(stats.Rows)))
	}
	counts := stats.Metrics[model.Confusion]
	if odd := int(stats.Rows) - int(sum(counts)); len(counts) > 0 && odd > 0 {
		fmt.Fprintf(t.err, "warning: predictions of %s of %s rows are no numbers, and no class: "+
			"they count as wrong, and are not in the confusion matrix\n", grouped(odd), grouped(int(stats.Rows)))
	}
}

// fileOf names what a split was read from: the test rows have a file of their own in
// some sources.
func fileOf(d spec.Data, set *data.Set, split data.Split) string {
	d = d.Located()
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
