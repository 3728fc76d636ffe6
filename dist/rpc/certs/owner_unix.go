//go:build unix

package certs

import (
	"os"
	"syscall"
)

// ownedByRoot reports whether a file is root's.
func ownedByRoot(info os.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && s.Uid == 0
}
