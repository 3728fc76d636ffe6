//go:build linux

package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// killChild kills a worker that a training has started. It is replaced.
func killChild(t *trial) error {
	driver, err := t.trainHere()
	if err != nil {
		return err
	}
	if err := t.moment(driver.over); err != nil {
		return err
	}
	var crew []int
	err = t.until("workers", 10*time.Second, func() bool {
		crew = children(driver)
		return len(crew) > 0 || driver.over()
	})
	if err != nil {
		return err
	}
	if len(crew) == 0 {
		return errMissed
	}
	t.strike()
	if err := syscall.Kill(crew[t.rng.IntN(len(crew))], syscall.SIGKILL); err != nil {
		return errMissed
	}
	return t.finish(driver)
}

// underway starts a standing cluster and a training on it, and waits for a random
// moment.
func (t *trial) underway(workers int) (*standing, *process, error) {
	s, err := t.stand(workers)
	if err != nil {
		return nil, nil, err
	}
	driver, err := t.trainAt(s)
	if err != nil {
		return nil, nil, err
	}
	// Before, there is nothing that could be lost: who finds no coordinator is told so.
	err = t.until("the driver", 10*time.Second, func() bool {
		return t.said("coordinator", "joined the queue") > 0 || driver.over()
	})
	if err != nil {
		return nil, nil, err
	}
	return s, driver, t.moment(driver.over)
}

// any returns one of the workers, at random.
func (t *trial) any(s *standing) *process { return s.workers[t.rng.IntN(len(s.workers))] }

// killWorker kills one of three workers. The others go on.
func killWorker(t *trial) error {
	s, driver, err := t.underway(3)
	if err != nil {
		return err
	}
	t.strike()
	t.any(s).kill()
	return t.finish(driver)
}

// killTwoWorkers kills two of three workers, shortly after each other.
func killTwoWorkers(t *trial) error {
	s, driver, err := t.underway(3)
	if err != nil {
		return err
	}
	first := t.rng.IntN(3)
	t.strike()
	s.workers[first].kill()
	if err := t.sleep(t.upTo(time.Second)); err != nil {
		return err
	}
	s.workers[(first+1+t.rng.IntN(2))%3].kill()
	return t.finish(driver)
}

// again kills the coordinator, and starts it again after a while.
func (t *trial) again(s *standing, meanwhile func()) error {
	s.chief.kill()
	meanwhile()
	if err := t.sleep(t.upTo(3 * time.Second)); err != nil {
		return err
	}
	if err := t.coordinate(s); err != nil {
		return err
	}
	t.strike()
	return nil
}

// killCoordinator kills the coordinator of a training.
func killCoordinator(t *trial) error {
	s, driver, err := t.underway(3)
	if err != nil {
		return err
	}
	if err := t.again(s, func() {}); err != nil {
		return err
	}
	return t.finish(driver)
}

// killBoth kills the coordinator of a training, and a worker meanwhile.
func killBoth(t *trial) error {
	s, driver, err := t.underway(3)
	if err != nil {
		return err
	}
	if err := t.again(s, t.any(s).kill); err != nil {
		return err
	}
	return t.finish(driver)
}

// jobUnderway starts a standing cluster and submits a job, and waits for a random
// moment.
func (t *trial) jobUnderway(workers int) (*standing, string, error) {
	s, err := t.stand(workers)
	if err != nil {
		return nil, "", err
	}
	id, err := t.submit(s)
	if err != nil {
		return nil, "", err
	}
	return s, id, t.moment(func() bool {
		state, _ := t.job(id)
		return state == "done"
	})
}

// killCoordinatorOfJob kills the coordinator of a submitted job.
func killCoordinatorOfJob(t *trial) error {
	s, id, err := t.jobUnderway(3)
	if err != nil {
		return err
	}
	if err := t.again(s, func() {}); err != nil {
		return err
	}
	return t.finishJob(s, id)
}

// killDriver kills a training with its coordinator, and sees to it that its
// workers end. Another one resumes.
func killDriver(t *trial) error {
	driver, err := t.trainHere()
	if err != nil {
		return err
	}
	err = t.until("a checkpoint", 30*time.Second, func() bool {
		saved, _ := filepath.Glob(filepath.Join(t.runDir(), "checkpoints", "step-*"))
		return len(saved) > 0
	})
	if err != nil {
		return err
	}
	if err := t.moment(driver.over); err != nil {
		return err
	}
	crew := children(driver)
	driver.kill()
	err = t.until("the end of the workers", childrenEnd, func() bool { return !slices.ContainsFunc(crew, lives) })
	if err != nil {
		return err
	}
	if driver, err = t.resume(); err != nil {
		return err
	}
	t.strike()
	return t.finish(driver)
}

// interruptDriver interrupts a training as Ctrl-C does, and resumes it.
func interruptDriver(t *trial) error {
	driver, err := t.trainHere()
	if err != nil {
		return err
	}
	err = t.until("the run", 30*time.Second, func() bool { return t.watched.epochs() > 0 })
	if err != nil {
		return err
	}
	if err := t.moment(driver.over); err != nil {
		return err
	}
	driver.signal(syscall.SIGINT)
	code, err := t.code(driver)
	switch {
	case err != nil:
		return err
	case code == 0:
		return errMissed
	case code != 130:
		return fmt.Errorf("interrupted: exit code %d, want 130: %s", code, tail(driver.log))
	}
	var flags []string
	if t.n%2 == 1 {
		flags = []string{"--backend", "cpu"}
	}
	if driver, err = t.resume(flags...); err != nil {
		return err
	}
	t.strike()
	return t.finish(driver)
}

// joinLate lets a worker join two others.
func joinLate(t *trial) error {
	s, driver, err := t.underway(2)
	if err != nil {
		return err
	}
	t.strike()
	newcomer, err := t.work(s)
	if err != nil {
		return err
	}
	err = t.until("the newcomer", 20*time.Second, func() bool {
		return driver.over() || t.said("coordinator", "msg=\"group ", newcomer.name) > 0
	})
	if err != nil {
		return err
	}
	if driver.over() {
		return errMissed
	}
	return t.finish(driver)
}

// killAllWorkers kills all three workers within a second, and starts others. The
// driver has what is needed to go on.
func killAllWorkers(t *trial) error {
	s, driver, err := t.underway(3)
	if err != nil {
		return err
	}
	for _, w := range s.workers {
		w.kill()
		if err := t.sleep(t.upTo(300 * time.Millisecond)); err != nil {
			return err
		}
	}
	t.strike()
	for range 2 {
		if _, err := t.work(s); err != nil {
			return err
		}
	}
	return t.finish(driver)
}

// killDriverElsewhere kills a driver of a standing cluster. Another one resumes.
func killDriverElsewhere(t *trial) error {
	_, driver, err := t.underway(3)
	if err != nil {
		return err
	}
	driver.kill()
	if t.watched.epochs() < saveEvery {
		return errMissed // there is nothing to resume
	}
	if driver, err = t.resume(); err != nil {
		return err
	}
	t.strike()
	return t.finish(driver)
}
