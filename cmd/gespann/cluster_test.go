//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gespann/gespann/dist/strategy"
	"github.com/gespann/gespann/internal/checkpoint"
	"github.com/gespann/gespann/model/spec"
)

// TestStrategies checks that a spec has the strategies that workers know, with the
// same parameters and defaults.
func TestStrategies(t *testing.T) {
	for _, s := range strategy.All() {
		text := tiny + "cluster: {strategy: " + s.Name + "}\n" +
			"optimizer: {sgd: {momentum: 0.9, nesterov: true}}\n"
		parsed, err := spec.Parse("x.yaml", []byte(text), spec.Options{})
		if err != nil {
			t.Error(err)
			continue
		}
		got, want := parsed.Cluster.StrategyParams(), s.Complete(nil)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: a spec has %v, the strategy %v", s.Name, got, want)
		}
		if err := strategy.Check(s.Name, strategy.Params{Named: got, Rate: parsed.LearningRate()}); err != nil {
			t.Error(err)
		}
	}
	if got, want := len(spec.Strategies), len(strategy.All()); got != want {
		t.Errorf("a spec has %d strategies, workers know %d", got, want)
	}
}

// tensors returns what a run has learnt, and its metrics without the seconds.
func tensors(t *testing.T, run string) ([]checkpoint.Tensor, string) {
	t.Helper()
	s, err := checkpoint.Read(filepath.Join(run, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	return s.Tensors, finalMetrics(t, run)
}

// TestClusterOnThisMachine trains with workers that are processes of their own, and
// checks that deterministic runs have the bits of one without.
func TestClusterOnThisMachine(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes")
	}
	t.Setenv(asProgram, "1")
	dir := writeTiny(t)
	config := filepath.Join(dir, "tiny.yaml")
	train := func(name string, flags ...string) string {
		t.Helper()
		args := append([]string{"train", config, "--runs", dir, "--name", name, "--epochs", "2", "--log", "plain",
			"--set", "train.deterministic=true"}, flags...)
		return must(t, args...)
	}
	train("cpu")
	want, wantMetrics := tensors(t, filepath.Join(dir, "cpu"))
	for workers := 1; workers <= 4; workers++ {
		name := fmt.Sprintf("cluster-%d", workers)
		out := train(name, "--backend", "cluster", "--workers", strconv.Itoa(workers))
		got, gotMetrics := tensors(t, filepath.Join(dir, name))
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%d workers: other bits than on the CPU", workers)
		}
		if gotMetrics != wantMetrics {
			t.Errorf("%d workers: metrics are\n%s\nwant\n%s", workers, gotMetrics, wantMetrics)
		}
		contains(t, name, out, "worker-1  cpu", "communication", "sync: ", "test   loss ")
	}
	contains(t, "evaluate", must(t, "evaluate", filepath.Join(dir, "cluster-2")), "accuracy")
}

// TestClusterPrecision checks that workers round factors as one CPU does, that the result
// is another than in fp32, and what they say of a precision that they do not have.
func TestClusterPrecision(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Setenv(asProgram, "1")
	dir := writeTiny(t)
	train := func(name, precision string, flags ...string) []checkpoint.Tensor {
		t.Helper()
		must(t, append([]string{"train", filepath.Join(dir, "tiny.yaml"), "--runs", dir, "--name", name, "--epochs", "1",
			"--log", "plain", "--set", "train.deterministic=true", "--set", "backend.precision=" + precision}, flags...)...)
		all, _ := tensors(t, filepath.Join(dir, name))
		return all
	}
	want := train("bf16", "bf16")
	if reflect.DeepEqual(want, train("fp32", "fp32")) {
		t.Error("bf16 has the bits of fp32")
	}
	if !reflect.DeepEqual(want, train("workers", "bf16", "--backend", "cluster", "--workers", "2")) {
		t.Error("2 workers have other bits in bf16 than the CPU")
	}
	contains(t, "evaluate", must(t, "evaluate", filepath.Join(dir, "workers")), "accuracy")
	code, _, words := gespann(t, "", "train", filepath.Join(dir, "tiny.yaml"), "--runs", dir, "--name", "tf32",
		"--set", "backend.precision=tf32", "--backend", "cluster", "--workers", "1")
	if code != exitRun || !strings.Contains(words, "computes in fp32 or bf16, on its CPU") {
		t.Errorf("tf32 on workers: exit code %d, %s", code, words)
	}
}

// TestClusterLog checks the bill in JSON, for a strategy whose workers train alone.
func TestClusterLog(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Setenv(asProgram, "1")
	dir := writeTiny(t)
	out := must(t, "train", filepath.Join(dir, "tiny.yaml"), "--runs", dir, "--epochs", "2", "--log", "json",
		"--backend", "cluster", "--strategy", "adag", "--set", "cluster.strategy.adag.window=2",
		"--set", "cluster.probe=false") // the probe of a moment and a run of a moment need not agree
	bills := 0
	for line := range strings.Lines(out) {
		var e struct {
			Event    string
			Rows     int
			Strategy string
			SpeedUp  float64 `json:"speed_up"`
			Doubt    string
			Workers  []struct{ Rows int }
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if e.Event != "bill" {
			continue
		}
		bills++
		if e.Strategy != "adag" || e.Rows != 2*1222 || len(e.Workers) != 2 || !(e.SpeedUp > 0 || e.Doubt != "") {
			t.Errorf("bill is %s", line)
		}
	}
	if bills != 1 {
		t.Errorf("%d bills, want one, in\n%s", bills, out)
	}
}

// children returns the processes that a process has started.
func children(t *testing.T, pid int) []int {
	t.Helper()
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil || len(paths) == 0 {
		t.Skip("no /proc with children")
	}
	var pids []int
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		for _, word := range strings.Fields(string(text)) {
			id, err := strconv.Atoi(word)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, id)
		}
	}
	return pids
}

// alive reports whether a process runs.
func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(text), ") Z ")
}

// longEpochs make a run of seconds.
const longEpochs = "120"

// long is a cluster run that takes seconds.
func long(t *testing.T, dir string, flags ...string) (*exec.Cmd, fmt.Stringer) {
	t.Helper()
	cmd, _, stderr := command(t, dir, append([]string{"train", "tiny.yaml", "--backend", "cluster", "--workers", "2",
		"--set", "train.deterministic=true", "--epochs", longEpochs, "--log", "plain"}, flags...)...)
	return cmd, stderr
}

// checkpoints names the numbered checkpoints of the run tiny.
func checkpoints(dir string) string {
	paths, err := filepath.Glob(filepath.Join(dir, "runs", "tiny", "checkpoints", "step-*"))
	if err != nil {
		return ""
	}
	return strings.Join(paths, " ")
}

// TestClusterFaults kills workers, interrupts the run and kills it, and checks that
// it ends with the bits of a run on the CPU, and that no process stays.
func TestClusterFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	whole := writeTiny(t)
	cmd, _, stderr := command(t, whole, "train", "tiny.yaml", "--set", "train.deterministic=true", "--epochs", longEpochs)
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	want, wantMetrics := tensors(t, filepath.Join(whole, "runs", "tiny"))

	dir := writeTiny(t)
	sockets := filepath.Join(dir, "tmp")
	if err := os.Mkdir(sockets, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", sockets)
	run, words := long(t, dir)
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "workers", func() bool { return len(children(t, run.Process.Pid)) == 2 })
	waitFor(t, "a checkpoint", func() bool { return checkpoints(dir) != "" })
	victims := children(t, run.Process.Pid)
	if err := syscall.Kill(victims[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "another worker", func() bool {
		now := children(t, run.Process.Pid)
		return len(now) == 2 && now[0] != victims[0] && now[1] != victims[0] || !alive(run.Process.Pid)
	})
	crew := children(t, run.Process.Pid)
	run.Process.Signal(syscall.SIGINT) // the run may have ended, on a fast machine
	if err := run.Wait(); exitCode(t, err) != 130 && exitCode(t, err) != 0 {
		t.Fatalf("interrupted: %v\n%s", err, words)
	}
	gone(t, crew)

	run, _ = long(t, dir)
	run.Args = append(run.Args[:1], "train", "--resume", "runs/tiny", "--log", "plain")
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	before := checkpoints(dir)
	waitFor(t, "steps", func() bool { return checkpoints(dir) != before || !alive(run.Process.Pid) })
	crew = children(t, run.Process.Pid)
	run.Process.Kill()
	run.Wait()
	gone(t, crew)
	if left, _ := filepath.Glob(filepath.Join(sockets, "*")); len(left) > 0 {
		t.Errorf("the run that was killed has left %v", left)
	}

	run, words = long(t, dir)
	run.Args = append(run.Args[:1], "train", "--resume", "runs/tiny", "--log", "plain")
	if err := run.Run(); err != nil {
		t.Fatalf("resumed: %v\n%s", err, words)
	}
	got, gotMetrics := tensors(t, filepath.Join(dir, "runs", "tiny"))
	if !reflect.DeepEqual(got, want) || gotMetrics != wantMetrics {
		t.Errorf("other bits than on the CPU; metrics\n%s\nwant\n%s", gotMetrics, wantMetrics)
	}
}

// gone waits until processes have ended.
func gone(t *testing.T, pids []int) {
	t.Helper()
	for _, pid := range pids {
		waitFor(t, "the end of a worker", func() bool { return !alive(pid) })
	}
}

// startProgram starts a command that runs until the test ends, and returns its ID.
func startProgram(t *testing.T, dir string, args ...string) int {
	t.Helper()
	cmd, _, stderr := command(t, dir, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cmd.Wait()
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Errorf("gespann %s does not end", args[0])
			cmd.Process.Kill()
			<-ended
		}
		if t.Failed() {
			t.Logf("gespann %s said\n%s", args[0], stderr)
		}
	})
	return cmd.Process.Pid
}

// TestLostCoordinator kills the coordinator of a run and starts it again: workers
// and driver find it, and the run ends with the bits of one on the CPU.
func TestLostCoordinator(t *testing.T) {
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
	coordinator := []string{"coordinator", "--listen", at, "--state", filepath.Join(dir, "state")}
	pid := startProgram(t, dir, coordinator...)
	for range 2 {
		startProgram(t, dir, "worker", "--coordinator", at, "--backend", "cpu", "--threads", "1")
	}
	waitFor(t, "the coordinator", func() bool {
		code, _, _ := gespann(t, "", "jobs", "--coordinator", at)
		return code == exitOK
	})
	run, _, words := command(t, dir, append([]string{"train", "tiny.yaml", "--backend", "cluster", "--coordinator", at}, flags...)...)
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "a checkpoint", func() bool { return checkpoints(dir) != "" })
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	gone(t, []int{pid})
	startProgram(t, dir, coordinator...)
	if err := run.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, words)
	}
	contains(t, "the driver", words.String(), "the coordinator is there again")
	got, gotMetrics := tensors(t, filepath.Join(dir, "runs", "tiny"))
	if !reflect.DeepEqual(got, want) || gotMetrics != wantMetrics {
		t.Errorf("other bits than on the CPU; metrics\n%s\nwant\n%s", gotMetrics, wantMetrics)
	}
}

// TestStandingCluster trains on a coordinator with workers, from here and as jobs.
func TestStandingCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := writeTiny(t)
	at := "unix:" + filepath.Join(dir, "sockets", "c")
	startProgram(t, dir, "coordinator", "--listen", at, "--state", filepath.Join(dir, "state"))
	for _, name := range []string{"a", "b"} {
		startProgram(t, dir, "worker", "--coordinator", at, "--backend", "cpu", "--threads", "1", "--name", name)
	}
	waitFor(t, "the coordinator", func() bool {
		code, _, _ := gespann(t, "", "jobs", "--coordinator", at)
		return code == exitOK
	})
	config := filepath.Join(dir, "tiny.yaml")
	out := must(t, "train", config, "--runs", dir, "--name", "here", "--epochs", "2", "--log", "plain",
		"--backend", "cluster", "--coordinator", at)
	contains(t, "train", out, "epoch 2/2", "a       cpu", "b       cpu", "test   loss ")

	id := strings.TrimSpace(must(t, "submit", config, "--coordinator", at, "--epochs", "2"))
	contains(t, "logs", must(t, "logs", "-f", id, "--coordinator", at), "epoch 1/2", "epoch 2/2", "test   loss ",
		"next   gespann fetch "+id)
	for _, command := range [][]string{{"logs", id}, {"jobs"}} {
		_, _, words := gespann(t, "", append(command, "--coordinator", at)...)
		contains(t, "what is next", words, " fetch "+id+" --coordinator "+at)
	}
	contains(t, "jobs", must(t, "jobs", "--coordinator", at), id, "done", "2/2", "100 %")
	fetched := filepath.Join(dir, "fetched")
	contains(t, "fetch", must(t, "fetch", "tiny", "-o", fetched, "--coordinator", at), "saved  "+fetched)
	contains(t, "evaluate", must(t, "evaluate", fetched), "accuracy")

	endless := strings.TrimSpace(must(t, "submit", config, "--coordinator", at, "--epochs", "1000000"))
	waitFor(t, "the job", func() bool {
		return strings.Contains(must(t, "logs", endless, "--coordinator", at), " 3/1000000")
	})
	code, out, words := gespann(t, "", "cancel", endless, "--coordinator", at)
	if code != exitOK || out != "cancelled "+endless+"\n" || words != "cancelling "+endless+": it is running, and saves first\n" {
		t.Errorf("cancel: exit code %d\n%s%s", code, out, words)
	}
	contains(t, "its end", must(t, "jobs", "--coordinator", at), "cancelled") // it was waited for
	code, out, words = gespann(t, "", "fetch", endless, "-o", filepath.Join(dir, "half"), "--coordinator", at)
	if code != exitOK || !strings.Contains(words, "job "+endless+" is not done: cancelled in epoch ") {
		t.Errorf("fetch of a cancelled job: exit code %d\n%s%s", code, out, words)
	}
	bad := strings.TrimSpace(must(t, "submit", config, "--coordinator", at, "--set", "optimizer.adam.learning_rate=1e30"))
	gespann(t, "", "logs", "-f", bad, "--coordinator", at)
	code, out, words = gespann(t, "", "fetch", bad, "-o", filepath.Join(dir, "bad"), "--coordinator", at)
	if code != exitRun || out != "" || !strings.Contains(words, "is not done: failed in epoch 1") ||
		!strings.Contains(words, "no weights have been saved") {
		t.Errorf("fetch of a failed job: exit code %d\n%s%s", code, out, words)
	}
	code, _, words = gespann(t, "", "logs", "nobody", "--coordinator", at)
	if code != exitRun || !strings.Contains(words, "nobody") {
		t.Errorf("logs of no job: exit code %d\n%s", code, words)
	}
}
