//go:build unix

package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestPredictInto writes predictions into a pipe, a file of its owner alone, and one
// behind a link.
func TestPredictInto(t *testing.T) {
	run, dir := sums(t)
	rows := filepath.Join(dir, "two numbers.csv")
	const want = "y\n"
	pipe, closed, link := filepath.Join(dir, "a pipe"), filepath.Join(dir, "closed"), filepath.Join(dir, "link")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(closed, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("closed", link); err != nil {
		t.Fatal(err)
	}
	read := make(chan string)
	go func() {
		text, err := os.ReadFile(pipe)
		if err != nil {
			t.Error(err)
		}
		read <- string(text)
	}()
	must(t, "predict", run, rows, "-o", pipe)
	if got := <-read; strings.Count(got, "\n") != 3 || !strings.HasPrefix(got, want) {
		t.Errorf("the reader got %q", got)
	}
	must(t, "predict", run, rows, "-o", link)
	for path, mode := range map[string]fs.FileMode{pipe: fs.ModeNamedPipe | 0o600, closed: 0o600, link: fs.ModeSymlink | 0o777} {
		info, err := os.Lstat(path)
		if err != nil || info.Mode() != mode {
			t.Errorf("%s is now %v (%v), want %v", path, info.Mode(), err, mode)
		}
	}
	if text, err := os.ReadFile(closed); err != nil || !strings.HasPrefix(string(text), want) {
		t.Errorf("behind the link is %q, %v", text, err)
	}
}
