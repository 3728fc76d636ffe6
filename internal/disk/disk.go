// Package disk has the operations by which files that must outlive a process are
// written. They are those of package os; a test can watch them, have one fail as a full
// or broken disk does, and lose what a loss of power would.
package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
)

// A Kind is what an operation does.
type Kind string

// Kinds of operations.
const (
	KindOpen       Kind = "open" // or create, as Flag says
	KindWrite      Kind = "write"
	KindTruncate   Kind = "truncate"
	KindSync       Kind = "sync"
	KindClose      Kind = "close"
	KindRename     Kind = "rename"
	KindRemove     Kind = "remove"
	KindRemoveAll  Kind = "remove all"
	KindMkdir      Kind = "mkdir"
	KindSyncFolder Kind = "sync folder"
)

// An Op is an operation that is about to be done.
type Op struct {
	Kind Kind
	Path string
	To   string // of a rename
	File int64  // number of the open file, from Open to Close
	Flag int    // of Open
	Data []byte // of Write
	Size int64  // of Truncate
}

// A Watcher sees operations. Do does op, or a part of it, by calling do, and returns its
// error or another one. Calls may be concurrent.
type Watcher interface {
	Do(op Op, do func(Op) error) error
}

var (
	watcher atomic.Pointer[Watcher]
	files   atomic.Int64
)

// Watch has w see all operations of this process until stop is called. It is for tests.
func Watch(w Watcher) (stop func()) {
	watcher.Store(&w)
	return func() { watcher.Store(nil) }
}

func run(op Op, do func(Op) error) error {
	if w := watcher.Load(); w != nil {
		return (*w).Do(op, do)
	}
	return do(op)
}

// A File is an open file that is written.
type File struct {
	f  *os.File
	id int64
}

// OpenFile is os.OpenFile.
func OpenFile(name string, flag int, mode fs.FileMode) (*File, error) {
	f := &File{id: files.Add(1)}
	err := run(Op{Kind: KindOpen, Path: name, File: f.id, Flag: flag}, func(Op) (err error) {
		f.f, err = os.OpenFile(name, flag, mode)
		return err
	})
	if err != nil {
		return nil, named("open", name, err)
	}
	return f, nil
}

// OS returns the file for what changes nothing in it.
func (f *File) OS() *os.File { return f.f }

// Name returns the path that the file was opened with.
func (f *File) Name() string { return f.f.Name() }

func (f *File) Write(b []byte) (n int, err error) {
	err = run(Op{Kind: KindWrite, Path: f.Name(), File: f.id, Data: b}, func(op Op) (err error) {
		n, err = f.f.Write(op.Data)
		return err
	})
	return n, named("write", f.Name(), err)
}

// Truncate changes the size of the file.
func (f *File) Truncate(size int64) error {
	return named("truncate", f.Name(), run(Op{Kind: KindTruncate, Path: f.Name(), File: f.id, Size: size},
		func(op Op) error { return f.f.Truncate(op.Size) }))
}

// Sync brings what was written to the disk.
func (f *File) Sync() error {
	return named("sync", f.Name(), run(Op{Kind: KindSync, Path: f.Name(), File: f.id}, func(Op) error { return f.f.Sync() }))
}

// Close closes the file, whatever it returns.
func (f *File) Close() error {
	err := run(Op{Kind: KindClose, Path: f.Name(), File: f.id}, func(Op) error { return f.f.Close() })
	if err != nil {
		f.f.Close() // where a watcher has not
	}
	return named("close", f.Name(), err)
}

// Rename is os.Rename.
func Rename(from, to string) error {
	err := run(Op{Kind: KindRename, Path: from, To: to}, func(Op) error { return os.Rename(from, to) })
	var l *os.LinkError
	if err != nil && !errors.As(err, &l) {
		err = &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return err
}

// Remove is os.Remove.
func Remove(path string) error {
	return named("remove", path, run(Op{Kind: KindRemove, Path: path}, func(Op) error { return os.Remove(path) }))
}

// RemoveAll is os.RemoveAll.
func RemoveAll(path string) error {
	return named("remove", path, run(Op{Kind: KindRemoveAll, Path: path}, func(Op) error { return os.RemoveAll(path) }))
}

// Mkdir is os.Mkdir.
func Mkdir(path string, mode fs.FileMode) error {
	return named("mkdir", path, run(Op{Kind: KindMkdir, Path: path}, func(Op) error { return os.Mkdir(path, mode) }))
}

// MkdirAll makes a folder and those above it that are not there, as os.MkdirAll does,
// and has them survive a loss of power.
func MkdirAll(path string, mode fs.FileMode) error {
	info, err := os.Stat(path)
	switch {
	case path == "": // no folder, and not that of the process
		return err
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return &fs.PathError{Op: "mkdir", Path: path, Err: syscall.ENOTDIR}
	}
	path = filepath.Clean(path)
	above := filepath.Dir(path)
	if above != path {
		if err := MkdirAll(above, mode); err != nil {
			return err
		}
	}
	if err := Mkdir(path, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return SyncFolder(above)
}

// SyncFolder makes the names in a folder survive a loss of power: those of files that were
// made, renamed and removed there.
func SyncFolder(folder string) error {
	if folder == "" {
		folder = "."
	}
	err := run(Op{Kind: KindSyncFolder, Path: folder}, func(Op) error {
		d, err := os.Open(folder)
		if err != nil {
			return err
		}
		defer d.Close()
		return d.Sync()
	})
	// Some file systems cannot sync a folder; they have no better promise to give.
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return named("sync", folder, err)
}

// named says which file err is about, where package os has not.
func named(op, path string, err error) error {
	var p *fs.PathError
	if err == nil || errors.As(err, &p) {
		return err
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}
