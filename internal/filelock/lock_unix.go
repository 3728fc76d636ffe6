//go:build unix

package filelock

import (
	"errors"
	"os"
	"syscall"
)

// Try takes the lock on an open file without waiting. It reports false when
// another process holds it. The lock ends with the file's Close, or with the
// process, however that ends.
func Try(f *os.File) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}
