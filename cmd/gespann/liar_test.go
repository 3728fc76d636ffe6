//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/rpc"
	"github.com/gespann/gespann/dist/server"
	"github.com/gespann/gespann/dist/strategy"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/dist/worker"
)

// A liarConn changes what a worker sends.
type liarConn struct {
	dist.Conn
	lie func(f wire.Frame) wire.Frame
}

func (c liarConn) Send(f wire.Frame) error { return c.Conn.Send(c.lie(f)) }

// hireLiar lets a worker work whose frames are changed.
func hireLiar(ctx context.Context, t *testing.T, f workerFlags, lie func(f wire.Frame) wire.Frame) error {
	t.Helper()
	device, err := f.settle(ctx)
	if err != nil {
		return err
	}
	f.proven = true
	reader, err := f.reader(ctx, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	peers, err := rpc.NewPeers(rpc.PeerOptions{Coordinator: f.coordinator})
	if err != nil {
		return err
	}
	defer peers.Close()
	return worker.Run(ctx, worker.Options{
		Dial: func(ctx context.Context) (dist.Conn, error) {
			c, err := rpc.Dial(ctx, f.coordinator, rpc.Worker, rpc.Trust{})
			return liarConn{c, lie}, err
		},
		Peers: peers, Host: peers.Host(), Name: f.name, Backend: f.backend, Device: device, Threads: 1,
		Load: reader.load, Open: f.open,
	})
}

// A staff is a coordinator with workers in this process.
type staff struct {
	server  *server.Server
	address string
	log     *safeBuffer
}

// safeBuffer is a buffer for several writers.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// hire starts a coordinator with honest workers, and those of lies.
func hire(t *testing.T, honest int, lies ...func(f wire.Frame) wire.Frame) staff {
	t.Helper()
	s := staff{address: "unix:" + filepath.Join(socketDir(t), "s"), log: &safeBuffer{}}
	log := slog.New(slog.NewTextHandler(s.log, nil))
	port, err := rpc.Listen(rpc.Options{Listen: s.address, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	if s.server, err = server.New(server.Options{Log: log}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		_ = port.Serve(ctx, rpc.Handler{Worker: s.server.Worker, Driver: s.server.Driver, Client: s.server.Client})
	})
	flags := func(name string) workerFlags {
		return workerFlags{coordinator: s.address, backend: kindCPU, threads: 1, name: name}
	}
	for i, lie := range lies {
		all.Go(func() { _ = hireLiar(ctx, t, flags(fmt.Sprintf("liar-%d", i+1)), lie) })
	}
	waitFor(t, "the first workers", func() bool { return len(s.server.View().Workers) == len(lies) })
	for i := range honest {
		all.Go(func() { _ = work(ctx, terminal{err: s.log}, flags(fmt.Sprintf("honest-%d", i+1)), nil) })
	}
	waitFor(t, "all workers", func() bool { return len(s.server.View().Workers) == honest+len(lies) })
	t.Cleanup(func() {
		cancel()
		if err := s.server.Close(); err != nil {
			t.Error(err)
		}
		all.Wait()
	})
	return s
}

// train trains tiny.yaml with the staff.
func (s staff) train(t *testing.T, strategy string, workers int, flags ...string) (code int, out, run string) {
	t.Helper()
	dir := writeTiny(t)
	args := append([]string{"train", filepath.Join(dir, "tiny.yaml"), "--runs", dir, "--name", "run", "--log", "plain",
		"--backend", "cluster", "--coordinator", s.address, "--strategy", strategy, "--workers", fmt.Sprint(workers),
		"--set", "cluster.probe=false", "--set", "cluster.data=stream"}, flags...)
	if strategy == "eamsgd" {
		if len(flags) < 3 {
			args = append(args, "--set", "optimizer=sgd")
		}
		args = append(args, "--set", "optimizer.sgd.momentum=0.9", "--set", "optimizer.sgd.nesterov=true")
	}
	code, stdout, stderr := gespann(t, "", args...)
	return code, stdout + stderr, filepath.Join(dir, "run")
}

// TestLiars has a worker that sends numbers that are not finite, or absurd, with every
// strategy: they reach neither the center nor the base; it is dropped, and named.
func TestLiars(t *testing.T) {
	lies := map[string]func(v []float32){
		"a NaN":          func(v []float32) { v[len(v)/2] = float32(math.NaN()) },
		"an infinity":    func(v []float32) { v[0] = float32(math.Inf(-1)) },
		"a large number": func(v []float32) { v[7] = 1e30 },
		"all larger": func(v []float32) {
			for i := range v {
				v[i] = 1e5 * (v[i] + 1e-3)
			}
		},
	}
	for _, s := range strategy.All() {
		for name, lie := range lies {
			together := s.Pattern == strategy.AllReduce || s.Pattern == strategy.Alone
			if together && strings.Contains(name, "large") {
				continue // nobody compares what members of a group have
			}
			if s.Pattern == strategy.Alone {
				continue // it is alone
			}
			if testing.Short() && name != "a NaN" && s.Name != "downpour" {
				continue
			}
			t.Run(s.Name+"/"+name, func(t *testing.T) {
				var told atomic.Int64
				staff := hire(t, 2, func(f wire.Frame) wire.Frame {
					switch f.Message.(type) {
					case *wire.Commit, *wire.State:
						if told.Add(1) == 2 || s.Pattern != strategy.Members && told.Load() > 5 || together {
							f.Floats = append([]float32{}, f.Floats...)
							lie(f.Floats)
						}
					}
					return f
				})
				code, out, run := staff.train(t, s.Name, 3, "--epochs", "6")
				if code != exitOK {
					t.Fatalf("exit code %d:\n%s\n%s", code, out, staff.log)
				}
				contains(t, "what the driver is told", out, "cluster: liar-1 was dropped: sent numbers")
				contains(t, "the log", staff.log.String(), "liar-1 dropped: sent numbers")
				if strings.Contains(staff.log.String(), "honest-1 dropped") || strings.Contains(staff.log.String(), "honest-2 dropped") {
					t.Errorf("an honest worker was dropped:\n%s", staff.log)
				}
				all, _ := tensors(t, run)
				for _, v := range all {
					for i, x := range v.Data {
						if !(math.Abs(float64(x)) < 100) {
							t.Fatalf("%s[%d] is %v", v.Name, i, x)
						}
					}
				}
			})
		}
	}
}

// TestNoFalseAlarm trains with every strategy at learning rates that are too high, up to
// ones with which it diverges at once: no worker is blamed for that.
func TestNoFalseAlarm(t *testing.T) {
	for _, s := range strategy.All() {
		for _, rate := range []string{"100", "1e4", "1e6", "1e20"} {
			if testing.Short() && (rate != "1e6" || s.Name != "local_sgd" && s.Name != "downpour") {
				continue
			}
			t.Run(s.Name+"/"+rate, func(t *testing.T) {
				staff := hire(t, 3)
				flags := []string{"--epochs", "4", "--set", "optimizer=sgd", "--set", "optimizer.sgd.learning_rate=" + rate}
				if s.Pattern == strategy.Windows && strings.HasSuffix(s.Name, "sgd") && s.Name != "dynsgd" {
					flags = append(flags, "--set", "cluster.strategy."+s.Name+".rho=1e-21")
				}
				code, out, _ := staff.train(t, s.Name, 3, flags...)
				t.Logf("exit code %d: %s", code, out[strings.LastIndex(out[:len(out)-1], "\n")+1:])
				if strings.Contains(staff.log.String(), "dropped") {
					t.Errorf("a worker was dropped:\n%s\n%s", out, staff.log)
				}
			})
		}
	}
}
