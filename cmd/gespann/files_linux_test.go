package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestTooManyFiles takes all descriptors from a coordinator while a job trains: the job
// pauses, and when there are some again the port still listens.
func TestTooManyFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := writeTiny(t)
	at, state := "unix:"+filepath.Join(dir, "sockets", "c"), filepath.Join(dir, "state")
	pid := startProgram(t, dir, "coordinator", "--listen", at, "--state", state, "--dashboard", "none")
	startProgram(t, dir, "worker", "--coordinator", at, "--backend", "cpu", "--threads", "1")
	waitFor(t, "the coordinator", func() bool {
		code, _, _ := gespann(t, "", "jobs", "--coordinator", at)
		return code == exitOK
	})
	id := strings.TrimSpace(must(t, "submit", filepath.Join(dir, "tiny.yaml"), "--coordinator", at, "--epochs", "1000000", "--workers", "1"))
	metrics := filepath.Join(state, "jobs", id, "run", "metrics.csv")
	lines := func() int {
		text, _ := os.ReadFile(metrics)
		return strings.Count(string(text), "\n")
	}
	waitFor(t, "epochs", func() bool { return lines() > 3 })
	var before unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: 1 << 10}, &before); err != nil {
		t.Skipf("the limit of another process cannot be set here: %v", err)
	}
	was := -1
	waitFor(t, "the job to stand still", func() bool {
		time.Sleep(300 * time.Millisecond)
		still := was == lines()
		was = lines()
		return still
	})
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1 << 10, Max: 1 << 10}, nil); err != nil {
		t.Fatal(err)
	}
	contains(t, "jobs", must(t, "jobs", "--coordinator", at), id+"  paused", "the coordinator has too many files open: ",
		"hint: raise its limit (ulimit -n)")
	waitFor(t, "the log, which can be written again", func() bool {
		return strings.Contains(must(t, "logs", id, "--coordinator", at), "paused: the coordinator has too many files open: ")
	})
	must(t, "cancel", id, "--coordinator", at)
}
