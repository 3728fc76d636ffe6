//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/rpc"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/dist/worker"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/train"
	"github.com/gespann/gespann/model"
	"github.com/gespann/gespann/model/spec"
)

// A mob does something hostile in this process until the trial ends.
type mob struct {
	ctx  context.Context
	stop context.CancelFunc
	all  sync.WaitGroup
}

func (t *trial) mob() *mob {
	m := &mob{}
	m.ctx, m.stop = context.WithCancel(t.ctx)
	t.clean = append(t.clean, func() error {
		m.stop()
		m.all.Wait()
		return nil
	})
	return m
}

// A mangler is a connection of a worker whose commits are not what it computed.
type mangler struct {
	dist.Conn
	lies *atomic.Bool // by now
	lie  float32
}

// Send sends something else.
func (m *mangler) Send(f wire.Frame) error {
	if _, ok := f.Message.(*wire.Commit); ok && m.lies.Load() && len(f.Floats) > 0 {
		f.Floats = slices.Clone(f.Floats)
		f.Floats[len(f.Floats)/2] = m.lie
	}
	return m.Conn.Send(f)
}

// lie trains with two workers that are honest, and one that begins to lie at a random
// moment. What it commits is refused, and it is named.
func lie(t *trial) error {
	s, err := t.stand(2)
	if err != nil {
		return err
	}
	m, lies, what := t.mob(), new(atomic.Bool), float32(math.NaN())
	if t.n%2 == 1 {
		what = 1e30
	}
	peers, err := rpc.NewPeers(rpc.PeerOptions{Coordinator: s.address})
	if err != nil {
		return err
	}
	t.clean = append(t.clean, peers.Close)
	m.all.Go(func() {
		worker.Run(m.ctx, worker.Options{
			Dial: func(ctx context.Context) (dist.Conn, error) {
				conn, err := rpc.Dial(ctx, s.address, rpc.Worker, rpc.Trust{})
				return &mangler{conn, lies, what}, err
			},
			Peers: peers, Host: peers.Host(), Name: "liar", Backend: "cpu", Threads: 1, Open: openJob,
		})
	})
	err = t.until("the liar", 20*time.Second, func() bool { return t.said("coordinator", " joined") > 2 })
	if err != nil {
		return err
	}
	driver, err := t.trainAt(s)
	if err != nil {
		return err
	}
	if err := t.moment(driver.over); err != nil {
		return err
	}
	t.strike()
	lies.Store(true)
	if err := t.finish(driver); err != nil {
		return err
	}
	if t.said("coordinator", "liar") == t.said("coordinator", "liar", " joined") {
		return errors.New("the coordinator does not say who lied")
	}
	return nil
}

// openJob opens a job as a worker's command does.
func openJob(ctx context.Context, job wire.Job, set *data.Set) (backend.Session, error) {
	s, err := train.ParseSpec("job", job.Spec, spec.Options{})
	if err != nil {
		return nil, err
	}
	m, err := model.Build(s, model.Input{Shape: set.Prep.Shape, Classes: set.Prep.Classes})
	if err != nil {
		return nil, err
	}
	b, err := backend.Lookup("cpu")
	if err != nil {
		return nil, err
	}
	return b.Open(ctx, backend.Job{
		Spec: job.Spec, Programs: m, Data: set, Seed: job.Seed, BatchSize: job.BatchSize,
		Accumulate: job.Accumulate, Shuffle: job.Shuffle, Shards: job.Shards, Threads: 1, Precision: "fp32",
	})
}

// hello is how TLS begins, without what follows.
const hello = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"

// besiege has so many strangers connect to an address, say something, and hold the
// connection as long as it lasts, again and again.
func (m *mob) besiege(address string, strangers int, says ...string) {
	for i := range strangers {
		// Each has an address of its own, as those who come from elsewhere.
		dialer := net.Dialer{Timeout: time.Second,
			LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1+byte(i/200), 1+byte(i%200))}}
		m.all.Go(func() {
			for round := i; m.ctx.Err() == nil; round++ {
				if c, err := dialer.DialContext(m.ctx, "tcp", address); err == nil {
					end := context.AfterFunc(m.ctx, func() { c.Close() })
					c.Write([]byte(says[round%len(says)]))
					c.SetReadDeadline(time.Now().Add(20 * time.Second))
					c.Read(make([]byte, 1))
					end()
					c.Close()
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
}

// crowd has more strangers at the port of a coordinator than it has places, while a
// training goes on, a worker joins, and someone asks for the jobs.
func crowd(t *trial) error {
	t.certs = filepath.Join(t.dir, "certs")
	if _, err := t.output("certs", t.certs); err != nil {
		return err
	}
	s, driver, err := t.underway(2)
	if err != nil {
		return err
	}
	t.strike()
	t.mob().besiege(s.address, 600, "", "GET / HTTP/1.1\r\n\r\n", hello, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	if err := t.sleep(t.upTo(2 * time.Second)); err != nil {
		return err
	}
	newcomer, err := t.work(s)
	if err != nil {
		return err
	}
	err = t.until("a worker to get through", 20*time.Second, func() bool {
		return driver.over() || t.said("coordinator", newcomer.name, " joined") > 0
	})
	if err != nil {
		return err
	}
	if driver.over() && t.said("coordinator", newcomer.name, " joined") == 0 {
		return errMissed
	}
	begun := time.Now()
	if _, err := t.output(append([]string{"jobs", "--coordinator", s.address}, t.trust()...)...); err != nil {
		return err
	}
	if d := time.Since(begun); d > 10*time.Second {
		return fmt.Errorf("jobs took %v", d)
	}
	return t.finish(driver)
}

// openPages opens more pages than a coordinator keeps, by readers that do not read, and
// asks whether it is well.
func openPages(t *trial) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	t.page = fmt.Sprintf("127.0.0.1:%d", port)
	_, driver, err := t.underway(2)
	if err != nil {
		return err
	}
	t.strike()
	t.mob().besiege(t.page, 300, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
	asked := 0
	for begun := time.Now(); time.Since(begun) < 4*time.Second && !driver.over(); asked++ {
		if err := healthy(t.page); err != nil {
			return fmt.Errorf("/healthz, asked for the %d. time: %w", asked+1, err)
		}
		if err := t.sleep(100 * time.Millisecond); err != nil {
			return err
		}
	}
	if asked < 5 {
		return errMissed
	}
	return t.finish(driver)
}

// healthy asks a coordinator whether it is.
func healthy(address string) error {
	c, err := net.DialTimeout("tcp", address, 2*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Second))
	fmt.Fprint(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	line, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && !strings.Contains(line, " 200 ") {
		err = errors.New(strings.TrimSpace(line))
	}
	return err
}

// Sizes of floodMemory.
const (
	cageBytes   = 1 << 30
	restoreSize = 100 << 20 // floats: 400 MiB
)

// floodMemory has a coordinator that may take 1 GiB of memory, and four drivers that send
// 400 MiB each before it is their turn, while a training goes on.
func floodMemory(t *trial) error {
	if err := t.confine(cageBytes); err != nil {
		return err
	}
	s, driver, err := t.underway(2)
	if err != nil {
		return err
	}
	t.strike()
	m, floats := t.mob(), make([]float32, restoreSize)
	var sent atomic.Int32
	for i := range 4 {
		m.all.Go(func() {
			defer sent.Add(1)
			conn, err := rpc.Dial(m.ctx, s.address, rpc.Driver, rpc.Trust{})
			if err != nil {
				return
			}
			defer conn.Close()
			end := context.AfterFunc(m.ctx, func() { conn.Close() })
			defer end()
			m.all.Go(func() {
				for {
					if _, err := conn.Recv(); err != nil {
						return
					}
				}
			})
			id := fmt.Sprint("greedy-", i)
			conn.Send(wire.Frame{Message: &wire.Attach{Protocol: wire.Protocol, Job: wire.Job{
				ID: id, Name: id, Spec: []byte("none"), BatchSize: 1, Accumulate: 1, Strategy: "sync", Wire: "fp32",
				DataFrom: "auto", Workers: 1, Rows: [3]int{1, 0, 0}, Digest: "none",
				Vars: []wire.Var{{Name: "w", Shape: []int{restoreSize}, Role: "param"}},
			}}})
			conn.Send(wire.Frame{Message: &wire.Restore{}, Floats: floats})
		})
	}
	err = t.until("the drivers", 60*time.Second, func() bool { return sent.Load() == 4 || s.chief.over() || driver.over() })
	if err != nil {
		return err
	}
	m.stop()
	if s.chief.over() {
		return fmt.Errorf("the coordinator has ended: %v: %s", s.chief.err, tail(s.chief.log))
	}
	return t.finish(driver)
}

// confine has the coordinator of the trial run in a control group of its own, with so much
// memory.
func (t *trial) confine(bytes int64) error {
	folder, limit := filepath.Join("/sys/fs/cgroup/memory", filepath.Base(t.lab.dir)+fmt.Sprint("-", t.n)), "memory.limit_in_bytes"
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil { // version 2
		folder, limit = filepath.Join("/sys/fs/cgroup", filepath.Base(folder)), "memory.max"
	}
	if err := os.Mkdir(folder, 0o755); err != nil {
		return err
	}
	t.clean = append(t.clean, func() error { return os.Remove(folder) })
	t.cage = filepath.Join(folder, "cgroup.procs")
	return os.WriteFile(filepath.Join(folder, limit), fmt.Appendln(nil, bytes), 0o644)
}
