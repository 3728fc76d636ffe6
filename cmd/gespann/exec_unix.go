//go:build unix

package main

import (
	"os"
	"syscall"
)

// replaceProcess makes this process another program. It returns only errors.
func replaceProcess(path string, args []string) error {
	return syscall.Exec(path, args, os.Environ())
}
