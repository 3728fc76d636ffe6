//go:build unix

package rpc

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestSweepJumps sweeps while a process is between its socket's name and listening, and
// the clock was set forward since it was made.
func TestSweepJumps(t *testing.T) {
	base, err := os.MkdirTemp("", "sweep")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(base)
	dir := filepath.Join(base, socketPrefix+"1")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(s)
	if err := syscall.Bind(s, &syscall.SockaddrUnix{Name: filepath.Join(dir, socketName)}); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(askAgain/4, func() { syscall.Listen(s, 1) })
	defer late.Stop()
	sweep(base, time.Now().Add(time.Hour))
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("%v, want that it stays: it listens now", err)
	}
}
