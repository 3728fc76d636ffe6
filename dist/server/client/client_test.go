package client

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/gespann/gespann/dist/disttest"
	"github.com/gespann/gespann/dist/wire"
)

// scripted returns a client, and the frames that its coordinator answers with.
func scripted(t *testing.T, answers ...wire.Frame) *Client {
	t.Helper()
	a, b := disttest.Pipe("client", "coordinator")
	b.Allow(1 << 20)
	for _, f := range append([]wire.Frame{{Message: &wire.Visited{}}}, answers...) {
		if err := b.Send(f); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { a.Close() })
	c, err := New(a, "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func file(path string, size, offset int64, text string) wire.Frame {
	return wire.Frame{Message: &wire.File{Path: path, Size: size, Offset: offset}, Bytes: []byte(text)}
}

// TestFetch receives files, one of them in two pieces.
func TestFetch(t *testing.T) {
	c := scripted(t, file("a/b", 6, 0, "abc"), file("a/b", 6, 3, "def"), file("empty", 0, 0, ""),
		wire.Frame{Message: &wire.FilesEnd{Files: 2, Bytes: 6}})
	dir := t.TempDir()
	end, err := c.Fetch("x", dir, nil)
	if err != nil || end.Files != 2 {
		t.Fatalf("got %+v, %v, want 2 files", end, err)
	}
	for name, want := range map[string]string{"a/b": "abcdef", "empty": ""} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); string(got) != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
		}
	}
}

// TestFetchRefused receives what no honest coordinator sends, and leaves nothing
// behind.
func TestFetchRefused(t *testing.T) {
	for name, c := range map[string]struct {
		frames []wire.Frame
		want   string
	}{
		"outside":  {[]wire.Frame{file("../x", 1, 0, "a")}, `coordinator coordinator: sent a file "../x" at 0 of 1 bytes`},
		"absolute": {[]wire.Frame{file("/x", 1, 0, "a")}, `coordinator coordinator: sent a file "/x" at 0 of 1 bytes`},
		"itself":   {[]wire.Frame{file(".", 1, 0, "a")}, `coordinator coordinator: sent a file "." at 0 of 1 bytes`},
		"middle":   {[]wire.Frame{file("x", 2, 1, "a")}, `coordinator coordinator: sent a file "x" at 1 of 2 bytes`},
		"long":     {[]wire.Frame{file("x", 1, 0, "ab")}, "more bytes came than the file has"},
		"other":    {[]wire.Frame{file("x", 2, 0, "a"), file("y", 2, 1, "b")}, `got "y" at 1, want the rest from 1`},
		"stalled":  {[]wire.Frame{file("x", 2, 0, "a"), file("x", 2, 1, "")}, `got "x" at 1, want the rest from 1`},
		"refused":  {[]wire.Frame{file("x", 2, 0, "a"), {Message: &wire.Refused{Err: "it is gone"}}}, "it is gone"},
		"strange":  {[]wire.Frame{{Message: &wire.Ping{}}}, "coordinator coordinator: got ping, want file"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			_, err := scripted(t, c.frames...).Fetch("x", filepath.Join(dir, "run"), nil)
			for inner := err; inner != nil; inner = errors.Unwrap(inner) {
				err = inner
			}
			if err == nil || err.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "*", "*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "x")); len(left) > 0 {
				t.Errorf("left outside: %v", left)
			}
		})
	}
}
