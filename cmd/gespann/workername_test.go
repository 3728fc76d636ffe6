//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestWorkerUnknownName has workers whose coordinator's name is not known, as in Kubernetes
// before the pod of the driver is there: one that is patient asks again, until it is told to
// leave or has lost its patience; another says so at once, as it may be misspelt.
func TestWorkerUnknownName(t *testing.T) {
	t.Setenv("JOB_COMPLETION_INDEX", "0") // where exit code 0 would be for work that is done
	start := func(flags ...string) (*exec.Cmd, func() string) {
		cmd, _, _ := command(t, t.TempDir(), append([]string{"worker", "--backend", "cpu", "--insecure", "--coordinator", "nobody.invalid:7077"}, flags...)...)
		log, err := os.Create(filepath.Join(cmd.Dir, "log"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { log.Close() })
		cmd.Stderr = log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill() })
		return cmd, func() string {
			text, _ := os.ReadFile(log.Name())
			return string(text)
		}
	}
	end := func(cmd *exec.Cmd) int {
		cmd.Wait()
		return cmd.ProcessState.ExitCode()
	}
	cmd, words := start()
	if code := end(cmd); code != 1 || strings.Contains(words(), "connecting again") {
		t.Errorf("at once: exit code %d\n%s", code, words())
	}
	contains(t, "at once", words(), `address "nobody.invalid:7077": lookup nobody.invalid`)
	cmd, words = start("--patience", "1ms")
	if code := end(cmd); code != 1 {
		t.Errorf("no longer patient: exit code %d\n%s", code, words())
	}
	cmd, words = start("--patience", "1h")
	waitFor(t, "another attempt", func() bool { return strings.Count(words(), "connecting again") > 1 })
	cmd.Process.Signal(syscall.SIGTERM)
	if code := end(cmd); code != 143 {
		t.Errorf("told to leave: exit code %d, want 143\n%s", code, words())
	}
}
