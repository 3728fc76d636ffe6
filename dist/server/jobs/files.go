package jobs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/gespann/gespann/internal/outfile"
)

// maxFiles is how many files a run directory may have to be fetched.
const maxFiles = 10_000

// EachFile calls do for the regular files of a run directory, in the order of
// their names, with their size and as many bytes. Links are left out, and lead
// nowhere; so are locks and what is being written. A file that is removed before
// its turn is left out as well.
func EachFile(dir string, do func(name string, size int64, content io.Reader) error) error {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the job has not begun
	}
	if err != nil {
		return err
	}
	defer root.Close()
	files := 0
	return fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		base := path.Base(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case !d.Type().IsRegular(), base == lockFile, strings.HasPrefix(base, outfile.TempPrefix):
			return nil
		}
		if files++; files > maxFiles {
			return fmt.Errorf("%s: has more than %d files", dir, maxFiles)
		}
		return oneFile(root, name, do)
	})
}

func oneFile(root *os.Root, name string, do func(string, int64, io.Reader) error) error {
	f, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return nil // it was one a moment ago
	}
	return do(name, info.Size(), io.LimitReader(f, info.Size()))
}
