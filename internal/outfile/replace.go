package outfile

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// replace puts a new file in the place of a regular one, or of none.
func replace(path string, old fs.FileInfo, write func(io.Writer) error) (err error) {
	if old != nil {
		// A file that cannot be written is not to be replaced either.
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		f.Close()
	}
	folder, name := filepath.Split(path)
	f, err := create(folder, name, old)
	aside := err != nil && old != nil
	if aside { // the folder takes no new file
		f, err = os.CreateTemp("", TempPrefix+"*")
	}
	if err != nil {
		return err
	}
	temp := f.Name()
	defer func() {
		if err != nil {
			f.Close() // again, where closing is what failed
			os.Remove(temp)
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	if aside || old != nil && !alike(f, old) {
		return copyInto(path, f)
	}
	if err := f.Sync(); err != nil {
		return err
	}
	err = os.Rename(temp, path)
	if errors.Is(err, syscall.EBUSY) && old != nil { // a mount of its own
		return copyInto(path, f)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return syncFolder(folder)
}

// create makes a temporary file in a folder, with the mode of the old one.
func create(folder, name string, old fs.FileInfo) (*os.File, error) {
	const longest = 200 // bytes of the name that are kept: file systems take 255
	mode := fs.FileMode(0o666)
	if old != nil {
		mode = old.Mode().Perm()
	}
	for {
		temp := folder + TempPrefix + name[:min(len(name), longest)] + "-" + strconv.FormatUint(rand.Uint64(), 36)
		f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil && old != nil {
			if err = f.Chmod(mode); err != nil { // what the umask has taken
				f.Close()
				os.Remove(temp)
			}
		}
		return f, err
	}
}

// copyInto writes the contents of a temporary file into one that is there, and
// removes that.
func copyInto(path string, temp *os.File) error {
	defer os.Remove(temp.Name())
	defer temp.Close()
	if _, err := temp.Seek(0, io.SeekStart); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, temp)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncFolder makes a rename in a folder survive a loss of power.
func syncFolder(folder string) error {
	if folder == "" {
		folder = "."
	}
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer d.Close()
	// Some file systems cannot sync a folder; they have no better promise to give.
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}
