//go:build unix

package account

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// nonblock keeps a pipe from holding up who opens it.
const nonblock = syscall.O_NONBLOCK

// ours reports whether a file is this account's.
func ours(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) == os.Geteuid()
}

func notDir(err error) bool { return errors.Is(err, syscall.ENOTDIR) }
