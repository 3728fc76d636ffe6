package source

import (
	"context"
	"errors"
	"io"

	"github.com/gespann/gespann/internal/data"
)

var errSoon = errors.New("not written yet")

func download(context.Context, string, Options) (string, error) { return "", errSoon }

// ReadFeatures reads rows to predict from r in the form of prep: CSV with or
// without the label, NPY, IDX or JSON lines, whichever its first bytes say,
// compressed or not. The name is for errors.
func ReadFeatures(r io.Reader, name string, prep data.Prep) (*data.Table, error) { return nil, errSoon }

// OpenFeatures is ReadFeatures from a file; file.npz:name names an array of an
// archive.
func OpenFeatures(path string, prep data.Prep) (*data.Table, error) { return nil, errSoon }
