package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gespann/gespann/dist/rpc"
	"github.com/gespann/gespann/dist/wire"
)

// memoryGroup makes a control group that may take so much memory, and returns the file
// that processes join by, and one that tells how much it has taken at most.
func memoryGroup(t *testing.T, bytes int64) (join, peak string) {
	t.Helper()
	name := fmt.Sprintf("gespann-test-%d", os.Getpid())
	for _, v := range []struct{ mount, limit, peak string }{
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.max_usage_in_bytes"},
		{"/sys/fs/cgroup", "memory.max", "memory.peak"},
	} {
		dir := filepath.Join(v.mount, name)
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		t.Cleanup(func() {
			for range 100 { // its processes are on their way out
				if os.Remove(dir) == nil {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
		if os.WriteFile(filepath.Join(dir, v.limit), []byte(strconv.FormatInt(bytes, 10)), 0) == nil {
			_ = os.WriteFile(filepath.Join(dir, "memory.swap.max"), []byte("0"), 0) // version 2, where there is swap
			return filepath.Join(dir, "cgroup.procs"), filepath.Join(dir, v.peak)
		}
	}
	t.Skip("no control group can be made here: that takes root")
	return "", ""
}

// TestMemoryHasATotal has four drivers send 280 MB each to a coordinator with 1 GiB,
// before it is their turn: it lives, and a job of another driver trains meanwhile.
func TestMemoryHasATotal(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a gigabyte")
	}
	const limit, elements = 1 << 30, 70 << 20 // 280 MiB
	join, peak := memoryGroup(t, limit)
	dir := writeTiny(t)
	socket := "unix:" + filepath.Join(socketDir(t), "s")
	coordinator, _, said := command(t, dir, "coordinator", "--listen", socket, "--dashboard", "none", "--state", filepath.Join(dir, "state"))
	inside := exec.Command("sh", append([]string{"-c", `echo $$ >"$0" && exec "$@"`, join}, coordinator.Args...)...)
	inside.Env, inside.Dir, inside.Stderr = coordinator.Env, dir, said
	if err := inside.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- inside.Wait() }()
	t.Cleanup(func() {
		if inside.Process.Signal(os.Interrupt) == nil {
			<-ended
		}
	})
	path := strings.TrimPrefix(socket, "unix:")
	waitFor(t, "the coordinator", func() bool { _, err := os.Stat(path); return err == nil })
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		all.Wait()
	})
	for i := range 2 {
		all.Go(func() {
			_ = work(ctx, terminal{err: new(safeBuffer)}, workerFlags{coordinator: socket, backend: kindCPU, threads: 1, name: fmt.Sprint(i)}, nil)
		})
	}
	tensors := make([]float32, elements)
	for i := range tensors {
		tensors[i] = 1
	}
	job := wire.Job{BatchSize: 1, Accumulate: 1, Strategy: "single", Workers: 9,
		Vars: []wire.Var{{Name: "w", Shape: []int{elements}, Role: "param"}}}
	for i := range 4 {
		job.ID = fmt.Sprintf("hostile-%d", i)
		all.Go(func() {
			for ctx.Err() == nil {
				c, err := rpc.Dial(ctx, socket, rpc.Driver, rpc.Trust{})
				if err != nil {
					continue
				}
				stop := context.AfterFunc(ctx, func() { c.Close() })
				if c.Send(wire.Frame{Message: &wire.Attach{Protocol: wire.Protocol, Job: job, Again: true}}) == nil {
					_ = c.Send(wire.Frame{Message: &wire.Restore{}, Floats: tensors})
				}
				for err == nil {
					_, err = c.Recv()
				}
				c.Close()
				stop()
			}
		})
	}
	honest, stdout, stderr := command(t, dir, "train", filepath.Join(dir, "tiny.yaml"), "--runs", dir, "--log", "plain",
		"--backend", "cluster", "--coordinator", socket, "--workers", "2", "--epochs", "200", "--set", "cluster.data=stream")
	if err := honest.Start(); err != nil {
		t.Fatal(err)
	}
	trained := make(chan error, 1)
	go func() { trained <- honest.Wait() }()
	select {
	case err := <-ended:
		_ = honest.Process.Kill()
		<-trained
		t.Fatalf("the coordinator has ended: %v\n%s", err, said)
	case err := <-trained:
		if err != nil {
			t.Fatalf("the honest run: %v\n%s", err, stderr)
		}
	}
	contains(t, "the honest run", stdout.String(), "epoch 200/200", "test   loss ")
	text, err := os.ReadFile(peak)
	if err != nil {
		t.Fatal(err)
	}
	most, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || most > limit*8/10 {
		t.Errorf("the coordinator has taken %d bytes of %d, %v", most, int64(limit), err)
	}
	t.Logf("it has taken %d MiB at most", most>>20)
}
