package main

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// finalBits returns what a finished run must have whatever happened on the way:
// the model, and the metrics without the seconds.
func finalBits(t *testing.T, run string) string {
	t.Helper()
	model, err := os.ReadFile(filepath.Join(run, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	return string(model) + finalMetrics(t, run)
}

// finalMetrics returns the metrics of a run without the seconds.
func finalMetrics(t *testing.T, run string) string {
	t.Helper()
	metrics, err := os.ReadFile(filepath.Join(run, "metrics.csv"))
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for line := range strings.Lines(string(metrics)) {
		text += line[:strings.LastIndexByte(line, ',')] + "\n"
	}
	return text
}

// uninterrupted trains tiny in a new folder and returns the folder, the final
// bits and the time it took.
func uninterrupted(t *testing.T, flags ...string) (dir, bits string, took time.Duration) {
	t.Helper()
	dir = writeTiny(t)
	begin := time.Now()
	cmd, _, stderr := command(t, dir, append([]string{"train", "tiny.yaml"}, flags...)...)
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	took = time.Since(begin)
	return dir, finalBits(t, filepath.Join(dir, "runs", "tiny")), took
}

// exitCode returns how a process ended.
func exitCode(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if exit == nil {
		return 0
	}
	return exit.ExitCode()
}

// waitFor waits until f is true.
func waitFor(t *testing.T, what string, f func() bool) {
	t.Helper()
	for begin := time.Now(); !f(); time.Sleep(time.Millisecond) {
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("waited too long for %s", what)
		}
	}
}

// hasRun reports whether the folder has a run with a spec.
func hasRun(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "runs", "tiny", "spec.yaml"))
	return err == nil
}

// TestSignals interrupts runs in different ways and resumes them.
func TestSignals(t *testing.T) {
	for name, c := range map[string]struct {
		signals []syscall.Signal
		code    int
		says    []string // on stderr
	}{
		"SIGINT":       {[]syscall.Signal{syscall.SIGINT}, 130, []string{"interrupted ", "to continue: ", " train --resume runs/tiny"}},
		"SIGTERM":      {[]syscall.Signal{syscall.SIGTERM}, 143, []string{"interrupted ", "to continue: "}},
		"SIGHUP":       {[]syscall.Signal{syscall.SIGHUP}, 129, []string{"interrupted ", "to continue: "}},
		"SIGINT twice": {[]syscall.Signal{syscall.SIGINT, syscall.SIGINT}, 130, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if c.signals[0] == syscall.SIGHUP && signal.Ignored(syscall.SIGHUP) {
				t.Skip("SIGHUP is ignored, as under nohup")
			}
			dir := writeTiny(t)
			// The run must last until the signal comes.
			cmd, _, stderr := command(t, dir, "train", "tiny.yaml", "--epochs", "1000000")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "the first checkpoint", func() bool {
				files, _ := filepath.Glob(filepath.Join(dir, "runs", "tiny", "checkpoints", "step-*"))
				return len(files) > 0
			})
			for _, s := range c.signals {
				if err := cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
					t.Fatal(err)
				}
			}
			if got := exitCode(t, cmd.Wait()); got != c.code {
				t.Errorf("exit code %d, want %d\n%s", got, c.code, stderr)
			}
			contains(t, "stderr", stderr.String(), c.says...)
			resumeAndCompare(t, dir)
		})
	}
}

// resumeAndCompare lets a run go on for three more epochs and compares it with one
// that was never interrupted.
func resumeAndCompare(t *testing.T, dir string) {
	t.Helper()
	metrics, err := os.ReadFile(filepath.Join(dir, "runs", "tiny", "metrics.csv"))
	if err != nil {
		t.Fatal(err)
	}
	epochs := strconv.Itoa(bytes.Count(metrics, []byte("\n")) - 1 + 3)
	resumed, _, stderr := command(t, dir, "train", "--resume", "--epochs", epochs)
	if err := resumed.Run(); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	_, want, _ := uninterrupted(t, "--epochs", epochs)
	if finalBits(t, filepath.Join(dir, "runs", "tiny")) != want {
		t.Error("the resumed run ended with other bits")
	}
}

// TestKill kills runs at random moments, fifty times, resumes them, and checks
// that every one of them ends with the bits of the run that was left alone.
func TestKill(t *testing.T) {
	_, want, took := uninterrupted(t)
	kills, finished := 50, 0
	if testing.Short() {
		kills = 5
	}
	seed := uint64(20260501)
	random := rand.New(rand.NewPCG(seed, 0))
	dir := writeTiny(t)
	for killed := 0; killed < kills; {
		args := []string{"train", "tiny.yaml"}
		if hasRun(dir) {
			args = []string{"train", "--resume", "runs/tiny"}
		} else if err := os.RemoveAll(filepath.Join(dir, "runs")); err != nil {
			t.Fatal(err)
		}
		if runOrKill(t, dir, args, time.Duration(random.Float64()*float64(took))) {
			killed++
			continue
		}
		finished++
		if finalBits(t, filepath.Join(dir, "runs", "tiny")) != want {
			t.Fatalf("seed %d: after %d kills, run %d ended with other bits", seed, killed, finished)
		}
		dir = writeTiny(t)
	}
	t.Logf("seed %d: %d kills, %d runs", seed, kills, finished)
	if hasRun(dir) && !runOrKill(t, dir, []string{"train", "--resume", "runs/tiny"}, time.Minute) {
		if finalBits(t, filepath.Join(dir, "runs", "tiny")) != want {
			t.Errorf("seed %d: the last run ended with other bits", seed)
		}
	}
}

// runOrKill runs a command and kills it after d. It reports whether it did.
func runOrKill(t *testing.T, dir string, args []string, d time.Duration) (killed bool) {
	t.Helper()
	cmd, _, stderr := command(t, dir, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(d, func() { cmd.Process.Kill() })
	err := cmd.Wait()
	timer.Stop()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled() {
		return true
	}
	if err != nil {
		t.Fatalf("gespann %s: %v\n%s", strings.Join(args, " "), err, stderr)
	}
	return false
}

// TestSecondRun starts a second run in the directory of one that goes on. An engine's, which
// may have lost sight of the first, goes on when that has ended.
func TestSecondRun(t *testing.T) {
	dir := writeTiny(t)
	first, _, _ := command(t, dir, "train", "tiny.yaml", "--epochs", "1000000", "--name", "tiny")
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		first.Process.Kill()
		first.Wait()
	}()
	waitFor(t, "the first run", func() bool { return hasRun(dir) })
	second, _, stderr := command(t, dir, "train", "--resume", "runs/tiny")
	if got := exitCode(t, second.Run()); got != exitRun {
		t.Errorf("exit code %d, want %d", got, exitRun)
	}
	contains(t, "stderr", stderr.String(), "gespann: run directory runs/tiny: another run is using it (process ")
	if bytes.Contains(stderr.Bytes(), []byte("goroutine")) {
		t.Errorf("a stack trace:\n%s", stderr)
	}

	third, _, _ := command(t, dir, "train", "tiny.yaml", "--epochs", "1000000", "--continue", "--name", "tiny")
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	third.Stderr = log
	if err := third.Start(); err != nil {
		t.Fatal(err)
	}
	defer third.Process.Kill()
	says := func(what string) {
		t.Helper()
		waitFor(t, what, func() bool {
			text, _ := os.ReadFile(log.Name())
			return strings.Contains(string(text), what)
		})
	}
	says("another run is using it (process " + strconv.Itoa(first.Process.Pid) + "); going on when that has ended")
	first.Process.Signal(syscall.SIGTERM)
	says("going on with runs/tiny")
	third.Process.Signal(syscall.SIGTERM)
	if got := exitCode(t, third.Wait()); got != 143 {
		text, _ := os.ReadFile(log.Name())
		t.Errorf("exit code %d, want 143\n%s", got, text)
	}
}
