package infile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Absolute returns folders as Files has them: absolute. Each must be there, and answer while
// the patience of s lasts.
func (s Files) Absolute(ctx context.Context, folders []string) ([]string, error) {
	roots := make([]string, 0, len(folders))
	for _, f := range folders {
		path, err := filepath.Abs(f)
		if err != nil {
			return nil, err
		}
		info, err := s.Stat(ctx, path)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			return nil, fmt.Errorf("%s: is a file, want a folder", f)
		}
		roots = append(roots, path)
	}
	return roots, nil
}

// Has reports whether a path is written as one below a root. It does not look at the disk.
func (s Files) Has(path string) bool { return !s.Confined || len(s.within(path)) > 0 }

// A spot is a path in a root.
type spot struct{ root, name string }

// within returns what a path is in each of the roots that it is written to be below.
func (s Files) within(path string) (spots []spot) {
	for _, root := range s.Roots {
		name, ok := strings.CutPrefix(path, strings.TrimSuffix(root, string(filepath.Separator)))
		name, below := strings.CutPrefix(name, string(filepath.Separator))
		if !ok || !below && name != "" {
			continue
		}
		// Not cleaned: ".." behind a link is the root's to resolve.
		if name = strings.TrimLeft(name, string(filepath.Separator)); name == "" {
			name = "."
		}
		spots = append(spots, spot{root, name})
	}
	return spots
}

// below calls do with each root that a path may be below, and its name there, until one
// has it.
func (s Files) below(path string, do func(r *os.Root, name string) error) error {
	var err error = &OutsideError{path, s.Roots}
	for _, at := range s.spots(path) {
		if err = at.enter(do); err == nil {
			return nil
		}
		if escapes(err) {
			err = &OutsideError{path, s.Roots}
			continue
		}
		return named(path, err)
	}
	return err
}

// spots is within, also for a path that is below what a root is a link to.
func (s Files) spots(path string) []spot {
	if spots := s.within(path); len(spots) > 0 {
		return spots
	}
	real := make([]string, 0, len(s.Roots))
	for _, root := range s.Roots {
		if behind, err := filepath.EvalSymlinks(root); err == nil {
			real = append(real, behind)
		}
	}
	return Files{Roots: real}.within(path)
}

func (at spot) enter(do func(r *os.Root, name string) error) error {
	r, err := os.OpenRoot(at.root)
	if err != nil {
		return err
	}
	defer r.Close()
	return do(r, at.name)
}

// escapes reports whether os.Root has refused a path that leads out of it. Its error has
// no name; TestLinks would notice another text.
func escapes(err error) bool {
	var p *fs.PathError
	return errors.As(err, &p) && p.Err != nil && p.Err.Error() == "path escapes from parent"
}

// named returns an error of a path in a root as one of the whole path.
func named(path string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return &fs.PathError{Op: strings.TrimSuffix(p.Op, "at"), Path: path, Err: p.Err}
	}
	return err
}
