//go:build unix

package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestLostCoordinatorOfJob kills the coordinator of a submitted job, and a worker
// while nobody coordinates, and checks that the job goes on by itself, to the bits
// of a run on the CPU. Fault runs of many more kinds: go run ./bench -faults.
func TestLostCoordinatorOfJob(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	dir := writeTiny(t)
	flags := []string{"--set", "train.deterministic=true", "--epochs", longEpochs}
	config := filepath.Join(dir, "tiny.yaml")
	must(t, append([]string{"train", config, "--runs", dir, "--name", "cpu"}, flags...)...)
	want, wantMetrics := tensors(t, filepath.Join(dir, "cpu"))

	at := "unix:" + filepath.Join(dir, "sockets", "c")
	state := filepath.Join(dir, "state")
	coordinator := []string{"coordinator", "--listen", at, "--state", state}
	pid := startProgram(t, dir, coordinator...)
	var workers []int
	for range 3 {
		workers = append(workers, startProgram(t, dir, "worker", "--coordinator", at, "--backend", "cpu", "--threads", "1"))
	}
	waitFor(t, "the coordinator", func() bool {
		code, _, _ := gespann(t, "", "jobs", "--coordinator", at)
		return code == exitOK
	})
	id := strings.TrimSpace(must(t, append([]string{"submit", config, "--coordinator", at}, flags...)...))
	metrics := filepath.Join(state, "jobs", id, "run", "metrics.csv")
	waitFor(t, "epochs", func() bool {
		text, err := os.ReadFile(metrics)
		return err == nil && strings.Count(string(text), "\n") > 10
	})
	for _, victim := range []int{pid, workers[0]} {
		if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		gone(t, []int{victim})
	}
	// The disk has lost the end of the latest checkpoint.
	saved, err := filepath.Glob(filepath.Join(state, "jobs", id, "run", "checkpoints", "step-*.safetensors"))
	if err != nil || len(saved) < 2 {
		t.Fatalf("checkpoints: %v, %v", saved, err)
	}
	latest := saved[len(saved)-1]
	if err := errors.Join(os.Truncate(latest, 1000), os.Remove(filepath.Join(filepath.Dir(latest), "best.safetensors"))); err != nil {
		t.Fatal(err)
	}
	startProgram(t, dir, coordinator...)
	waitFor(t, "the coordinator again", func() bool {
		code, _, _ := gespann(t, "", "jobs", "--coordinator", at)
		return code == exitOK
	})
	contains(t, "logs", must(t, "logs", "-f", id, "--coordinator", at), "epoch "+longEpochs+"/", "test   loss ",
		"is damaged (truncated: ", "it is set aside as "+filepath.Base(latest)+".damaged.",
		"The run goes on from "+saved[len(saved)-2]+", the newest checkpoint that is whole, and repeats ")
	fetched := filepath.Join(dir, "fetched")
	must(t, "fetch", id, "-o", fetched, "--coordinator", at)
	got, gotMetrics := tensors(t, fetched)
	if !reflect.DeepEqual(got, want) || gotMetrics != wantMetrics {
		t.Errorf("other bits than on the CPU; metrics\n%s\nwant\n%s", gotMetrics, wantMetrics)
	}
}

// TestCancelAndKill cancels jobs and kills the coordinator as soon as it has answered:
// the next one does not begin with them again.
func TestCancelAndKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := writeTiny(t)
	config, state := filepath.Join(dir, "tiny.yaml"), filepath.Join(dir, "state")
	at := "unix:" + filepath.Join(dir, "sockets", "c")
	startProgram(t, dir, "worker", "--coordinator", at, "--backend", "cpu", "--threads", "1")
	var cancelled []string
	for round := range 4 { // the next job is queued, starting, waiting or running then
		pid := startProgram(t, dir, "coordinator", "--listen", at, "--state", state, "--dashboard", "none")
		var list string
		waitFor(t, "the coordinator", func() bool {
			code, out, _ := gespann(t, "", "jobs", "--coordinator", at)
			list = out
			return code == exitOK
		})
		for _, id := range cancelled {
			contains(t, "jobs of the next coordinator", list, id+"  cancelled")
		}
		for range 2 {
			cancelled = append(cancelled,
				strings.TrimSpace(must(t, "submit", config, "--coordinator", at, "--epochs", "1000000")))
		}
		time.Sleep(time.Duration(round) * 200 * time.Millisecond)
		for _, id := range cancelled[2*round:] {
			must(t, "cancel", "--wait=false", id, "--coordinator", at)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		gone(t, []int{pid})
	}
}
