package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// A FileError is a checkpoint file that cannot be written or read.
type FileError struct {
	Path    string
	Err     error
	Damaged bool // the file was read, and is no whole checkpoint
}

func (e *FileError) Error() string { return fmt.Sprintf("checkpoint %s: %v", e.Path, e.Err) }

// Unwrap returns what is wrong with the file.
func (e *FileError) Unwrap() error { return e.Err }

// Write stores s at path, as WriteFile does.
func Write(path string, s *State) error {
	err := replace(path, func(w io.Writer) error {
		_, err := s.encode(w)
		return err
	})
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		err = fmt.Errorf("it needs %d bytes: %w", s.size(), err)
	}
	if err != nil {
		return &FileError{Path: path, Err: err}
	}
	return nil
}

// WriteFile stores at path what write writes. It writes a temporary file beside
// it, syncs, and renames, so path holds either the old contents or all of the
// new, even after a loss of power. Only one writer at a time may use a path.
func WriteFile(path string, write func(io.Writer) error) error {
	if err := replace(path, write); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func replace(path string, write func(io.Writer) error) (err error) {
	dir := filepath.Dir(path)
	f, err := os.Create(filepath.Join(dir, TempPrefix+filepath.Base(path)))
	if err != nil {
		return cause(err)
	}
	defer func() {
		if err != nil {
			f.Close() // again, where closing is what failed
			os.Remove(f.Name())
		}
	}()
	if err := write(f); err != nil {
		return cause(err)
	}
	if err := f.Sync(); err != nil {
		return cause(err)
	}
	if err := f.Close(); err != nil {
		return cause(err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return cause(err)
	}
	return syncDir(dir)
}

// TempPrefix starts the names of files that are being written. One that a crash
// has left behind can be removed.
const TempPrefix = ".tmp-"

// syncDir makes a rename in dir survive a loss of power.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return cause(err)
	}
	defer d.Close()
	// Some file systems cannot sync a folder; they have no better promise to give.
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return cause(err)
	}
	return nil
}

// Read returns the state stored at path.
func Read(path string) (*State, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, &FileError{Path: path, Err: cause(err)}
	}
	s, err := Decode(b)
	if err != nil {
		return nil, &FileError{Path: path, Err: err, Damaged: true}
	}
	return s, nil
}

// cause drops the path of err, which is the temporary file's or a repetition.
func cause(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	var l *os.LinkError
	if errors.As(err, &l) {
		return l.Err
	}
	return err
}
