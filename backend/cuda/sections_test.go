package cuda

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What `make gpu-check` does is cut into sections, each a process of its own with
// a time limit: a card that hangs, or a process that dies, costs what that section
// had left to do, and nothing else. A section writes its report after every
// result, and the whole report is written after every section.

// A section is tests that run in one process.
type section struct {
	name, tests string // tests is a pattern of names
	limit       time.Duration
}

// A sectionResult is how a section ended.
type sectionResult struct {
	Name    string  `json:"name"`
	State   string  `json:"state"` // "ok", "failed", "died", "out of time" or "not begun"
	Seconds float64 `json:"seconds"`
	Words   string  `json:"words,omitempty"` // the end of what it printed, unless ok
}

// runSections runs sections one after the other within a budget. Start makes the
// process of a section, which writes its report to a file; save is called when one
// has ended, and its report is part of whole.
func runSections(ctx context.Context, list []section, budget time.Duration, whole *report,
	start func(s section, file string) *exec.Cmd, save func() error) error {
	dir, err := os.MkdirTemp("", "gespann-gpu-check-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	begin := time.Now()
	for i, s := range list {
		s.limit = min(s.limit, budget-time.Since(begin))
		file := filepath.Join(dir, fmt.Sprintf("%d.json", i))
		result := sectionResult{Name: s.name, State: "not begun"}
		if s.limit > 0 && ctx.Err() == nil {
			result = runSection(ctx, s, start(s, file))
		}
		whole.Sections = append(whole.Sections, result)
		if err := whole.merge(file); err != nil {
			result.Words += "\n" + err.Error()
		}
		if err := save(); err != nil {
			return err
		}
	}
	return nil
}

// runSection runs a section, and kills it and its children at its limit.
func runSection(ctx context.Context, s section, cmd *exec.Cmd) sectionResult {
	var words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &words, &words
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second
	begin := time.Now()
	err := cmd.Start()
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, s.limit)
		defer cancel()
		stop := context.AfterFunc(ctx, func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		err = cmd.Wait()
		if !stop() {
			err = ctx.Err()
		}
	}
	r := sectionResult{Name: s.name, State: "ok", Seconds: time.Since(begin).Seconds()}
	var exit *exec.ExitError
	switch {
	case err == nil:
		return r
	case errors.As(err, &exit) && exit.ExitCode() == 1:
		r.State = "failed"
	case errors.Is(err, context.DeadlineExceeded):
		r.State = "out of time"
	default:
		r.State = "died"
		fmt.Fprintf(&words, "\n%v", err)
	}
	r.Words = lastLines(words.String(), 60)
	return r
}

// lastLines returns the end of a text, without the names of tests that passed.
func lastLines(text string, n int) string {
	var lines []string
	for line := range strings.Lines(text) {
		word := strings.TrimSpace(line)
		if !strings.HasPrefix(word, "=== ") && !strings.HasPrefix(word, "--- PASS") {
			lines = append(lines, line)
		}
	}
	return strings.TrimSpace(strings.Join(lines[max(0, len(lines)-n):], ""))
}

// merge adds the report in a file. A section that has written none adds nothing.
func (r *report) merge(file string) error {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var part report
	if err == nil {
		err = json.Unmarshal(text, &part)
	}
	if err != nil {
		return err
	}
	if part.Card != nil {
		r.Card, r.Driver = part.Card, part.Driver
	}
	if part.Torch != "" {
		r.Torch = part.Torch
	}
	maps.Copy(r.Checks, part.Checks)
	r.Benchmarks = append(r.Benchmarks, part.Benchmarks...)
	r.TorchTimes = append(r.TorchTimes, part.TorchTimes...)
	return nil
}

// write writes the report as JSON: complete, or not at all.
func (r *report) write(file string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".part", append(text, '\n'), 0o666); err != nil {
		return err
	}
	return os.Rename(file+".part", file)
}

// TestSections checks that whatever becomes of a section, what it had written is
// kept, and the next one runs.
func TestSections(t *testing.T) {
	half := `echo '{"checks": {"%[1]s": "ok"}, "benchmarks": [{"name": "%[1]s", "unit": "ms", "value": 1}]}' > "$0"; `
	scripts := map[string]string{
		"good":  `exit 0`,
		"bad":   `echo "--- FAIL: so and so"; exit 1`,
		"fault": `kill -SEGV $$`,
		"hang":  `sleep 600 & wait`,
		"last":  `exit 0`,
		"late":  `exit 0`,
	}
	list := []section{
		{"good", "", time.Minute}, {"bad", "", time.Minute}, {"fault", "", time.Minute},
		{"hang", "", 500 * time.Millisecond}, {"last", "", time.Minute}, {"late", "", 0},
	}
	whole := report{Checks: map[string]string{}}
	saved, file := 0, filepath.Join(t.TempDir(), "whole.json")
	err := runSections(t.Context(), list, time.Minute, &whole, func(s section, file string) *exec.Cmd {
		return exec.Command("sh", "-c", fmt.Sprintf(half, s.name)+scripts[s.name], file)
	}, func() error { saved++; return whole.write(file) })
	if err != nil {
		t.Fatal(err)
	}
	again := report{Checks: map[string]string{}}
	if err := again.merge(file); err != nil || len(again.Benchmarks) != 5 {
		t.Errorf("the report that was written has %d benchmarks, %v", len(again.Benchmarks), err)
	}
	if saved != len(list) || len(whole.Benchmarks) != 5 || len(whole.Checks) != 5 {
		t.Errorf("saved %d times, %d benchmarks, %d checks, want %d, 5, 5",
			saved, len(whole.Benchmarks), len(whole.Checks), len(list))
	}
	for i, want := range []string{"ok", "failed", "died", "out of time", "ok", "not begun"} {
		if got := whole.Sections[i]; got.State != want {
			t.Errorf("section %s is %q (%s), want %q", got.Name, got.State, got.Words, want)
		}
	}
	if words := whole.Sections[1].Words; words != "--- FAIL: so and so" {
		t.Errorf("a failed section says %q", words)
	}
}
