//go:build unix

package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/server"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/dist/worker"
	"github.com/gespann/gespann/model"
)

// TestPatience lets the file of a job hang, in a coordinator that checks it and in a worker:
// both say so in time, with the name of the file.
func TestPatience(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "t.csv")
	if err := syscall.Mkfifo(pipe, 0o666); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // lets go who hangs
		if w, err := os.OpenFile(pipe, os.O_RDWR, 0); err == nil {
			time.Sleep(50 * time.Millisecond)
			w.Close()
		}
	})
	text := []byte("data: {source: csv, csv: {path: " + pipe + "}}\nmodel: [dense: 3]\nloss: sparse_categorical_crossentropy\n")
	const want = "t.csv: could not be opened for 100ms"
	var log strings.Builder
	k := newKeeper(nil, nil, slog.New(slog.NewTextHandler(&log, nil)))
	k.patience = 100 * time.Millisecond
	own := dist.Principal{Account: true}
	_, err := k.check(t.Context(), server.Request{Spec: text, Owner: own})
	if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "data.csv") {
		t.Errorf("check: got %v, want %s", err, want)
	}
	var told []string
	err = k.run(t.Context(), server.Submission{Spec: text, Owner: own, Dir: t.TempDir(), Tell: func(line string) { told = append(told, line) }})
	if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(strings.Join(told, "\n"), "is left behind") {
		t.Errorf("run: got %v, want %s\n%s", err, want, told)
	}
	if got := strings.Count(log.String(), "is left behind"); got != 2 {
		t.Errorf("the log says %d times that something is left behind, want 2\n%s", got, log.String())
	}

	flags := workerFlags{child: true}
	reader, err := flags.reader(t.Context(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	reader.patience, reader.name = k.patience, "wendy"
	_, err = reader.load(t.Context(), &wire.Job{Spec: text})
	if err == nil || !strings.HasPrefix(err.Error(), "worker wendy: "+filepath.Dir(pipe)) || !strings.Contains(err.Error(), want) {
		t.Errorf("worker: got %v, want %s", err, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	reader.patience = time.Hour
	if _, err = reader.load(ctx, &wire.Job{Spec: text}); !errors.Is(err, context.Canceled) {
		t.Errorf("worker, cancelled: got %v", err)
	}
}

// TestOfEarlierVersions checks that a job of which nobody knows whose it is may read no file
// outside of the data roots.
func TestOfEarlierVersions(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.csv")
	if err := os.WriteFile(file, []byte(rows3), 0o666); err != nil {
		t.Fatal(err)
	}
	k := newKeeper([]string{t.TempDir()}, nil, slog.New(slog.DiscardHandler))
	text := []byte("data: {source: csv, csv: {path: " + file + "}}\nmodel: [dense: 3]\nloss: sparse_categorical_crossentropy\n")
	err := k.run(t.Context(), server.Submission{Spec: text, Dir: t.TempDir(), Tell: func(string) {}})
	if err == nil || !strings.Contains(err.Error(), file+": may not be read") {
		t.Errorf("got %v", err)
	}
}

// TestOwnSocket checks whom a worker takes for its own account.
func TestOwnSocket(t *testing.T) {
	dir := socketDir(t)
	if err := os.WriteFile(filepath.Join(dir, "s"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o700, 0o777} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if got, want := ownSocket("unix:"+filepath.Join(dir, "s")), mode == 0o700; got != want {
			t.Errorf("a folder of mode %v: got %v, want %v", mode, got, want)
		}
	}
	for _, address := range []string{"localhost:7077", "unix:" + filepath.Join(dir, "none"), ""} {
		if ownSocket(address) {
			t.Errorf("%q: got true", address)
		}
	}
	if os.Geteuid() == 0 {
		os.Chmod(dir, 0o700)
		if err := os.Lchown(filepath.Join(dir, "s"), 65534, 65534); err != nil {
			t.Fatal(err)
		}
		if ownSocket("unix:" + filepath.Join(dir, "s")) {
			t.Error("another's socket: got true")
		}
	}
}

// TestOpenConceals has a worker open a job whose rows its model does not take: whose job it
// is decides whether the answer has the value.
func TestOpenConceals(t *testing.T) {
	dir := t.TempDir()
	put := func(name, shape string, values ...byte) string {
		header := "{'descr': '|u1', 'fortran_order': False, 'shape': " + shape + "}\n"
		path := filepath.Join(dir, name)
		text := "\x93NUMPY\x01\x00" + string([]byte{byte(len(header)), 0}) + header + string(values)
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	spec := "data: {source: npy, npy: {x: " + put("x.npy", "(3, 2)", 1, 2, 3, 4, 5, 77) + ", y: " + put("y.npy", "(3,)", 0, 1, 0) + "}}\n" +
		"model: [embedding: {input_dim: 10, output_dim: 2}, flatten, dense: 2]\nloss: sparse_categorical_crossentropy\n"
	for child, want := range map[bool]string{true: "row 2: got 77, want 0 to 9", false: "row 2: want 0 to 9"} {
		f := workerFlags{child: child, backend: kindCPU, threads: 1, roots: []string{dir}}
		r, err := f.reader(t.Context(), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		job := wire.Job{Spec: []byte(spec), BatchSize: 3, Accumulate: 1}
		set, err := r.load(t.Context(), &job)
		if err != nil {
			t.Fatal(err)
		}
		s, err := parseJob(job.Spec)
		if err != nil {
			t.Fatal(err)
		}
		m, err := model.Build(s, input(&set.Prep))
		if err != nil {
			t.Fatal(err)
		}
		job.Vars = worker.Vars(m.Vars())
		if _, err = f.open(t.Context(), job, set); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("child %v: got %v, want %s", child, err, want)
		}
	}
}
