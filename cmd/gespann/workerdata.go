package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/data/source"
	"github.com/gespann/gespann/internal/infile"
	"github.com/gespann/gespann/model"
	"github.com/gespann/gespann/model/spec"
)

// A rowReader reads a worker's own copies of the rows of jobs.
type rowReader struct {
	name string // of the worker
	// trusted reports whether the worker may read any file for a job.
	trusted  func(job *wire.Job) bool
	dataDir  string
	roots    []string // dataDir, if there is one, and other folders
	patience time.Duration
	log      *slog.Logger
}

// reader returns what reads rows for a worker.
func (f *workerFlags) reader(ctx context.Context, log *slog.Logger) (*rowReader, error) {
	r := &rowReader{dataDir: f.dataDir, patience: dataPatience, log: log, trusted: f.trusts}
	folders := f.roots
	if f.dataDir != "" {
		folders = append([]string{f.dataDir}, f.roots...)
	}
	var err error
	r.roots, err = dataRoots(ctx, folders)
	if err == nil && f.dataDir != "" {
		r.dataDir = r.roots[0]
	}
	return r, err
}

// trusts reports whether a job is of the account that the worker runs under, as the
// coordinator says, and the coordinator is, too, as it has proved or the system says.
func (f *workerFlags) trusts(job *wire.Job) bool {
	return f.child || job.Own && (f.proven || ownSocket(f.coordinator))
}

// load reads the rows of a job from this machine. Nothing is downloaded.
func (r *rowReader) load(ctx context.Context, job *wire.Job) (*data.Set, error) {
	s, err := parseJob(job.Spec)
	if err != nil {
		return nil, err
	}
	files := infile.Files{
		Confined: !r.trusted(job), Roots: r.roots, Patience: r.patience,
		Log: func(format string, args ...any) { r.log.Warn(fmt.Sprintf(format, args...)) },
	}
	if err := r.relocate(ctx, &s.Data, files); err != nil {
		return nil, err
	}
	set, err := source.Load(ctx, s.Data, source.Options{
		Loss: s.Loss.Kind, IntFeatures: model.WantsIntegers(s), Offline: true, Files: files, Private: files.Confined,
	})
	var outside *infile.OutsideError
	var stuck *infile.StuckError
	switch {
	case errors.As(err, &outside):
		err = fmt.Errorf("worker %s: %w\nhint: gespann worker --data-root DIR lets it read files below DIR", r.name, err)
	case errors.As(err, &stuck):
		err = fmt.Errorf("worker %s: %w", r.name, err)
	}
	return set, err
}

// relocate makes a job's paths those of this machine.
func (r *rowReader) relocate(ctx context.Context, d *spec.Data, files infile.Files) error {
	if r.dataDir == "" {
		return r.resettle(ctx, d, files)
	}
	d.Root = ""
	switch d.Source {
	case "mnist", "fashion_mnist", "idx":
		d.Dir = r.dataDir
	}
	for _, path := range []*string{&d.CSV.Path, &d.CSV.TestPath, &d.NPY.X, &d.NPY.Y, &d.NPY.TestX, &d.NPY.TestY} {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(r.dataDir, *path)
		}
	}
	return nil
}

// resettle gives a job's data another root, where its own is one of the machine that the
// job is from.
func (r *rowReader) resettle(ctx context.Context, d *spec.Data, files infile.Files) error {
	switch {
	case d.Root == "":
	case !files.Confined:
		_, err := files.Stat(ctx, d.Root)
		if errors.As(err, new(*infile.StuckError)) {
			return fmt.Errorf("worker %s: %w", r.name, err)
		} else if err != nil {
			d.Root = ""
		}
	case !files.Has(d.Root):
		d.Root = ""
	}
	if files.Confined && d.Root == "" && len(r.roots) > 0 {
		d.Root = r.roots[0]
	}
	return nil
}
