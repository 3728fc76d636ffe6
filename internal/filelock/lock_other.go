//go:build !unix

package filelock

import (
	"io/fs"
	"os"
)

// open does not follow a link.
func open(path string) (*os.File, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return nil, &fs.PathError{Op: "lock", Path: path, Err: errLink}
	}
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
}

// names returns how many names a file has, as far as that is known.
func names(fs.FileInfo) int { return 1 }

// Try takes no lock: this system has none that ends with the process.
func Try(*os.File) (bool, error) { return true, nil }
