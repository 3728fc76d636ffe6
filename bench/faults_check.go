//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gespann/gespann/internal/checkpoint"
)

// What every training of faultConfig must have.
const (
	trainRows   = 1294 // of an epoch
	stepsOf     = 41   // of an epoch
	leastRight  = 0.95 // test accuracy
	childrenEnd = 5 * time.Second
)

// finish waits for the end of a training, and checks what it has left.
func (t *trial) finish(driver *process) error {
	code, err := t.code(driver)
	if err != nil {
		return err
	}
	if code != 0 {
		return fmt.Errorf("exit code %d: %s", code, tail(driver.log))
	}
	return t.check(t.runDir(), driver.log)
}

// finishJob waits for the end of a submitted job, fetches it and checks it.
func (t *trial) finishJob(s *standing, id string) error {
	state, reason := "", ""
	err := t.until("the end of the job", tooLong, func() bool {
		state, reason = t.job(id)
		return state == "done" || state == "failed"
	})
	if err != nil || state != "done" {
		return fmt.Errorf("job is %s: %s (%w)", state, reason, err)
	}
	fetched := filepath.Join(t.dir, "fetched")
	if _, err := t.output(append([]string{"fetch", id, "-o", fetched, "--coordinator", s.address}, t.trust()...)...); err != nil {
		return err
	}
	return t.check(fetched, "")
}

// check checks a run directory, and the log of its driver if that is given: all
// epochs and steps are there, and the bits are those of an undisturbed run.
func (t *trial) check(run, log string) error {
	got, err := losses(run)
	if err != nil {
		return err
	}
	if len(got) != t.epochs+1 {
		return fmt.Errorf("metrics of %d epochs, want %d", len(got)-1, t.epochs)
	}
	for i, row := range got[1:] {
		if want := fmt.Sprintf("%d,%d,", i+1, (i+1)*stepsOf); !strings.HasPrefix(row, want) {
			return fmt.Errorf("metrics: line %q, want %q", row, want)
		}
	}
	if log != "" {
		if err := t.checkEnd(log); err != nil {
			return err
		}
	}
	if !t.deterministic() {
		return nil
	}
	whole, err := t.undisturbed(t.epochs)
	if err != nil {
		return err
	}
	want, err := losses(whole)
	if err != nil {
		return err
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("%w: metrics", errOtherBits)
	}
	last := fmt.Sprintf("checkpoints/step-%08d.safetensors", t.epochs*stepsOf)
	for _, name := range []string{"model.safetensors", "checkpoints/best.safetensors", last} {
		if err := sameTensors(filepath.Join(run, name), filepath.Join(whole, name)); err != nil {
			return err
		}
	}
	return nil
}

// losses returns the lines of metrics.csv without the seconds.
func losses(run string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(run, "metrics.csv"))
	if err != nil {
		return nil, err
	}
	var rows []string
	for line := range strings.Lines(string(text)) {
		rows = append(rows, line[:max(0, strings.LastIndexByte(line, ','))])
	}
	return rows, nil
}

// sameTensors compares the variables of two files, bit for bit.
func sameTensors(got, want string) error {
	a, err := checkpoint.Read(got)
	if err != nil {
		return err
	}
	b, err := checkpoint.Read(want)
	if err != nil {
		return err
	}
	var x, y bytes.Buffer
	for _, s := range []struct {
		state *checkpoint.State
		text  *bytes.Buffer
	}{{a, &x}, {b, &y}} {
		for _, v := range s.state.Tensors {
			fmt.Fprintf(s.text, "%s %v %x\n", v.Name, v.Shape, v.Data)
		}
	}
	if !bytes.Equal(x.Bytes(), y.Bytes()) {
		return fmt.Errorf("%w: %s", errOtherBits, got)
	}
	return nil
}

// checkEnd looks at the last words of a training: the accuracy is sane, and no row
// was counted twice.
func (t *trial) checkEnd(log string) error {
	file, err := os.Open(log)
	if err != nil {
		return err
	}
	defer file.Close()
	var end struct {
		Event, From string
		Rows        int
		Test        map[string]float64
	}
	resumed, billed, tested := false, 0, 0.0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		end.From = ""
		if json.Unmarshal(lines.Bytes(), &end) != nil {
			continue // a line for people
		}
		switch end.Event {
		case "start":
			resumed = resumed || end.From != ""
		case "bill":
			billed = end.Rows
		case "end":
			tested = end.Test["accuracy"]
		}
	}
	if !(tested >= leastRight) {
		return fmt.Errorf("test accuracy %v, want at least %v", tested, leastRight)
	}
	if want := t.epochs * trainRows; !resumed && billed != want {
		return fmt.Errorf("the bill has %d rows, want %d", billed, want)
	}
	return nil
}

// undisturbed returns the directory of a run on the cpu backend that nothing has
// disturbed.
func (l *lab) undisturbed(epochs int) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if dir, ok := l.whole[epochs]; ok {
		return dir, nil
	}
	name := "whole-" + strconv.Itoa(epochs)
	t := &trial{lab: l, fault: &fault{epochs: epochs}}
	args := append([]string{"train", faultConfig, "--backend", "cpu", "--runs", l.dir, "--name", name, "--log", "json"},
		t.flags()...)
	if _, err := l.output(args...); err != nil {
		return "", fmt.Errorf("undisturbed run: %w", err)
	}
	l.whole[epochs] = filepath.Join(l.dir, name)
	return l.whole[epochs], nil
}
