//go:build unix

package infile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// pipe makes a named pipe.
func pipe(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(path, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestStuckOpen opens a pipe that nobody writes to.
func TestStuckOpen(t *testing.T) {
	path := pipe(t, t.TempDir())
	var said []string
	s := Files{Patience: 20 * time.Millisecond, Log: func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }}
	_, err := s.Open(t.Context(), path)
	var stuck *StuckError
	if !errors.As(err, &stuck) || err.Error() != path+": could not be opened for 20ms" {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	began := time.Now()
	if _, err := (Files{}).Open(ctx, path); !errors.Is(err, context.Canceled) || time.Since(began) > 5*time.Second {
		t.Errorf("cancelled: got %v after %v", err, time.Since(began))
	}
	if Left() != 2 || len(said) != 1 || !strings.HasPrefix(said[0], path+": a read of it hangs") {
		t.Errorf("got %d left behind, said %q, want 2, and one of them said", Left(), said)
	}
	unblock(t, path)
	awaits(t, "nothing is left behind", func() bool { return Left() == 0 })
}

// unblock lets all go that wait for a writer.
func unblock(t *testing.T, path string) {
	t.Helper()
	w, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	w.Close()
}

// TestTooMany opens so many files that hang that no more are opened, and then one that
// does not.
func TestTooMany(t *testing.T) {
	dir := t.TempDir()
	path := pipe(t, dir)
	fine := filepath.Join(dir, "fine")
	put(t, fine, "x")
	s := Files{Patience: time.Millisecond}
	for range maxLeft {
		s.Open(t.Context(), path)
	}
	before := runtime.NumGoroutine()
	if _, err := s.Open(t.Context(), path); !errors.Is(err, errTooMany) {
		t.Errorf("got %v, want %v", err, errTooMany)
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines, %d before", n, before)
	}
	unblock(t, path)
	awaits(t, "nothing is left behind", func() bool { return Left() == 0 })
	if text, err := read(t.Context(), s, fine); text != "x" || err != nil {
		t.Errorf("then: got %q, %v", text, err)
	}
}

// TestStuckRead reads a pipe whose writer says something, and then nothing.
func TestStuckRead(t *testing.T) {
	path := pipe(t, t.TempDir())
	w, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, s := range []Files{{Patience: 30 * time.Millisecond}, {}} {
		ctx, cancel := context.WithCancel(t.Context())
		f, err := s.Open(ctx, path)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, "hello")
		buf := make([]byte, 5)
		if _, err := io.ReadFull(f, buf); err != nil || string(buf) != "hello" {
			t.Errorf("got %q, %v", buf, err)
		}
		if s.Patience == 0 {
			time.AfterFunc(30*time.Millisecond, cancel)
		}
		_, err = f.Read(buf)
		var stuck *StuckError
		if s.Patience > 0 && (!errors.As(err, &stuck) || err.Error() != path+": no byte for 30ms") {
			t.Errorf("got %v", err)
		}
		if s.Patience == 0 && !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
		if _, again := f.Read(buf); again != err {
			t.Errorf("again: got %v, want %v", again, err)
		}
		f.Close() // which wakes the reader
		cancel()
		awaits(t, "nothing is left behind", func() bool { return Left() == 0 })
	}
}

// TestSlow reads a pipe whose bytes come one by one, each in time.
func TestSlow(t *testing.T) {
	path := pipe(t, t.TempDir())
	go func() {
		w, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return
		}
		defer w.Close()
		for range 10 {
			time.Sleep(100 * time.Millisecond)
			io.WriteString(w, "x")
		}
	}()
	text, err := read(t.Context(), Files{Patience: 600 * time.Millisecond}, path)
	if text != strings.Repeat("x", 10) || err != nil {
		t.Errorf("got %q, %v", text, err)
	}
}

// TestKinds opens in a root what is no file.
func TestKinds(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "t-") // a socket has a short name
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	l, err := net.Listen("unix", filepath.Join(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := Files{Confined: true, Roots: []string{dir, "/dev"}, Patience: 10 * time.Second}
	for path, want := range map[string]string{
		pipe(t, dir): "is a pipe", filepath.Join(dir, "socket"): "is a socket", "/dev/null": "is a device", "/dev/zero": "is a device",
	} {
		_, err := s.Open(t.Context(), path)
		if err == nil || err.Error() != "open "+path+": "+want+", want a regular file" {
			t.Errorf("%s: got %v", path, err)
		}
	}
}

// BenchmarkRead reads 100 MB, as before with os.File, and with File.
func BenchmarkRead(b *testing.B) {
	path := filepath.Join(b.TempDir(), "f")
	text := bytes.Repeat([]byte("0.123456,"), 11111111)
	put(b, path, string(text))
	buf := make([]byte, 64<<10)
	sum := func(b *testing.B, r io.Reader) {
		total := byte(0)
		for {
			n, err := r.Read(buf)
			for _, v := range buf[:n] {
				total += v
			}
			if err != nil {
				return
			}
		}
	}
	b.Run("os", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			f, err := os.Open(path)
			if err != nil {
				b.Fatal(err)
			}
			sum(b, f)
			f.Close()
		}
	})
	b.Run("infile", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			f, err := Files{Patience: time.Minute}.Open(b.Context(), path)
			if err != nil {
				b.Fatal(err)
			}
			sum(b, f)
			f.Close()
		}
	})
}
