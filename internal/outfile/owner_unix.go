//go:build unix

package outfile

import (
	"io/fs"
	"os"
	"syscall"
)

// alike gives a temporary file the owner of the file that it is to replace. It
// reports false where it cannot, or where that file has a second name, which would
// keep the old contents.
func alike(temp *os.File, old fs.FileInfo) bool {
	was, ok := old.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	if was.Nlink > 1 {
		return false
	}
	info, err := temp.Stat()
	if err != nil {
		return false
	}
	is := info.Sys().(*syscall.Stat_t)
	if is.Uid == was.Uid && is.Gid == was.Gid {
		return true
	}
	return temp.Chown(int(was.Uid), int(was.Gid)) == nil && temp.Chmod(old.Mode().Perm()) == nil
}

// duplicate returns a file of an open descriptor of this process, which stays open
// when the file is closed.
func duplicate(descriptor int) (*os.File, error) {
	n, err := syscall.Dup(descriptor)
	if err != nil {
		return nil, err
	}
	syscall.CloseOnExec(n)
	return os.NewFile(uintptr(n), "descriptor"), nil
}
