// Package infile reads files that someone else has named: below given folders only, and
// without waiting for ever for one that does not answer.
//
// A file on a network disk whose server is gone, or a pipe that nobody writes to, keeps
// the thread that opens or reads it, and no signal or deadline of this process gets it
// back. So every open and every read is done in a goroutine that can be left behind.
//
//	infile.go   what may be read, and the words for what may not
//	below.go    paths below folders
//	file.go     an open file, read ahead
//	patient.go  waiting for a call that may never return
package infile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
)

// Files says which files may be read and how long to wait for them. The zero value reads
// any, and waits as long as its caller does.
type Files struct {
	// Confined allows files below Roots only, and of these only regular ones. Links and
	// ".." do not lead out of a root; a root itself may be reached by a link.
	Confined bool
	Roots    []string // absolute paths of folders
	// Patience is how long an open or a read may go without a result; 0: for ever.
	Patience time.Duration
	// Room is asked by readers before they keep so many bytes of what files hold; nil: there
	// is as much as the system has.
	Room func(bytes int64) error
	// Log is told what was left behind; nil: silent.
	Log func(format string, args ...any)
}

// An OutsideError is a path that is not below a root. Whether there is such a file, nobody
// has looked.
type OutsideError struct {
	Path  string
	Roots []string
}

func (e *OutsideError) Error() string {
	if len(e.Roots) == 0 {
		return e.Path + ": may not be read: there is no data root"
	}
	return fmt.Sprintf("%s: may not be read: is not below %s, or a link leads out of it", e.Path, strings.Join(e.Roots, " or "))
}

// A StuckError is a file that does not answer.
type StuckError struct {
	Path  string
	After time.Duration
	What  string // did not happen
}

func (e *StuckError) Error() string { return fmt.Sprintf("%s: %s for %v", e.Path, e.What, e.After) }

// Timeout reports true, as of other deadlines.
func (e *StuckError) Timeout() bool { return true }

// errTooMany keeps a process from running out of threads.
var errTooMany = fmt.Errorf("%d reads of files hang already, no more are begun", maxLeft)

// Open opens a file. Its reads, too, end with ctx.
func (s Files) Open(ctx context.Context, path string) (*File, error) {
	p, err := patiently(ctx, s, path, "could not be opened", func() (opened, error) { return s.open(path) }, opened.close)
	if err != nil {
		return nil, err
	}
	return newFile(ctx, s, path, p), nil
}

// Stat says what is at a path, behind links.
func (s Files) Stat(ctx context.Context, path string) (fs.FileInfo, error) {
	return patiently(ctx, s, path, "no answer", func() (info fs.FileInfo, err error) {
		if !s.Confined {
			return os.Stat(path)
		}
		err = s.below(path, func(r *os.Root, name string) (err error) {
			info, err = r.Stat(name)
			return err
		})
		return info, err
	}, nil)
}

// ReadDir says what is in a folder, not behind links. What is gone meanwhile is left out.
func (s Files) ReadDir(ctx context.Context, path string) ([]fs.FileInfo, error) {
	return patiently(ctx, s, path, "no answer", func() ([]fs.FileInfo, error) {
		if !s.Confined {
			return list(os.Open(path))
		}
		var all []fs.FileInfo
		err := s.below(path, func(r *os.Root, name string) (err error) {
			all, err = list(r.Open(name))
			return err
		})
		return all, err
	}, nil)
}

func list(d *os.File, err error) ([]fs.FileInfo, error) {
	if err != nil {
		return nil, err
	}
	defer d.Close()
	entries, err := d.ReadDir(-1)
	var all []fs.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			all = append(all, info)
		}
	}
	return all, err
}

// opened is a file that was just opened.
type opened struct {
	file *os.File
	info fs.FileInfo
}

func (o opened) close() { o.file.Close() }

// open opens a file, and looks what it is.
func (s Files) open(path string) (o opened, err error) {
	if !s.Confined {
		o.file, err = os.Open(path)
	} else {
		err = s.below(path, func(r *os.Root, name string) (err error) {
			o.file, err = openRegular(r, name)
			return err
		})
	}
	if err != nil {
		return o, err
	}
	if o.info, err = o.file.Stat(); err == nil && s.Confined {
		err = regular(path, o.info)
	}
	if err != nil {
		o.close()
	}
	return o, err
}

// openRegular opens a regular file, or a folder. Of what is another kind, not even the
// open may be felt: a tape would rewind.
func openRegular(r *os.Root, name string) (*os.File, error) {
	info, err := r.Stat(name)
	if err == nil {
		err = regular(name, info)
	}
	if err != nil {
		return nil, err
	}
	return r.OpenFile(name, os.O_RDONLY|nonblock, 0) // it may be a pipe since
}

// regular returns an error for what is neither a regular file nor a folder.
func regular(path string, info fs.FileInfo) error {
	kind := ""
	switch mode := info.Mode(); {
	case mode.IsRegular(), mode.IsDir():
		return nil
	case mode&fs.ModeNamedPipe != 0:
		kind = "a pipe"
	case mode&fs.ModeSocket != 0:
		kind = "a socket"
	case mode&fs.ModeDevice != 0:
		kind = "a device"
	default:
		kind = "neither file nor folder"
	}
	return &fs.PathError{Op: "open", Path: path, Err: errors.New("is " + kind + ", want a regular file")}
}
