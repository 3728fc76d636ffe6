//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// ownSocket reports whether an address is a unix socket that only the account of this
// process can have made: it owns the socket and its folder, in which nobody else may
// write.
func ownSocket(address string) bool {
	path, ok := strings.CutPrefix(address, "unix:")
	if !ok {
		return false
	}
	socket, err := os.Lstat(path)
	if err != nil || !own(socket) {
		return false
	}
	folder, err := os.Stat(filepath.Dir(path))
	return err == nil && own(folder) && folder.Mode().Perm()&0o022 == 0
}

// own reports whether the account of this process owns a file.
func own(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}
