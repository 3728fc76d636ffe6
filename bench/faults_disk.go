//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// smallDisk is room for a run: its checkpoints are of 230 KB.
const smallDisk = "size=6m"

// mount makes a folder that is a small disk.
func (t *trial) mount(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	if err := syscall.Mount("faults", folder, "tmpfs", 0, smallDisk); err != nil {
		return fmt.Errorf("tmpfs at %s: %w", folder, err)
	}
	t.clean = append(t.clean, func() error { return syscall.Unmount(folder, syscall.MNT_DETACH) })
	return nil
}

// fill fills the disk of a folder, again and again until enough is true.
func (t *trial) fill(folder string, enough func() bool) (filler string, err error) {
	filler = filepath.Join(folder, "filler")
	file, err := os.OpenFile(filler, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return filler, err
	}
	defer file.Close()
	block := make([]byte, 4096)
	return filler, t.until("someone to notice the full disk", 40*time.Second, func() bool {
		for {
			if _, err := file.Write(block); err != nil {
				return enough()
			}
		}
	})
}

// fillCoordinator fills the disk of a coordinator with a submitted job, which
// pauses and says so. With room again it goes on by itself.
func fillCoordinator(t *trial) error {
	if err := t.mount(t.state()); err != nil {
		return err
	}
	s, id, err := t.jobUnderway(2)
	if err != nil {
		return err
	}
	over, asked := false, time.Time{}
	filler, err := t.fill(t.state(), func() bool {
		if state, _ := t.job(id); state == "done" {
			over = true
		}
		if over || time.Since(asked) < 300*time.Millisecond {
			return over
		}
		asked = time.Now()
		list, err := t.output("jobs", "--coordinator", s.address)
		return err == nil && strings.Contains(list, "paused") && strings.Contains(list, "full")
	})
	if err != nil {
		return err
	}
	// The job that paused has left some room.
	if _, err := t.fill(t.state(), func() bool { return true }); err != nil {
		return err
	}
	_, full := t.output("submit", faultConfig, "--coordinator", s.address)
	if err := os.Remove(filler); err != nil {
		return err
	}
	if over {
		return errMissed
	}
	if full == nil || !strings.Contains(full.Error(), "full") {
		return fmt.Errorf("submitting to a coordinator with a full disk: %v", full)
	}
	t.strike()
	return t.finishJob(s, id)
}

// fillDriver fills the disk of a run, which stops and says so. It is resumed when
// there is room.
func fillDriver(t *trial) error {
	folder := filepath.Join(t.dir, "runs")
	if err := t.mount(folder); err != nil {
		return err
	}
	driver, err := t.trainHere()
	if err != nil {
		return err
	}
	err = t.until("the run", 30*time.Second, func() bool { return t.watched.epochs() > saveEvery })
	if err != nil {
		return err
	}
	if err := t.moment(driver.over); err != nil {
		return err
	}
	filler, err := t.fill(folder, driver.over)
	if err := errors.Join(err, os.Remove(filler)); err != nil {
		return err
	}
	code, err := t.code(driver)
	switch {
	case err != nil:
		return err
	case code == 0:
		return errMissed
	case t.said("driver", "no space left on device") == 0:
		return fmt.Errorf("exit code %d, but it does not say why: %s", code, tail(driver.log))
	}
	if driver, err = t.resume(); err != nil {
		return err
	}
	t.strike()
	return t.finish(driver)
}
