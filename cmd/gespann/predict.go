package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/data/source"
	"github.com/gespann/gespann/internal/outfile"
	"github.com/gespann/gespann/model/spec"
)

func newPredict(t terminal) *cobra.Command {
	var format, output string
	c := &cobra.Command{
		Use:   "predict RUN [FILE]",
		Short: "Apply a trained model to new rows",
		Long: `Predict applies a trained model to rows from a file or from the standard input:
CSV with the columns of the training (the label may be missing), JSON lines, NPY,
NPZ (as file.npz:name) or IDX. They are normalised as the training rows were.

It writes, for classes, the most likely one and the probabilities of all; else
the numbers that the model gives. With a cross-entropy these are probabilities
too, never logits: the softmax or sigmoid that a model leaves to its loss is
applied. The metrics of train and evaluate are of the same numbers. What is
infinite or no number is Inf, -Inf or NaN in CSV, as pandas and R read it, and null
in JSON lines; a row with NaN has no class. NPY has only the numbers, of a single
sigmoid the probability of the second class.

--output replaces a file as a whole once all rows are there. It follows links and
keeps the mode of a file; pipes and devices are written as rows come.

RUN is a run directory, or a checkpoint in one.

Flags override GESPANN_* environment variables, which override the run's settings.`,
		Example: `  gespann predict runs/wine new.csv > classes.csv
  cat new.csv | gespann predict runs/wine --format jsonl
  gespann predict runs/mnist-cnn t10k-images-idx3-ubyte.gz --output probabilities.npy`,
		Args: args(1, 2, "a run directory or checkpoint, and at most one file"),
		RunE: func(c *cobra.Command, args []string) error {
			f, err := parseFormat(format, output)
			if err != nil {
				return err
			}
			s, err := openSaved(t, args[0], c.Flags(), func(r spec.ChangeRule) bool { return r.Predict })
			if err != nil {
				return swapped(err, args)
			}
			if err := placeHere(c.Context(), t, s.spec); err != nil {
				return err
			}
			x, err := readRows(c.Context(), t, s.asWritten(), append(args, "-")[1])
			if err != nil {
				return err
			}
			return withSignals(c.Context(), t.err, func(ctx context.Context) error {
				write := func(w io.Writer) error { return predict(ctx, t, s, x, f(w)) }
				if output == "" || output == "-" {
					return write(t.file())
				}
				return outfile.Write(output, write)
			})
		},
	}
	c.Flags().StringVar(&format, "format", "", "csv, jsonl or npy; default: what --output ends with, else csv")
	c.Flags().StringVarP(&output, "output", "o", "", "file to write; default: the standard output")
	spec.AddFlags(c.Flags(), "backend", "threads", "batch-size", "set")
	return c
}

// parseFormat returns the writer of a format: what output ends with, or else CSV.
func parseFormat(format, output string) (func(io.Writer) predictions, error) {
	if format == "" {
		ext := strings.ToLower(strings.TrimPrefix(filepath.Ext(output), "."))
		switch ext {
		case "jsonl", "npy":
			format = ext
		case "json", "ndjson", "npz", "parquet", "feather", "xlsx", "xls", "ods", "h5", "hdf5", "pkl",
			"tsv", "tab", "gz", "bz2", "xz", "zst", "zip":
			return nil, usagef("--output %s: got a name that ends in .%s, want .csv, .jsonl or .npy, or --format", output, ext)
		default:
			format = "csv"
		}
	}
	switch format {
	case "csv":
		return func(w io.Writer) predictions { return &csvPredictions{w: w} }, nil
	case "jsonl":
		return func(w io.Writer) predictions { return &jsonPredictions{w: w} }, nil
	case "npy":
		return func(w io.Writer) predictions { return &npyPredictions{w: w} }, nil
	}
	return nil, usagef("--format: got %q, want csv, jsonl or npy", format)
}

// asWritten is the form of the rows with what the spec says of how CSV files are written.
func (s *saved) asWritten() *data.Prep {
	if s.prep.CSV == nil {
		return s.prep
	}
	p, form, d := *s.prep, *s.prep.CSV, &s.spec.Data.CSV
	form.Trained, form.SetBy = form.Delimiter, givesDelimiter(s.spec)
	form.Delimiter, form.Header, form.Encoding = d.Delimiter, d.Header, d.Encoding
	p.CSV = &form
	return &p
}

// readRows reads the rows to predict; "-" is the standard input.
func readRows(ctx context.Context, t terminal, prep *data.Prep, path string) (*data.Table, error) {
	if path != "-" {
		return source.OpenFeatures(ctx, path, *prep)
	}
	if f, ok := t.in.(*os.File); ok && terminalWidth(f) > 0 {
		fmt.Fprintln(t.err, "reading rows from the terminal; Ctrl-D ends them")
	}
	return source.ReadFeatures(t.in, "standard input", *prep)
}

// predict writes the predictions for all rows of x, and warns of those that are no
// numbers.
func predict(ctx context.Context, t terminal, s *saved, x *data.Table, out predictions) error {
	m, err := s.model()
	if err != nil {
		return err
	}
	session, err := s.session(ctx, m, nil)
	if err != nil {
		return err
	}
	defer session.Close()
	o := newOutput(m, s.prep)
	begun := false
	rows, odd, first := 0, 0, 0
	err = session.Predict(ctx, x, func(v []float32, shape []int) error {
		row := o.row(shape)
		if !begun {
			begun = true
			if err := out.begin(o, x.Rows(), shape[1:]); err != nil {
				return err
			}
		}
		for size := len(row); len(v) > 0; v = v[size:] {
			copy(row, v)
			o.toProbabilities(row)
			if rows++; !finite(row) {
				odd++
				first = cmp.Or(first, rows)
			}
			if err := out.row(o, row); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if odd > 0 {
		fmt.Fprintf(t.err, "warning: predictions of %s of %s rows are infinite or no numbers, first in row %d\n",
			grouped(odd), grouped(rows), first)
	}
	return out.end()
}
