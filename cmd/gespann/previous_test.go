//go:build unix

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// previous are versions whose state and runs are in testdata/previous: a coordinator that
// was killed while it ran the second of four jobs, a run that was killed, and one that is
// whole.
var previous = []string{"398754d", "0fa7c68"}

// TestPreviousState has today's coordinator and worker go on with the jobs of an earlier
// one: all are listed, those that are done are fetched as they were, and the others end
// with the bits of a run by today's program alone.
func TestPreviousState(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	for _, version := range previous {
		t.Run(version, func(t *testing.T) {
			t.Setenv(asProgram, "1")
			dir := writeTiny(t)
			if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "previous", version))); err != nil {
				t.Fatal(err)
			}
			config := filepath.Join(dir, "small.yaml")
			at := "unix:" + filepath.Join(dir, "sockets", "c")
			startProgram(t, dir, "coordinator", "--listen", at, "--state", filepath.Join(dir, "state"))
			for range 2 {
				startProgram(t, dir, "worker", "--coordinator", at, "--backend", "cpu", "--threads", "1")
			}
			waitFor(t, "the coordinator", func() bool {
				code, _, _ := gespann(t, "", "jobs", "--coordinator", at)
				return code == exitOK
			})
			ids := jobIDs(t, filepath.Join(dir, "state"))
			list := must(t, "jobs", "--coordinator", at)
			for _, name := range []string{"first", "second", "third", "fourth"} {
				contains(t, "jobs", list, ids[name])
			}
			contains(t, "logs", must(t, "logs", ids["first"], "--coordinator", at), "epoch 2/2")
			for name, epochs := range map[string]string{"first": "2", "second": "1500", "third": "3"} {
				must(t, "logs", "-f", ids[name], "--coordinator", at)
				fetched := filepath.Join(dir, "fetched", name)
				must(t, "fetch", ids[name], "-o", fetched, "--coordinator", at)
				must(t, "train", config, "--runs", dir, "--name", name, "--backend", "cpu", "--epochs", epochs,
					"--set", "train.checkpoint_every=100 epochs")
				sameRun(t, name, fetched, filepath.Join(dir, name))
			}
			if state := jobState(t, filepath.Join(dir, "state"), ids["fourth"]); state != "cancelled" {
				t.Errorf("the fourth is %s, want it cancelled as before", state)
			}
		})
	}
}

// TestPreviousRuns resumes a run of an earlier version, and evaluates one.
func TestPreviousRuns(t *testing.T) {
	for _, version := range previous {
		t.Run(version, func(t *testing.T) {
			dir := writeTiny(t)
			if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "previous", version))); err != nil {
				t.Fatal(err)
			}
			whole, half := filepath.Join(dir, "runs", "whole"), filepath.Join(dir, "runs", "half")
			contains(t, "evaluate", must(t, "evaluate", whole, "--split", "training"), "accuracy")
			contains(t, "resume", must(t, "train", "--resume", half, "--epochs", "60", "--log", "plain"), "epoch 60/60")
			must(t, "train", filepath.Join(dir, "small.yaml"), "--runs", dir, "--name", "now", "--epochs", "60")
			sameRun(t, "resumed", half, filepath.Join(dir, "now"))
			must(t, "train", filepath.Join(dir, "small.yaml"), "--runs", dir, "--name", "two", "--epochs", "2")
			sameRun(t, "whole", whole, filepath.Join(dir, "two"))
		})
	}
}

func sameRun(t *testing.T, what, got, want string) {
	t.Helper()
	gotTensors, gotMetrics := tensors(t, got)
	wantTensors, wantMetrics := tensors(t, want)
	if !reflect.DeepEqual(gotTensors, wantTensors) || gotMetrics != wantMetrics {
		t.Errorf("%s: other bits than today's; metrics\n%.300s\nwant\n%.300s", what, gotMetrics, wantMetrics)
	}
}

// jobIDs returns the IDs of the jobs of a state folder, by what is before the digits.
func jobIDs(t *testing.T, state string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(state, "jobs"))
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for _, e := range entries {
		name, _, _ := strings.Cut(e.Name(), "-")
		ids[name] = e.Name()
	}
	return ids
}

func jobState(t *testing.T, state, id string) string {
	t.Helper()
	var r struct{ State string }
	text, err := os.ReadFile(filepath.Join(state, "jobs", id, "job.json"))
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r.State
}
