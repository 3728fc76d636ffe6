package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"
)

// What a crowd does.
const (
	crowdHost  = 8                      // workers of a machine
	crowdVars  = 25_000                 // 100 kB of variables
	crowdStep  = 100 * time.Millisecond // of computing
	crowdTime  = 8 * time.Second        // of each phase
	crowdEvery = 4 * time.Second        // between losses: 1,000 workers of which 1 % are lost in an hour, 90 times as fast
)

// A stage is a crowd, its coordinator in a process of its own, and who watches.
type stage struct {
	*throng
	ctx   context.Context
	sims  []*sim
	n     int
	chief *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Scanner
	first pulse
}

// gatherCrowd has a real coordinator serve so many simulated workers, and prints what that takes.
func gatherCrowd(n, slow int) error {
	ctx, cancel := context.WithCancel(context.Background())
	s := &stage{throng: &throng{perHost: crowdHost, step: crowdStep, slow: time.Duration(slow), vars: make([]float32, crowdVars)}, ctx: ctx, n: n}
	defer s.wg.Wait()
	defer cancel()
	if err := s.start(); err != nil {
		return err
	}
	defer s.end()
	fmt.Println(measureLoad(2))
	fmt.Printf("%d workers, %d to a machine, %d variables, steps of %v; coordinator in a process of its own, loopback, "+
		"page open in one browser, metrics asked for every 5 s; %d times as slowly as in truth\n\n", n, crowdHost, crowdVars, crowdStep, slow)
	fmt.Printf("| phase | s | s of CPU | cores | MiB | messages/s | MB in | MB out | longest | what |\n|---|---|---|---|---|---|---|---|---|---|\n")
	s.watch()
	for _, phase := range []func() error{s.arrive, s.idle, s.sync, s.churn, s.leases} {
		if err := phase(); err != nil {
			return err
		}
	}
	_, _, most, err := usage(s.chief.Process.Pid)
	p, perr := s.pulse()
	fmt.Printf("\nat most %.0f MiB; %.1f MiB of heap in use, %d goroutines, a log of %.1f MB; Form is %.1f kB, and was sent %d times\n",
		most, p.HeapMiB, p.Goroutines, float64(p.LogBytes)/1e6, float64(s.formBytes.Load())/1e3, s.formed.Load())
	return errors.Join(err, perr)
}

// start starts the coordinator.
func (s *stage) start() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	s.chief = exec.Command(self, "-serve", "coordinator", "-slow", strconv.Itoa(int(s.slow)))
	s.chief.Stderr = os.Stderr
	if s.in, err = s.chief.StdinPipe(); err != nil {
		return err
	}
	out, err := s.chief.StdoutPipe()
	if err != nil {
		return err
	}
	s.out = bufio.NewScanner(out)
	if err := s.chief.Start(); err != nil {
		return err
	}
	if err := s.hear(&s.first); err != nil {
		return err
	}
	s.address = s.first.Address
	return nil
}

func (s *stage) end() {
	s.in.Close()
	s.chief.Wait()
}

func (s *stage) hear(p *pulse) error {
	if !s.out.Scan() {
		return errors.New("the coordinator has ended")
	}
	return json.Unmarshal(s.out.Bytes(), p)
}

// pulse asks the coordinator how it is.
func (s *stage) pulse() (p pulse, err error) {
	if _, err = io.WriteString(s.in, "{}\n"); err == nil {
		err = s.hear(&p)
	}
	return p, err
}

// watch opens the page, and asks for metrics now and then.
func (s *stage) watch() {
	get := func(path string) {
		r, _ := http.NewRequestWithContext(s.ctx, "GET", s.first.Page+path, nil)
		if answer, err := http.DefaultClient.Do(r); err == nil {
			io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
		}
	}
	go get("/events")
	go func() {
		for s.ctx.Err() == nil {
			get("/metrics")
			time.Sleep(s.slow * 5 * time.Second)
		}
	}()
}

// phase measures what do takes of the coordinator. What it returns is the longest that somebody
// has waited, and for what.
func (s *stage) phase(name string, do func() (time.Duration, string, error)) error {
	before, err := s.pulse()
	if err != nil {
		return err
	}
	cpu, _, _, err := usage(s.chief.Process.Pid)
	if err != nil {
		return err
	}
	s.most(&s.pings)
	began := time.Now()
	longest, what, err := do()
	took := (time.Since(began) / s.slow).Seconds()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	after, err := s.pulse()
	if err != nil {
		return err
	}
	cpu2, rss, _, err := usage(s.chief.Process.Pid)
	t, u := after.Totals, before.Totals
	fmt.Printf("| %s | %.1f | %.2f | %.2f | %.0f | %.0f | %.1f | %.1f | %.0f ms | %s |\n", name, took, cpu2-cpu, (cpu2-cpu)/took, rss,
		float64(t.Messages-u.Messages)/took, float64(t.TensorBytesIn-u.TensorBytesIn)/1e6, float64(t.TensorBytesOut-u.TensorBytesOut)/1e6,
		(longest/s.slow).Seconds()*1e3, what)
	return err
}

// arrive has all workers connect at once, as after the start of a coordinator.
func (s *stage) arrive() error {
	return s.phase("all join at once", func() (time.Duration, string, error) {
		began := time.Now()
		for i := range s.n {
			s.sims = append(s.sims, s.live(s.ctx, i))
		}
		for {
			p, err := s.pulse()
			if err != nil || p.Workers == s.n {
				return time.Since(began), "until the page has all", err
			}
			if time.Since(began) > 2*time.Minute {
				return 0, "", fmt.Errorf("the coordinator has %d workers of %d; others ended with %v", p.Workers, s.n, s.ends)
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
}

// idle lets time pass.
func (s *stage) idle() error {
	return s.phase("beats", func() (time.Duration, string, error) {
		time.Sleep(s.slow * crowdTime)
		longest, _ := s.most(&s.pings)
		return longest, "between two pings", nil
	})
}

// spans trains spans of 20 steps for a time, and returns the most that one took longer than its steps.
func (s *stage) spans(d time.Duration) (late time.Duration, err error) {
	const steps = 20
	for began := time.Now(); time.Since(began) < s.slow*d; {
		took, err := s.run(order{Span: steps})
		if err != nil {
			return late, err
		}
		late = max(late, took-s.slow*steps*s.step)
	}
	return late, nil
}

// run orders the driver to do something, and returns how long that took.
func (s *stage) run(o order) (time.Duration, error) {
	text, err := json.Marshal(o)
	if err == nil {
		_, err = s.in.Write(append(text, '\n'))
	}
	var p pulse
	if err == nil {
		err = s.hear(&p)
	}
	if err == nil && p.Err != "" {
		err = errors.New(p.Err)
	}
	return p.Took, err
}

func (s *stage) sync() error {
	if err := s.phase("sync: attach, restore", func() (time.Duration, string, error) {
		took, err := s.run(order{Attach: "sync", Workers: s.n})
		return took, "until all have the variables", err
	}); err != nil {
		return err
	}
	if err := s.phase("sync: first span", func() (time.Duration, string, error) {
		took, err := s.run(order{Span: 20})
		return took - s.slow*20*s.step, "beyond its steps: all are told of all", err
	}); err != nil {
		return err
	}
	return s.phase("sync: spans", func() (time.Duration, string, error) {
		late, err := s.spans(crowdTime)
		return late, "beyond its steps", err
	})
}

// churn cuts connections while spans are trained; each worker comes again within seconds.
func (s *stage) churn() error {
	return s.phase("sync: losses", func() (time.Duration, string, error) {
		ctx, cancel := context.WithCancel(s.ctx)
		var wg sync.WaitGroup
		lost := 0
		wg.Go(func() {
			tick := time.NewTicker(s.slow * crowdEvery)
			defer tick.Stop()
			for i := 0; ; i = (i + 37) % s.n {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				s.sims[i].cut()
				lost++
			}
		})
		late, err := s.spans(2 * crowdTime)
		cancel()
		wg.Wait()
		return late, fmt.Sprintf("beyond its steps; %d lost and back", lost), err
	})
}

// leases trains a span with adag.
func (s *stage) leases() error {
	if _, err := s.run(order{Detach: true}); err != nil {
		return err
	}
	if _, err := s.run(order{Attach: "adag", Workers: s.n}); err != nil {
		return err
	}
	return s.phase("leases (adag): a span", func() (time.Duration, string, error) {
		if _, err := s.run(order{Span: crowdSteps}); err != nil {
			return 0, "", err
		}
		longest, median := s.most(&s.merges)
		return longest, fmt.Sprintf("from commit to answer, median %.0f ms", (median/s.slow).Seconds()*1e3), nil
	})
}
