package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/gespann/gespann/dist/rpc"
	"github.com/gespann/gespann/dist/server"
	"github.com/gespann/gespann/dist/web"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/clock"
	"github.com/gespann/gespann/internal/memlimit"
)

// A pulse is what a coordinator says of itself.
type pulse struct {
	Page, Address string // where it is reached
	Workers       int
	Totals        server.Totals
	HeapMiB       float64 // in use
	Goroutines    int
	LogBytes      int64
	Took          time.Duration // for the order
	Err           string        // of that
}

// An order is for the driver of a run, which is in the coordinator's process; an empty one asks for a
// pulse only.
type order struct {
	Attach  string `json:",omitempty"` // strategy of a run that is to begin
	Workers int    `json:",omitempty"`
	Span    int    `json:",omitempty"` // steps to take
	Detach  bool   `json:",omitempty"`
}

// A boss follows orders.
type boss struct {
	server *server.Server
	run    *crowdRun // nil: none
}

func (b *boss) follow(o order) (err error) {
	switch {
	case o.Attach != "":
		b.run, err = attach(b.server.Connect(), o.Attach, o.Workers)
	case o.Span > 0:
		_, err = b.run.span(o.Span)
	case o.Detach:
		err = errors.Join(b.run.conn.Send(wire.Frame{Message: &wire.Detach{}}), b.run.conn.Close())
		b.run = nil
	}
	return err
}

// counter counts what is written to it.
type counter struct {
	mu sync.Mutex
	n  int64
}

func (c *counter) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n += int64(len(p))
	return len(p), nil
}

func (c *counter) bytes() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// A slowClock has time pass more slowly.
type slowClock struct {
	clock.Clock
	by time.Duration
}

// Elapsed implements clock.Clock.
func (c slowClock) Elapsed() time.Duration { return c.Clock.Elapsed() / c.by }

// serveCrowd is a coordinator as gespann coordinator makes one, on loopback, with a page and a
// disk. It says a pulse at its start and for each order that comes, and ends with its input.
//
// Slow is how many times as slowly as in truth its clock goes: with a crowd that is as slow, a
// machine that others use, too, has time for all of it.
func serveCrowd(in io.Reader, out io.Writer, slow int) error {
	state, err := os.MkdirTemp("", "crowd-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(state)
	log, memory := new(counter), memlimit.NewBudget(0)
	ticks := time.NewTicker(time.Duration(slow) * time.Second / 4)
	defer ticks.Stop()
	s, err := server.New(server.Options{Clock: slowClock{clock.System{}, time.Duration(slow)}, Ticks: ticks.C, State: filepath.Join(state, "state"), Memory: memory, Version: "bench", Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer s.Close()
	defer cancel()
	port, err := rpc.Listen(rpc.Options{Listen: "127.0.0.1:0", Memory: memory, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	wg.Go(func() { port.Serve(ctx, rpc.Handler{Worker: s.Worker, Driver: s.Driver, Client: s.Client}) })
	page, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	wg.Go(func() { web.ServeOn(ctx, page, web.Handler(s, web.Options{})) })
	say, orders := json.NewEncoder(out), json.NewDecoder(in)
	chief, p := boss{server: s}, pulse{Page: "http://" + page.Addr().String(), Address: port.Addr()}
	for {
		var mem runtime.MemStats
		runtime.ReadMemStats(&mem)
		v := s.View()
		p.Workers, p.Totals, p.LogBytes = len(v.Workers), v.Totals, log.bytes()
		p.HeapMiB, p.Goroutines = float64(mem.HeapInuse)/(1<<20), runtime.NumGoroutine()
		if err := say.Encode(p); err != nil {
			return err
		}
		var o order
		if err := orders.Decode(&o); err != nil {
			return nil // whoever has started this is gone
		}
		began := time.Now()
		p.Err = ""
		if err := chief.follow(o); err != nil {
			p.Err = err.Error()
		}
		p.Took = time.Since(began)
	}
}

// usage returns the seconds of processors that a process has had, and its memory in MiB, now
// and at most.
func usage(pid int) (cpu, rss, most float64, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, 0, err
	}
	var user, system float64
	fields := strings.Fields(string(stat)[strings.LastIndex(string(stat), ")")+1:])
	fmt.Sscan(fields[11]+" "+fields[12], &user, &system) // proc_pid_stat(5): 14 and 15, in ticks of 10 ms
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(line, ":")
		switch key {
		case "VmRSS":
			fmt.Sscan(value, &rss)
		case "VmHWM":
			fmt.Sscan(value, &most)
		}
	}
	return (user + system) / 100, rss / 1024, most / 1024, err
}
