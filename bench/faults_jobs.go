//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// damageCheckpoint kills a training, damages its latest checkpoint, and resumes it.
func damageCheckpoint(t *trial) error {
	driver, err := t.trainHere()
	if err != nil {
		return err
	}
	saved := func() []string {
		paths, _ := filepath.Glob(filepath.Join(t.runDir(), "checkpoints", "step-*.safetensors"))
		slices.Sort(paths)
		return paths
	}
	err = t.until("two checkpoints", 30*time.Second, func() bool { return len(saved()) > 1 || driver.over() })
	if err != nil {
		return err
	}
	if err := t.moment(driver.over); err != nil {
		return err
	}
	driver.kill()
	paths := saved()
	if len(paths) < 2 {
		return fmt.Errorf("%d checkpoints are left", len(paths))
	}
	if err := t.damage(paths[len(paths)-1]); err != nil {
		return err
	}
	if driver, err = t.resume(); err != nil {
		return err
	}
	t.strike()
	return t.finish(driver)
}

// damage cuts a file off, writes zeros over its end, or flips a bit in it.
func (t *trial) damage(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	at := 1 + t.rng.IntN(len(text)-1)
	switch t.n % 3 {
	case 0:
		text = text[:at]
	case 1:
		at = len(text) - 1 - t.rng.IntN(len(text)/2)
		clear(text[at:])
		text[at-1] ^= 1 // or it might have been zeros
	case 2:
		text[at] ^= 1 << t.rng.IntN(8)
	}
	return os.WriteFile(path, text, 0o600)
}

// stuckSpec reads a file of the trial's folder.
const stuckSpec = `
data: {source: csv, batch_size: 8, csv: {path: %q, label: y}}
model: [{dense: {units: 2, activation: softmax}}]
loss: sparse_categorical_crossentropy
optimizer: adam
train: {epochs: 2}
cluster: {workers: 2}
`

// stickFile submits three jobs, and makes a pipe of the file of the second, to which
// nobody writes. The first trains; the second does not get further than to begin, and is
// cancelled; the third trains.
func stickFile(t *trial) error {
	path := filepath.Join(t.dir, "rows.csv")
	rows := "a,b,y\n" + strings.Repeat("1,2,0\n2,1,1\n", 20)
	config := filepath.Join(t.dir, "stuck.yaml")
	err := errors.Join(os.WriteFile(path, []byte(rows), 0o600),
		os.WriteFile(config, fmt.Appendf(nil, stuckSpec, path), 0o600))
	if err != nil {
		return err
	}
	s, first, err := t.jobUnderway(2)
	if err != nil {
		return err
	}
	stuck, err := t.output("submit", config, "--coordinator", s.address)
	if err != nil {
		return err
	}
	if err := errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)); err != nil {
		return err
	}
	third, err := t.submitAnother(s)
	if err != nil {
		return err
	}
	if err := t.finishJob(s, first); err != nil {
		return err
	}
	err = t.until("the turn of the stuck job", 20*time.Second, func() bool {
		state, _ := t.job(stuck)
		return state != "queued"
	})
	if err != nil {
		return err
	}
	if err := t.sleep(t.upTo(3 * time.Second)); err != nil {
		return err
	}
	if state, reason := t.job(stuck); state == "done" {
		return fmt.Errorf("a job whose file is stuck is done: %s", reason)
	} else if state != "failed" { // it may have had enough by itself
		if _, err := t.output("cancel", stuck, "--coordinator", s.address); err != nil {
			return err
		}
	}
	t.strike()
	return t.finishJob(s, third)
}

// submitAnother queues another training as that of submit, and watches it.
func (t *trial) submitAnother(s *standing) (string, error) {
	if t.watched != nil {
		t.watched.end()
	}
	return t.submit(s)
}

// cancelStarting cancels a job within its first moments, kills the coordinator as soon as
// that is confirmed, and starts it again: the job does not come back.
func cancelStarting(t *trial) error {
	s, err := t.stand(2)
	if err != nil {
		return err
	}
	id, err := t.submit(s)
	if err != nil {
		return err
	}
	if err := t.sleep(t.upTo(200 * time.Millisecond)); err != nil {
		return err
	}
	if _, err := t.output("cancel", id, "--coordinator", s.address); err != nil {
		if state, _ := t.job(id); state == "done" {
			return errMissed
		}
		return err
	}
	s.chief.kill()
	if err := t.coordinate(s); err != nil {
		return err
	}
	t.strike()
	next, err := t.submitAnother(s)
	if err != nil {
		return err
	}
	if err := t.finishJob(s, next); err != nil {
		return err
	}
	if state, reason := t.job(id); state != "cancelled" {
		return fmt.Errorf("a job that was cancelled is %s: %s", state, reason)
	}
	return nil
}
