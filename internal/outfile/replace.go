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

	"github.com/gespann/gespann/internal/disk"
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
	// The folder takes no new file; a disk that is full or broken does not either, but there
	// the old contents would be gone before the new ones are found not to fit.
	aside := old != nil && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS))
	if aside {
		f, err = create(os.TempDir()+string(filepath.Separator), name, old)
	}
	if err != nil {
		return err
	}
	temp := f.Name()
	defer func() {
		if err != nil {
			f.Close() // again, where closing is what failed
			disk.Remove(temp)
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	if aside || old != nil && !alike(f.OS(), old) {
		return copyInto(path, f)
	}
	if err := f.Sync(); err != nil {
		return err
	}
	err = disk.Rename(temp, path)
	if errors.Is(err, syscall.EBUSY) && old != nil { // a mount of its own
		return copyInto(path, f)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return disk.SyncFolder(folder)
}

// create makes a temporary file in a folder, with the mode of the old one.
func create(folder, name string, old fs.FileInfo) (*disk.File, error) {
	const longest = 200 // bytes of the name that are kept: file systems take 255
	mode := fs.FileMode(0o666)
	if old != nil {
		mode = old.Mode().Perm()
	}
	for {
		temp := folder + TempPrefix + name[:min(len(name), longest)] + "-" + strconv.FormatUint(rand.Uint64(), 36)
		f, err := disk.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil && old != nil {
			if err = f.OS().Chmod(mode); err != nil { // what the umask has taken
				f.Close()
				disk.Remove(temp)
			}
		}
		return f, err
	}
}

// copyInto writes the contents of a temporary file into one that is there, and
// removes that.
func copyInto(path string, temp *disk.File) error {
	defer disk.Remove(temp.Name())
	defer temp.Close()
	if _, err := temp.OS().Seek(0, io.SeekStart); err != nil {
		return err
	}
	f, err := disk.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, temp.OS())
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
