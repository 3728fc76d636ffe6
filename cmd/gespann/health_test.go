//go:build unix

package main

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestHealth asks processes that are well, that are not, and that are not there.
func TestHealth(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "the worker has no coordinator", http.StatusServiceUnavailable)
	})
	srv := &http.Server{Handler: mux}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	at := l.Addr().String()
	_, port, _ := net.SplitHostPort(at)

	for _, c := range []struct {
		args       []string
		code       int
		out, words string
	}{
		{[]string{at}, exitOK, "ok\n", ""},
		{[]string{port}, exitOK, "ok\n", ""},
		{[]string{"--ready", at}, exitRun, "", "gespann: " + at + ": the worker has no coordinator\n"},
		{[]string{"127.0.0.1:1"}, exitRun, "", "gespann: 127.0.0.1:1: connect: connection refused\n" +
			"hint: a coordinator's page is at localhost:8080 unless it is told otherwise; a worker has one with --metrics\n"},
		{[]string{"--optional", "127.0.0.1:1"}, exitOK, "", ""},
		{[]string{"--optional", "--ready", at}, exitRun, "", "gespann: " + at + ": the worker has no coordinator\n"},
		{[]string{"--timeout", "1ns", at}, exitRun, "", "gespann: " + at + ": no answer within 1ns\n"},
		{[]string{"http://" + at}, exitUsage, "", "gespann: got \"http://" + at + "\", want host:port, such as localhost:9108, or a port\n"},
		{[]string{"localhost"}, exitUsage, "", "gespann: got \"localhost\", want host:port, such as localhost:9108, or a port\n"},
	} {
		code, out, words := gespann(t, "", append([]string{"health"}, c.args...)...)
		if code != c.code || out != c.out || words != c.words {
			t.Errorf("%s: got %d %q %q, want %d %q %q", c.args, code, out, words, c.code, c.out, c.words)
		}
	}
}

// TestWorkerShowsItself starts a worker without a coordinator: it is well, and not ready.
func TestWorkerShowsItself(t *testing.T) {
	dir := t.TempDir()
	cmd, _, _ := command(t, dir, "worker", "--coordinator", "127.0.0.1:1", "--backend", "cpu", "--threads", "1",
		"--name", "lonely", "--metrics", "localhost:0")
	said, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	at := ""
	waitFor(t, "the address", func() bool {
		text, err := os.ReadFile(said.Name())
		if err != nil {
			t.Fatal(err)
		}
		if m := regexp.MustCompile(`metrics at http://(\S+)/metrics\n`).FindSubmatch(text); m != nil {
			at = string(m[1])
		}
		return at != ""
	})
	if host, _, _ := net.SplitHostPort(at); !net.ParseIP(host).IsLoopback() {
		t.Errorf("it listens at %s, want loopback", at)
	}
	if code, out, words := gespann(t, "", "health", at); code != exitOK || out != "ok\n" {
		t.Errorf("health: got %d %q %q", code, out, words)
	}
	if code, _, words := gespann(t, "", "health", "--ready", at); code != exitRun || !strings.Contains(words, "the worker has no coordinator") {
		t.Errorf("health --ready: got %d %q", code, words)
	}
	answer, err := http.Get("http://" + at + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("/metrics: got %s", answer.Status)
	}
	for _, bad := range []string{"x", "http://localhost:1", "70000"} {
		if code, _, words := gespann(t, "", "worker", "--backend", "cpu", "--metrics", bad); code != exitUsage || !strings.Contains(words, bad) {
			t.Errorf("--metrics %s: got %d %q", bad, code, words)
		}
	}
}
