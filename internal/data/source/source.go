// Package source reads the data sets that a spec can name: digits, IDX (MNIST
// and its relatives), CSV, NPY and NPZ.
//
// A reader turns files into tables and says what it knows about them; Load then
// does what is the same for all: targets, splits, normalisation. What was learnt
// from the training rows is kept in a data.Prep, with which other data is read
// in the same form. Every reader checks sizes before it allocates: a file of n
// bytes costs memory in proportion to n, whatever its header says.
package source

import (
	"cmp"
	"context"
	"fmt"

	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/infile"
	"github.com/gespann/gespann/model/spec"
)

// Options are what Load needs to know besides the data section of the spec.
type Options struct {
	// Loss is the kind of the spec's loss, which decides the form of the targets;
	// "" takes them as they are.
	Loss        string
	IntFeatures bool       // the model starts with an embedding
	Prep        *data.Prep // read in this form, instead of learning it
	SetBy       string     // the flag or variable that gives data.csv.delimiter, for messages; "": none
	// CacheDir is the folder for downloads; "" is gespann in the user's cache
	// directory.
	CacheDir string
	// Files says which files may be read, and how long they may keep silent.
	Files infile.Files
	// Private keeps what is in the files to this process: errors and the log say where
	// something stands and what was wanted, but not what stands there.
	Private bool
	BaseURL string                           // of downloads; "": the source's own mirror
	Offline bool                             // what is not there is an error
	Log     func(format string, args ...any) // progress of downloads; nil: silent
}

// raw is what a reader found.
type raw struct {
	parts   [3]data.Part // Train, and Test if there; x as stored, y I32 or F32
	classes int          // number of classes, if the source fixes it
	isClass bool         // integers in y are classes, never numbers
	labels  []string     // class names
	byteMax float32      // greatest byte that the source can hold
	csv     *data.CSV
	targets string // the file of y, where that is one of its own
	tested  string // the same of the test part
	// rows says what the targets are, where they are integers but not one per row;
	// wide which of them is beyond 32 bits.
	rows, wide error
	source     string // in words
}

// Load reads the data that d describes, splits it, and normalises it by what its
// training rows show, or by opt.Prep. Errors name the file and the place in it.
func Load(ctx context.Context, d spec.Data, opt Options) (*data.Set, error) {
	log := opt.Log
	opt.Log = func(format string, args ...any) {
		if log != nil {
			log("%s", told(fmt.Sprintf(format, args...), opt.Private))
		}
	}
	set, err := loadMarked(ctx, d, opt)
	return set, tell(err, opt.Private)
}

func loadMarked(ctx context.Context, d spec.Data, opt Options) (*data.Set, error) {
	if opt.Files.Confined {
		d = d.Joined()
	} else {
		d = d.Located()
	}
	r, err := read(ctx, d, opt)
	if err != nil {
		return nil, err
	}
	prep := data.Prep{
		Source: d.Source, Shape: r.shape(data.Train, opt.IntFeatures), Ints: opt.IntFeatures,
		Labels: r.labels, CSV: r.csv,
	}
	if opt.Prep != nil {
		if err := fits(r, opt.Prep); err != nil {
			return nil, fmt.Errorf("%s: %w", r.source, err)
		}
		prep = *opt.Prep
		if r.csv != nil && prep.CSV != nil { // the file may be written otherwise now
			form := *prep.CSV
			form.Delimiter, form.Header, form.Encoding = d.CSV.Delimiter, d.CSV.Header, d.CSV.Encoding
			prep.CSV = &form
		}
	} else if err := learnTargets(r, d, opt, &prep); err != nil {
		return nil, fmt.Errorf("%s: %w", cmp.Or(r.targets, r.source), err)
	}
	if err := checkRange(r, opt.Loss); err != nil {
		return nil, err
	}
	if err := split(r, d); err != nil {
		return nil, fmt.Errorf("%s: %w", r.source, err)
	}
	splits := data.NewSplits(d.SplitSeed, d.ValidationSplit, d.TestSplit, &r.parts)
	if opt.Prep == nil {
		if err := learnScale(r, d, opt, &prep); err != nil {
			return nil, fmt.Errorf("%s: %w", r.source, err)
		}
	}
	set := &data.Set{
		Parts: r.parts, Classes: prep.Classes, Source: r.source, Prep: prep, Splits: splits,
	}
	for i := range set.Parts {
		if err := finish(&set.Parts[i], &prep); err != nil {
			return nil, fmt.Errorf("%s: of the %v rows, %w", r.source, data.Split(i), err)
		}
	}
	return set, nil
}

func read(ctx context.Context, d spec.Data, opt Options) (*raw, error) {
	if err := unused(d); err != nil {
		return nil, err
	}
	switch d.Source {
	case "digits":
		return readDigits()
	case "mnist", "fashion_mnist", "idx":
		return readIDX(ctx, d, opt)
	case "csv":
		return readCSV(ctx, d, opt)
	case "npy":
		return readNPY(ctx, d, opt)
	}
	return nil, fmt.Errorf("data.source: got %q, "+
		"want digits, mnist, fashion_mnist, idx, csv or npy", d.Source)
}

// unused returns an error for settings of a source that is not the one read.
func unused(d spec.Data) error {
	switch {
	case d.Dir != "" && d.Source != "mnist" && d.Source != "fashion_mnist" && d.Source != "idx":
		return fmt.Errorf("data.dir: does not apply to source %s", d.Source)
	case d.CSV.Path != "" && d.Source != "csv":
		return fmt.Errorf("data.csv.path: does not apply to source %s", d.Source)
	case (d.NPY.X != "" || d.NPY.Y != "") && d.Source != "npy":
		return fmt.Errorf("data.npy: does not apply to source %s", d.Source)
	}
	return nil
}

// shape returns the shape of a row of features as a model sees it.
func (r *raw) shape(split data.Split, ids bool) []int {
	if r.csv != nil {
		return []int{r.csv.Width(ids)}
	}
	return r.parts[split].X.Shape
}

// finish gives a part the targets and the normalisation of prep.
func finish(p *data.Part, prep *data.Prep) error {
	if p.Rows == 0 {
		p.X, p.Y = data.Table{Shape: prep.Shape}, data.Table{Shape: prep.TargetShape()}
		return nil
	}
	normalize := prep.Normalize
	if prep.CSV != nil {
		normalize = func(t *data.Table) error { return encode(t, prep) }
	}
	if err := normalize(&p.X); err != nil {
		return err
	}
	return finishTargets(p, prep)
}
