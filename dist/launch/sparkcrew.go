package launch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/gespann/gespann/internal/clock"
)

// A sparkCrew keeps an application of Spark running, whose tasks are the workers.
type sparkCrew struct {
	team     Team
	engine   sparkEngine
	server   *sparkServer
	host     string // of this machine, for Spark's
	launcher *sparkLauncher

	quit    chan struct{}
	closing sync.Once
	running sync.WaitGroup
	left    error // what Close could not end

	mu      sync.Mutex
	once    sync.Once
	failed  chan struct{}
	err     error
	workers []sparkWorker
}

// A sparkWorker is one as its crew knows it.
type sparkWorker struct {
	began  time.Duration // as elapsed; 0: it does not run
	stayed bool          // once it has run for stayTime
	ends   []time.Duration
}

const (
	sparkLook  = time.Second      // between two questions how an application is
	sparkSlow  = 15 * time.Second // until workers that have not begun are worth a line
	sparkEnd   = 12 * time.Second // that an application has to end in, before and after it is killed
	sparkQuiet = 30 * time.Second // without an answer of a master where nothing has stayed yet
)

// elapsed is the time that has passed, by no wall clock.
func elapsed() time.Duration { return clock.System{}.Elapsed() }

func keepSpark(c *sparkCrew) *sparkCrew {
	c.quit, c.failed = make(chan struct{}), make(chan struct{})
	c.workers = make([]sparkWorker, c.team.Workers)
	c.running.Go(c.keep)
	return c
}

// Failed implements Crew.
func (c *sparkCrew) Failed() <-chan struct{} { return c.failed }

// Err implements Crew.
func (c *sparkCrew) Err() error {
	select {
	case <-c.failed:
		return c.err
	default:
		return nil
	}
}

func (c *sparkCrew) fail(err error) {
	c.once.Do(func() {
		c.err = fmt.Errorf("launch: Spark: %w", err)
		close(c.failed)
	})
}

// Close implements Crew.
func (c *sparkCrew) Close() error {
	c.closing.Do(func() { close(c.quit) })
	c.running.Wait()
	c.server.Close()
	return c.left
}

// keep runs the application until Close. One that has ended is started again: for ever
// once a worker has stayed.
func (c *sparkCrew) keep() {
	runtime.LockOSThread() // as child.keep
	defer runtime.UnlockOSThread()
	wait := restartWait
	for tries := 1; ; tries++ {
		run := c.server.newRun(c.team.Workers, c.on)
		began := elapsed()
		err := c.run(run)
		select {
		case <-c.quit:
			return
		default:
		}
		if elapsed()-began > restartTime {
			tries, wait = 1, restartWait
		}
		if !c.stayed() && tries >= firstTries {
			c.fail(err)
			return
		}
		c.team.Say("cluster: Spark's application has ended (%v); starting it again", err)
		if !c.pause(wait) {
			return
		}
		wait = min(2*wait, longestWait)
	}
}

// run starts the application once, and returns why it has ended, or when Close wants it
// to have.
func (c *sparkCrew) run(run *sparkRun) error {
	defer c.noWorkers()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	id, err := c.engine.submit(ctx, c.submission(run))
	if err != nil {
		return err
	}
	err = c.watch(ctx, run, id)
	select {
	case <-c.quit:
		c.left = c.end(ctx, run, id)
	default:
		run.end() // should it still be somewhere
	}
	return err
}

// watch returns why an application has ended, or nil when Close wants it to. While it
// holds its line of life, nobody is asked.
func (c *sparkCrew) watch(ctx context.Context, run *sparkRun, id string) error {
	submitted, answered, silent, slow := elapsed(), elapsed(), false, false
	for c.pause(sparkLook) {
		c.look()
		if n := c.up(); !slow && n < c.team.Workers && elapsed()-submitted > sparkSlow {
			slow = true
			if run.alive() {
				c.team.Say("cluster: %d of %d workers run; Spark has no place for the others yet, or is slow", n, c.team.Workers)
			} else {
				c.team.Say("cluster: Spark has not started the application yet")
			}
		}
		if run.alive() {
			answered = elapsed()
			continue
		}
		over, why, err := c.engine.state(ctx, id)
		switch {
		case err == nil && over:
			return cmp.Or(run.why(), errors.New(why))
		case err == nil:
			answered, silent = elapsed(), false
		case !c.stayed() && elapsed()-answered > sparkQuiet:
			return err
		case !silent:
			silent = true
			c.team.Say("cluster: Spark's master does not answer (%v); asking on", bareDial(err))
		}
	}
	return nil
}

// end ends an application, and returns when it has.
func (c *sparkCrew) end(ctx context.Context, run *sparkRun, id string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*sparkEnd)
	defer cancel()
	asked, killed := run.alive(), false
	run.end()
	var err error
	for began := elapsed(); ctx.Err() == nil; time.Sleep(sparkLook / 10) {
		if !killed && (!asked || elapsed()-began > sparkEnd) {
			killed = c.engine.kill(ctx, id) == nil
		}
		var over bool
		if over, _, err = c.engine.state(ctx, id); err == nil && over {
			return nil
		}
		if err != nil && !run.alive() && asked && elapsed()-began > sparkEnd/4 { // its master is away, but it has ended
			return nil
		}
	}
	return fmt.Errorf("launch: Spark: application %s may still run: %w", id, cmp.Or(err, ctx.Err()))
}

// pause waits, and returns false when Close wants all to end.
func (c *sparkCrew) pause(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-c.quit:
		return false
	}
}

// on takes what an application reports.
func (c *sparkCrew) on(run *sparkRun, e sparkEvent) {
	if run.isOver() {
		return
	}
	switch e.kind {
	case "app":
		c.team.Say("cluster: Spark runs application %s", e.text)
	case "began":
		c.mu.Lock()
		c.workers[e.worker].began = elapsed()
		c.mu.Unlock()
	case "task":
		n, stayed := c.ended(e.worker)
		if !stayed && n >= firstTries {
			c.fail(fmt.Errorf("worker %d ended %d times within a minute, the last time with %s", e.worker+1, n, e.text))
			return
		}
		c.team.Say("cluster: worker %d of Spark has ended (%s); starting it again", e.worker+1, e.text)
	}
}

// ended notes the end of a worker, and returns how often it ended within a minute, and
// whether it has ever stayed.
func (c *sparkCrew) ended(i int) (times int, stayed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w, now := &c.workers[i], elapsed()
	w.stayed = w.stayed || w.stays()
	w.began = 0
	w.ends = append(w.ends, now)
	for now-w.ends[0] > restartTime {
		w.ends = w.ends[1:]
	}
	return len(w.ends), w.stayed
}

// stays reports whether a worker has run for long enough.
func (w *sparkWorker) stays() bool { return w.began > 0 && elapsed()-w.began >= stayTime }

// look notes which workers have stayed.
func (c *sparkCrew) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.workers {
		w := &c.workers[i]
		w.stayed = w.stayed || w.stays()
	}
}

// stayed reports whether a worker ever has.
func (c *sparkCrew) stayed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.workers {
		if w.stayed {
			return true
		}
	}
	return false
}

// up returns how many workers run.
func (c *sparkCrew) up() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.workers {
		if w.began > 0 {
			n++
		}
	}
	return n
}

// noWorkers notes that none runs any more.
func (c *sparkCrew) noWorkers() {
	c.look()
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.workers {
		c.workers[i].began = 0
	}
}
