package main

import (
	"net"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// TestLaunchPlace runs one command as the three ranks that torchrun would start: rank 0
// drives, the others are its workers and end with the run, which has the bits of one on
// the CPU. Started again, the command goes on with it.
func TestLaunchPlace(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	dir := writeTiny(t)
	flags := []string{"train", "tiny.yaml", "--set", "train.deterministic=true", "--epochs", "3", "--log", "plain"}
	cpu, _, stderr := command(t, dir, append(flags, "--name", "cpu")...)
	if err := cpu.Run(); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	want, wantMetrics := tensors(t, filepath.Join(dir, "runs", "cpu"))
	must(t, "certs", filepath.Join(dir, "certs"))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	l.Close()
	for i, epochs := range []string{"2", "3"} {
		var ranks []*exec.Cmd
		var logs []interface{ String() string }
		for rank := range 3 {
			cmd, _, log := command(t, dir, append(flags, "--epochs", epochs, "--name", "place", "--continue", "--backend", "cluster",
				"--launch", "place", "--certs", "certs", "--set", "cluster.listen="+at)...)
			cmd.Env = append(cmd.Environ(), "RANK="+strconv.Itoa(rank), "LOCAL_RANK=0", "WORLD_SIZE=3", "MASTER_ADDR=127.0.0.1")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ranks, logs = append(ranks, cmd), append(logs, log)
		}
		for rank, cmd := range ranks {
			if err := cmd.Wait(); err != nil {
				t.Fatalf("rank %d: %v\n%s", rank, err, logs[rank])
			}
		}
		if again := strings.Contains(logs[0].String(), "going on with "+filepath.Join("runs", "place")); again != (i == 1) {
			t.Errorf("time %d: goes on: %v\n%s", i+1, again, logs[0])
		}
	}
	got, gotMetrics := tensors(t, filepath.Join(dir, "runs", "place"))
	if !reflect.DeepEqual(got, want) || gotMetrics != wantMetrics {
		t.Errorf("other bits than on the CPU; metrics\n%s\nwant\n%s", gotMetrics, wantMetrics)
	}
	for want, args := range map[string][]string{
		"--continue: which run?":                      {"tiny.yaml", "--continue"},
		"--continue: is for a configuration file":     {"tiny.yaml", "--continue", "--from", "runs/cpu"},
		"no variable of the environment tells of one": {"tiny.yaml", "--backend", "cluster", "--launch", "place", "--certs", "certs"},
	} {
		cmd, _, words := command(t, dir, append([]string{"train"}, args...)...)
		if err := cmd.Run(); err == nil || !strings.Contains(words.String(), want) {
			t.Errorf("%v: %v\n%s\nwant %s", args, err, words, want)
		}
	}
}
