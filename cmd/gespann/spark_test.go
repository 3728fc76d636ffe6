//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A Spark that .ci/engines has started says where it is, and where its page is.
const (
	sparkAddress = "GESPANN_TEST_SPARK"      // for --launch
	sparkPage    = "GESPANN_TEST_SPARK_PAGE" // http://host:port
	sparkDir     = "GESPANN_TEST_SPARK_DIR"  // of its machines' temporary files, and w1, w2, ... of what they run
)

// within waits for what Spark does: each of its processes takes seconds to start.
func within(t *testing.T, what string, f func() bool) {
	t.Helper()
	for begin := time.Now(); !f(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begin) > 5*time.Minute {
			t.Fatalf("waited too long for %s", what)
		}
	}
}

// sparkLists returns how many applications and drivers a master's page lists as active.
func sparkLists(t *testing.T, page string) int {
	t.Helper()
	res, err := http.Get(page + "/json/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var lists struct{ ActiveApps, ActiveDrivers []any }
	if err := json.NewDecoder(res.Body).Decode(&lists); err != nil {
		t.Fatal(err)
	}
	return len(lists.ActiveApps) + len(lists.ActiveDrivers)
}

// parent returns the parent of a process; 0: there is no such process.
func parent(pid int) (ppid int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(text), ") ")
	var state string
	fmt.Sscan(rest, &state, &ppid)
	if state == "Z" {
		return 0
	}
	return ppid
}

// TestLaunchSpark trains on a real Spark. A worker is killed, and an executor; then the
// driver of another run.
func TestLaunchSpark(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for a minute")
	}
	address, page, there := os.Getenv(sparkAddress), os.Getenv(sparkPage), os.Getenv(sparkDir)
	if address == "" {
		lacks(t, "there is no Spark: .ci/engines spark starts one")
	}
	flags := []string{"--set", "train.deterministic=true", "--set", "train.checkpoint_every=50 steps", "--log", "plain"}
	dir := writeTiny(t)
	cmd, _, stderr := command(t, dir, append([]string{"train", "tiny.yaml", "--name", "cpu", "--epochs", longEpochs}, flags...)...)
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	want, wantMetrics := tensors(t, filepath.Join(dir, "runs", "cpu"))
	workers := func() []int { return launchedWorkers(there) }
	train := func(name, epochs string) (stop func(syscall.Signal) error, words fmt.Stringer) {
		run, _, said := command(t, dir, append([]string{"train", "tiny.yaml", "--name", name, "--backend", "cluster",
			"--launch", address, "--workers", "2", "--epochs", epochs}, flags...)...)
		if err := run.Start(); err != nil {
			t.Fatal(err)
		}
		within(t, "a checkpoint", func() bool { return checkpoints2(dir, name) != "" || run.Process.Signal(syscall.Signal(0)) != nil })
		return func(s syscall.Signal) error {
			if s != 0 {
				run.Process.Signal(s)
			}
			return run.Wait()
		}, said
	}

	stop, said := train("bits", longEpochs)
	if err := stop(0); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	if left := workers(); len(left) > 0 {
		t.Errorf("workers %v are left", left)
	}
	if programs, _ := filepath.Glob(filepath.Join(there, "w*", "*", "*", "gespann")); len(programs) > 0 {
		t.Errorf("%v are left", programs)
	}
	got, gotMetrics := tensors(t, filepath.Join(dir, "runs", "bits"))
	if !reflect.DeepEqual(got, want) || gotMetrics != wantMetrics {
		t.Errorf("other bits than on the CPU; metrics\n%s\nwant\n%s", gotMetrics, wantMetrics)
	}
	if n := sparkLists(t, page); n > 0 {
		t.Errorf("%d applications and drivers are left", n)
	}

	stop, said = train("faults", "1000000")
	var crew []int
	within(t, "two workers", func() bool { crew = workers(); return len(crew) == 2 })
	executor := parent(crew[1])
	if line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", executor)); !strings.Contains(string(line), "CoarseGrainedExecutorBackend") {
		t.Errorf("the parent of worker %d is %q", crew[1], line)
	}
	syscall.Kill(crew[0], syscall.SIGKILL)
	within(t, "a worker in place of the one that was killed", func() bool { n := workers(); return len(n) == 2 && n[0] != crew[0] && n[1] != crew[0] })
	syscall.Kill(executor, syscall.SIGKILL)
	within(t, "the end of the worker whose executor was killed", func() bool { return parent(crew[1]) == 0 })
	within(t, "another executor", func() bool { return len(workers()) == 2 })
	contains(t, "the driver", said.String(), "worker 1 of Spark has ended", "worker 2 of Spark has ended", "starting it again")
	before := checkpoints2(dir, "faults")
	within(t, "training to go on", func() bool { return checkpoints2(dir, "faults") != before })

	stop(syscall.SIGKILL)
	within(t, "the end of the workers", func() bool { return len(workers()) == 0 })
	within(t, "the end of application and driver", func() bool { return sparkLists(t, page) == 0 })

	// What a worker says is where Spark's page shows it; nothing there is secret.
	logs, _ := filepath.Glob(filepath.Join(there, "w*", "*", "*", "std*"))
	var all strings.Builder
	for _, path := range logs {
		text, _ := os.ReadFile(path)
		all.Write(text)
	}
	if !strings.Contains(all.String(), `msg="job is open" job=faults`) {
		t.Error("the executors' pages lack what workers say")
	}
	if strings.Contains(all.String(), "PRIVATE KEY") || strings.Contains(all.String(), "GESPANN_KEY") {
		t.Error("the executors' pages have secrets")
	}
}
