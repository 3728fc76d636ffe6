// Package outfile writes files that are complete or absent, and leaves what users
// have put in their place: links, modes, pipes and devices.
package outfile

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// TempPrefix starts the names of files that are being written. One that a crash
// has left behind can be removed.
const TempPrefix = ".tmp-"

// An Error is a file that cannot be written.
type Error struct {
	Path string
	Err  error
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %v", e.Path, e.Err) }

// Unwrap returns what is wrong with the file.
func (e *Error) Unwrap() error { return e.Err }

// Write stores at path what write writes.
//
// A regular file is replaced as a whole: a temporary file beside it is written,
// synced, and renamed, so path holds either the old contents or all of the new,
// even after a loss of power. A new file has the mode that the umask leaves; an
// old one keeps its mode and its owner. Links are followed, also to a file that is
// not there yet. Where a rename would take a file from where it belongs (it has a
// second name, its folder cannot be written, it is a mount of its own), the
// contents are copied into it once they are complete.
//
// What is no regular file, such as a pipe, a device or /dev/stdout, is opened and
// written as it comes.
//
// An error of the file is an *Error; one of write's own comes back as it is.
func Write(path string, write func(io.Writer) error) error {
	var own error
	err := store(path, func(w io.Writer) error {
		s := &sink{w: w}
		err := write(s)
		if s.err == nil {
			own = err
		}
		return err
	})
	switch {
	case own != nil:
		return own
	case err != nil:
		return &Error{path, cause(err)}
	}
	return nil
}

// Bytes stores text at path, as Write does.
func Bytes(path string, text []byte) error {
	return Write(path, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

// A sink remembers whether w has failed.
type sink struct {
	w   io.Writer
	err error
}

func (s *sink) Write(b []byte) (int, error) {
	n, err := s.w.Write(b)
	if err != nil {
		s.err = err
	}
	return n, err
}

// store is Write without names in errors.
func store(path string, write func(io.Writer) error) error {
	if n, ok := descriptor(path); ok {
		f, err := duplicate(n)
		return stream(f, err, write)
	}
	path, old, err := follow(path)
	switch {
	case err != nil:
		return err
	case old == nil || old.Mode().IsRegular():
		return replace(path, old, write)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	return stream(f, err, write)
}

// stream writes into an open file as it comes.
func stream(f *os.File, err error, write func(io.Writer) error) error {
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
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
