//go:build unix

package infile

import "syscall"

// nonblock opens a pipe without waiting for one who writes.
const nonblock = syscall.O_NONBLOCK | syscall.O_NOCTTY
