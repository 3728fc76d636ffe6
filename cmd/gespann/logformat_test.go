//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// objects returns the lines of a text, each of which must be a JSON object with time, level
// and msg.
func objects(t *testing.T, text string) (all []object) {
	t.Helper()
	for line := range strings.Lines(text) {
		var o object
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Errorf("%q: %v", line, err)
			continue
		}
		for _, key := range []string{"time", "level", "msg"} {
			if text, _ := o[key].(string); text == "" {
				t.Errorf("%q: got no %s", line, key)
			}
		}
		all = append(all, o)
	}
	return all
}

// TestJSONTraining trains on two workers: what all processes say are objects, those of
// workers have their names, and events have the fields that --log json has.
func TestJSONTraining(t *testing.T) {
	dir := writeTiny(t)
	cmd, out, words := command(t, dir, "train", "tiny.yaml", "--backend", "cluster", "--workers", "2", "--epochs", "2",
		"--log-format", "json")
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, words)
	}
	seen := map[string]int{}
	for _, o := range objects(t, out.String()) {
		kind, _ := o["event"].(string)
		if seen[kind]++; kind != o["msg"] {
			t.Errorf("got %v, want the kind as msg", o)
		}
		if values, _ := o["values"].(object); kind == "epoch" && (o["epoch"] == nil || values["loss"] == nil) {
			t.Errorf("got %v, want epoch and loss", o)
		}
	}
	if seen["start"] != 1 || seen["epoch"] != 2 || seen["bill"] != 1 || seen["end"] != 1 {
		t.Errorf("events: %v", seen)
	}
	names, ids := map[any]bool{}, map[any]bool{}
	for _, o := range objects(t, words.String()) {
		switch {
		case o["worker_name"] != nil:
			names[o["worker_name"]] = true
		case o["part"] == "coordinator" && o["worker"] != nil:
			ids[o["worker"]] = true
		}
	}
	if len(names) != 2 || !names["worker-1"] || !names["worker-2"] || len(ids) != 2 {
		t.Errorf("lines of workers %v, and of the coordinator about %v, want two each", names, ids)
	}
}

// TestJSONErrors checks that an end is an object, too, whatever was wrong, and that the format
// is the flag's, or else the environment's.
func TestJSONErrors(t *testing.T) {
	for _, c := range []struct {
		env  string
		args []string
		json bool
		code int
		want string
	}{
		{"", []string{"train", "missing.yaml", "--log-format", "json"}, true, exitUsage, "missing.yaml"},
		{"", []string{"train", "--log-format=json", "--nonsense"}, true, exitUsage, "--nonsense"},
		{"json", []string{"train", "missing.yaml"}, true, exitUsage, "missing.yaml"},
		{"json", []string{"train", "missing.yaml", "--log-format=text"}, false, exitUsage, "gespann: "},
		{"json", []string{"evaluate", "missing"}, false, exitRun, "gespann: "},
		{"yaml", []string{"train", "missing.yaml"}, false, exitUsage, `GESPANN_LOG_FORMAT: got "yaml", want text or json`},
		{"json", []string{"coordinator", "--log-format", "x"}, false, exitUsage, `--log-format: got "x", want text or json`},
		{"", []string{"train", "x.yaml", "--log-format", "json", "--log", "plain"}, true, exitUsage, `--log: got "plain"`},
	} {
		t.Setenv(formatEnv, c.env)
		code, out, words := gespann(t, "", c.args...)
		if code != c.code || out != "" || !strings.Contains(strings.ReplaceAll(words, `\"`, `"`), c.want) {
			t.Errorf("%s=%s %s: got %d %q %q, want %d and %s", formatEnv, c.env, c.args, code, out, words, c.code, c.want)
		}
		if !c.json {
			continue
		}
		all := objects(t, words)
		if last := all[len(all)-1]; last["level"] != "ERROR" || last["exit_code"] != float64(c.code) {
			t.Errorf("%s: got %v, want the error and its exit code", c.args, last)
		}
	}
}

// TestJSONHasNoSecrets has a coordinator and a worker with certificates say what they
// say, and looks for what must stay in their folder.
func TestJSONHasNoSecrets(t *testing.T) {
	dir := writeTiny(t)
	folder := filepath.Join(dir, "certs")
	must(t, "certs", folder)
	port := freeAddress(t)
	chief, _, said := command(t, dir, "coordinator", "--listen", port, "--dashboard", "none", "--certs", folder, "--log-format", "json")
	if err := chief.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { chief.Process.Kill() }) // it may have ended
	waitFor(t, "the coordinator", func() bool {
		code, _, _ := gespann(t, "", "jobs", "--coordinator", port, "--certs", folder)
		return code == exitOK
	})
	w, _, words := command(t, dir, "worker", "--coordinator", port, "--certs", folder, "--backend", "cpu", "--threads", "1",
		"--name", "w", "--once", "--log-format", "json")
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Process.Kill() })
	train, out, more := command(t, dir, "train", "tiny.yaml", "--backend", "cluster", "--coordinator", port, "--workers", "1", "--epochs", "2",
		"--set", "cluster.certs="+folder, "--log-format", "json")
	if err := train.Run(); err != nil {
		t.Fatalf("%v\n%s", err, more)
	}
	if err := w.Wait(); err != nil {
		t.Error(err)
	}
	chief.Process.Signal(syscall.SIGTERM)
	chief.Wait() // a signal is how it ends
	all := strings.Join([]string{said.String(), words.String(), out.String(), more.String()}, "")
	if n := len(objects(t, all)); n < 10 {
		t.Errorf("got %d lines, want those of three processes", n)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			if line = bytes.TrimSpace(line); len(line) >= 16 && strings.Contains(all, string(line)) {
				t.Errorf("%s: a line of it is in the logs", filepath.Base(file))
			}
		}
	}
}

// freeAddress returns an address of this machine at which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestJSONWriter(t *testing.T) {
	var out bytes.Buffer
	j := newJSONWriter(&out)
	for _, part := range []string{"\nfirst", " line\nsecond \"line\"\n\n", "third"} {
		if n, err := j.Write([]byte(part)); n != len(part) || err != nil {
			t.Errorf("Write(%q) = %d, %v", part, n, err)
		}
	}
	j.with("worker_name", "w")
	j.Flush()
	j.logger().Warn("refused", "err", "no\nhint: say yes")
	words := &workerWords{to: j, name: "w2"}
	words.Write([]byte(`{"time":"x","level":"ERROR","msg":"of a worker","step":3}` + "\npanic: "))
	words.Write([]byte("no JSON\n"))
	var got []string
	for _, o := range objects(t, out.String()) {
		delete(o, "time")
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(text))
	}
	want := []string{
		`{"level":"INFO","msg":"first line"}`,
		`{"level":"INFO","msg":"second \"line\""}`,
		`{"level":"INFO","msg":"third","worker_name":"w"}`,
		`{"err":"no","hint":"say yes","level":"WARN","msg":"refused","worker_name":"w"}`,
		`{"level":"ERROR","msg":"of a worker","step":3,"worker_name":"w2"}`,
		`{"level":"INFO","msg":"panic: no JSON","worker_name":"w2"}`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
