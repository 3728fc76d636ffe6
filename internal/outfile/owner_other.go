//go:build !unix

package outfile

import (
	"errors"
	"io/fs"
	"os"
)

// alike reports true: this system knows no other owner.
func alike(*os.File, fs.FileInfo) bool { return true }

// duplicate has no descriptors to duplicate here.
func duplicate(int) (*os.File, error) { return nil, errors.ErrUnsupported }
