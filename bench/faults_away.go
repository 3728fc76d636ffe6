//go:build linux

package main

import (
	"errors"
	"fmt"
	"syscall"
	"time"
)

// outWithin is how soon the others must go on without a worker that says nothing.
const outWithin = 5 * time.Second

// settling is how long what a worker's return costs may take.
const settling = 3 * time.Second

// stopWorker stops one of three workers for 30 s.
func stopWorker(t *trial) error {
	s, driver, err := t.underway(3)
	if err != nil {
		return err
	}
	w := t.any(s)
	return t.away(driver, w, 30*time.Second, func() error {
		w.signal(syscall.SIGSTOP)
		return nil
	}, func() error {
		w.signal(syscall.SIGCONT)
		return nil
	})
}

// away lets a worker be away for a while, and checks that the others go on soon,
// and that it joins them again.
func (t *trial) away(driver, w *process, long time.Duration, leave, back func() error) error {
	t.strike()
	if err := leave(); err != nil {
		return err
	}
	if err := t.sleep(long); err != nil {
		return errors.Join(err, back())
	}
	before, returned := t.said("coordinator", "msg=\"group ", w.name), time.Now()
	if err := back(); err != nil {
		return err
	}
	if driver.over() {
		return errMissed
	}
	err := t.until("the worker to join again", 30*time.Second, func() bool {
		return driver.over() || t.said("coordinator", "msg=\"group ", w.name) > before
	})
	if err != nil {
		return err
	}
	if t.said("coordinator", "msg=\"group ", w.name) == before {
		if time.Since(returned) < outWithin {
			return errMissed
		}
		return fmt.Errorf("%s was back, but had no part again before the end", w.name)
	}
	t.settled = time.Now().Add(settling)
	if err := t.finish(driver); err != nil {
		return err
	}
	if d := t.watched.standstill(t.struck, t.settled); d > outWithin {
		return fmt.Errorf("nothing went on for %.1f s, want at most %v", d.Seconds(), outWithin)
	}
	return nil
}

// stopCoordinator stops the coordinator of a training for a while, which nobody is
// told.
func stopCoordinator(t *trial) error {
	s, driver, err := t.underway(3)
	if err != nil {
		return err
	}
	s.chief.signal(syscall.SIGSTOP)
	err = t.sleep(time.Second + t.upTo(12*time.Second))
	s.chief.signal(syscall.SIGCONT)
	t.strike()
	if err != nil {
		return err
	}
	return t.finish(driver)
}

// stopDriver stops a driver for a while, as Ctrl-Z does.
func stopDriver(t *trial) error {
	_, driver, err := t.underway(3)
	if err != nil {
		return err
	}
	driver.signal(syscall.SIGSTOP)
	err = t.sleep(time.Second + t.upTo(12*time.Second))
	driver.signal(syscall.SIGCONT)
	t.strike()
	if err != nil {
		return err
	}
	return t.finish(driver)
}
