//go:build unix

package main

import (
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestWorkersLeave trains while one worker after the other is told to end, and is
// replaced: each ends with exit code 0, no step is dropped, and the run has the bits of
// one on the CPU.
func TestWorkersLeave(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	flags := []string{"--set", "train.deterministic=true", "--epochs", longEpochs, "--log", "plain"}
	whole := writeTiny(t)
	cmd, _, stderr := command(t, whole, append([]string{"train", "tiny.yaml"}, flags...)...)
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	want, wantMetrics := tensors(t, filepath.Join(whole, "runs", "tiny"))

	dir := writeTiny(t)
	at := "unix:" + filepath.Join(dir, "sockets", "c")
	chief, _, log := command(t, dir, "coordinator", "--listen", at, "--state", filepath.Join(dir, "state"), "--dashboard", "none")
	if err := chief.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		chief.Process.Signal(syscall.SIGTERM)
		chief.Wait()
	}()
	hire := func() *exec.Cmd {
		w, _, _ := command(t, dir, "worker", "--coordinator", at, "--backend", "cpu", "--threads", "1", "--once")
		if err := w.Start(); err != nil {
			t.Fatal(err)
		}
		return w
	}
	crew := []*exec.Cmd{hire(), hire()}
	waitFor(t, "the coordinator", func() bool {
		code, _, _ := gespann(t, "", "jobs", "--coordinator", at)
		return code == exitOK
	})
	run, _, words := command(t, dir, append([]string{"train", "tiny.yaml", "--backend", "cluster", "--workers", "2",
		"--coordinator", at}, flags...)...)
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "a checkpoint", func() bool { return checkpoints(dir) != "" })
	for i := range 4 {
		w := crew[i%2]
		crew[i%2] = hire()
		time.Sleep(300 * time.Millisecond)
		if err := w.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := w.Wait(); err != nil {
			t.Errorf("worker %d, told to end: %v", i+1, err)
		}
	}
	if err := run.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, words)
	}
	for _, w := range crew { // for one job
		if err := w.Wait(); err != nil {
			t.Errorf("a worker after its job: %v", err)
		}
	}
	got, gotMetrics := tensors(t, filepath.Join(dir, "runs", "tiny"))
	if !reflect.DeepEqual(got, want) || gotMetrics != wantMetrics {
		t.Errorf("other bits than on the CPU; metrics\n%s\nwant\n%s", gotMetrics, wantMetrics)
	}
	if left := strings.Count(log.String(), " has left"); left < 3 || strings.Contains(log.String(), "cannot go on with") {
		t.Errorf("%d workers have left, want 4 without a dropped step:\n%s", left, log)
	}
}

// TestWorkerWithParent kills the process that has started a worker, as an engine's own
// daemon may be killed: the worker must not outlast it.
func TestWorkerWithParent(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	for name, env := range map[string]string{"told so": "", "started by an engine": "JOB_COMPLETION_INDEX=3"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			flag := "--with-parent"
			if env != "" {
				flag = "--backend=cpu"
			}
			worker, _, _ := command(t, dir, "worker", "--coordinator", "localhost:1", "--backend", "cpu", flag)
			// A shell that waits for the worker, and says which process it is.
			script := `"$0" "$@" & echo $!; wait`
			shell := exec.Command("/bin/sh", append([]string{"-c", script}, worker.Args...)...)
			shell.Env = append(worker.Env, env)
			shell.Dir = dir
			words := new(safeBuffer)
			shell.Stderr = words
			if err := shell.Start(); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "the worker", func() bool { return strings.Contains(words.String(), "connecting again") })
			crew := children(t, shell.Process.Pid)
			if err := shell.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			shell.Process.Wait()
			gone(t, crew)
		})
	}
}

// TestPlaced checks what a worker makes of where an engine has put it.
func TestPlaced(t *testing.T) {
	for name, value := range map[string]string{
		"SLURM_STEP_ID": "0", "SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_NTASKS": "4", "SLURMD_NODENAME": "n2",
		"SLURM_STEP_NODELIST": "n[1-2]", "CUDA_VISIBLE_DEVICES": "0,1",
	} {
		t.Setenv(name, value)
	}
	place := func(args ...string) *workerFlags {
		t.Helper()
		var f workerFlags
		c := newWorkerWith(terminal{}, &f)
		if err := c.ParseFlags(args); err != nil {
			t.Fatal(err)
		}
		if err := f.placed(c.Flags()); err != nil {
			t.Fatal(err)
		}
		return &f
	}
	f := place()
	name, _ := f.call()
	if name != "n2-3" || f.device != 1 || f.coordinator != "n1:7077" || !f.withParent {
		t.Errorf("got %s, card %d, coordinator %s, with parent: %t", name, f.device, f.coordinator, f.withParent)
	}
	f = place("--device", "0", "--coordinator", "c:1", "--with-parent=false")
	if f.device != 0 || f.coordinator != "c:1" || f.withParent {
		t.Errorf("flags do not count: %+v", f)
	}
	t.Setenv("SLURM_PROCID", "first")
	code, _, words := gespann(t, "", "worker")
	if code != exitRun || !strings.Contains(words, `SLURM_PROCID: got "first"`) {
		t.Errorf("exit code %d\n%s", code, words)
	}
}
