//go:build linux || darwin || freebsd

package server

import "golang.org/x/sys/unix"

// freeBytes returns how much may still be written in a folder.
func freeBytes(folder string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(folder, &s); err != nil {
		return 0, err
	}
	return int64(min(uint64(s.Bavail), 1<<62/uint64(s.Bsize)) * uint64(s.Bsize)), nil
}
