//go:build unix

package filelock

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestWait locks one file through two descriptors, which exclude each other as
// two processes do.
func TestWait(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	open := func() *os.File {
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	first, second := open(), open()
	if locked, err := Try(first); !locked || err != nil {
		t.Fatalf("free file: got %t, %v, want the lock", locked, err)
	}
	if locked, err := Try(second); locked || err != nil {
		t.Fatalf("locked file: got %t, %v, want false", locked, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	if err := Wait(ended, second, cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("wait ended by its context: got %v, want %v", err, context.Canceled)
	}
	calls := 0
	if err := Wait(t.Context(), second, func() { calls++; first.Close() }); err != nil || calls != 1 {
		t.Errorf("wait: got %v after %d calls of busy, want the lock after 1", err, calls)
	}
}

// TestOpen checks what is taken for a lock, and that nothing else is written to.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "notes")
	if err := os.WriteFile(target, []byte("12 important things\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	link, hard, pipe, dangling := filepath.Join(dir, "link"), filepath.Join(dir, "hard"), filepath.Join(dir, "pipe"), filepath.Join(dir, "dangling")
	if err := errors.Join(os.Symlink(target, link), os.Link(target, hard), syscall.Mkfifo(pipe, 0o666),
		os.Symlink(filepath.Join(dir, "new"), dangling)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		link: "is a link", dangling: "is a link", hard: "has another name", pipe: "is no regular file", dir: "is a directory",
	} {
		f, err := Open(path)
		if err == nil {
			f.Close()
		}
		if err == nil || !strings.Contains(err.Error(), path+": "+want) {
			t.Errorf("%s: got %v, want %s", path, err, want)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, "new")); err == nil {
		t.Error("a file was made at the end of a link")
	}
	os.Remove(hard)
	for text, sign := range map[string]bool{
		"": true, "123\n": true, "12 important things\n": false, "123456789012345678901234567890": false, "x": false, "\n": false,
	} {
		if err := os.WriteFile(target, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		f, err := Open(target)
		if err != nil {
			t.Fatal(err)
		}
		err = Sign(f)
		got, _ := os.ReadFile(target)
		switch {
		case sign && (err != nil || Holder(f) != strconv.Itoa(os.Getpid()) || string(got) != Holder(f)+"\n"):
			t.Errorf("%q: got %v, %q, want it signed", text, err, got)
		case !sign && (err == nil || string(got) != text):
			t.Errorf("%q: got %v, %q, want it left alone", text, err, got)
		}
		f.Close()
	}
}
