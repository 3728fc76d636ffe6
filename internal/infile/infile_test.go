package infile

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// put makes a file, and its folders.
func put(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

func link(t testing.TB, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

// read returns what a file has.
func read(ctx context.Context, s Files, path string) (string, error) {
	f, err := s.Open(ctx, path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	return string(text), err
}

// awaits waits until something is so.
func awaits(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: is not so", what)
		}
	}
}

// TestRoots tries all ways out of a root.
func TestRoots(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	root, other, secret := filepath.Join(dir, "root"), filepath.Join(dir, "other"), filepath.Join(dir, "secret")
	put(t, filepath.Join(root, "sub", "a"), "inside")
	put(t, filepath.Join(other, "b"), "other")
	put(t, filepath.Join(dir, "root-not", "c"), "SECRET")
	put(t, secret, "SECRET")
	link(t, "sub", filepath.Join(root, "in"))
	link(t, "../secret", filepath.Join(root, "out"))
	link(t, "../nothing", filepath.Join(root, "nowhere"))
	link(t, secret, filepath.Join(root, "absolute"))
	link(t, "..", filepath.Join(root, "sub", "up"))
	link(t, "../..", filepath.Join(root, "sub", "upup"))
	link(t, root, filepath.Join(dir, "way"))
	const outside = "OUTSIDE"
	for _, c := range []struct{ root, path, want string }{
		{root, root + "/sub/a", "inside"},
		{root, root + "//sub/./a", "inside"},
		{root, root + "/in/a", "inside"},
		{root, root + "/sub/../in/a", "inside"},
		{root, root + "/sub/up/sub/a", "inside"},
		{root, other + "/b", "other"},
		{dir + "/way", dir + "/way/sub/a", "inside"},
		{dir + "/way", root + "/sub/a", "inside"},
		{root, root + "/sub/none", "no such file"},
		{root, secret, outside},
		{root, dir + "/none", outside},
		{root, "/etc/passwd", outside},
		{root, "sub/a", outside}, // relative to what?
		{root, "", outside},
		{root, dir + "/root-not/c", outside},
		{root, root + "/../secret", outside},
		{root, root + "/../none", outside},
		{root, root + "/sub/../../secret", outside},
		{root, root + "/../root/sub/a", outside},
		{root, root + "/out", outside},
		{root, root + "/nowhere", outside},
		{root, root + "/absolute", outside},
		{root, root + "/sub/upup/secret", outside},
		{root, root + "/sub/upup/root/sub/a", outside},
		{root, root + "/sub/up/../secret", outside},
		{root, dir + "/way/sub/a", outside}, // the root is not called so
	} {
		s := Files{Confined: true, Roots: []string{c.root, other}}
		got, err := read(t.Context(), s, c.path)
		_, stat := s.Stat(t.Context(), c.path)
		var out *OutsideError
		if errors.As(err, &out) {
			got = outside
			if out.Path != c.path || strings.Contains(err.Error(), "no such") {
				t.Errorf("%s: got %v", c.path, err)
			}
		} else if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, c.want) || errors.As(stat, &out) != (c.want == outside) {
			t.Errorf("%s below %s: got %s, stat %v, want %s", c.path, c.root, got, stat, c.want)
		}
		var p *fs.PathError
		if errors.As(err, &p) && p.Path != c.path {
			t.Errorf("got %v, want the whole path %s", err, c.path)
		}
	}
	for _, s := range []Files{{Confined: true}, {Confined: true, Roots: []string{}}} {
		if _, err := read(t.Context(), s, secret); err == nil || !strings.Contains(err.Error(), "there is no data root") {
			t.Errorf("without a root: got %v", err)
		}
	}
	if got, err := read(t.Context(), Files{}, secret); got != "SECRET" || err != nil {
		t.Errorf("not confined: got %q, %v", got, err)
	}
	s := Files{Confined: true, Roots: []string{root}}
	if all, err := s.ReadDir(t.Context(), root+"/in"); err != nil || len(all) != 3 {
		t.Errorf("a folder: got %v, %v, want 3 entries", all, err)
	}
	if _, err := s.ReadDir(t.Context(), root+"/sub/upup"); !errors.As(err, new(*OutsideError)) {
		t.Errorf("a folder outside: got %v", err)
	}
}

// TestSwap swaps a folder for a link out of the root while files are opened in it.
func TestSwap(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	put(t, filepath.Join(root, "real", "f"), "inside")
	put(t, filepath.Join(dir, "away", "f"), "SECRET")
	link(t, "../away", filepath.Join(root, "link"))
	at := func(name string) string { return filepath.Join(root, name) }
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			os.Rename(at("real"), at("x"))
			os.Rename(at("x"), at("real"))
			os.Rename(at("link"), at("x"))
			os.Rename(at("x"), at("link"))
			os.Rename(at("real"), at("y"))
			os.Rename(at("link"), at("real"))
			os.Rename(at("real"), at("link"))
			os.Rename(at("y"), at("real"))
		}
	}()
	s := Files{Confined: true, Roots: []string{root}}
	inside, outside := 0, 0
	for range 20000 {
		text, err := read(t.Context(), s, at("real/f"))
		switch {
		case err == nil && text == "inside":
			inside++
		case err == nil:
			t.Fatalf("got %q from outside of the root", text)
		case errors.As(err, new(*OutsideError)):
			outside++
		}
	}
	close(stop)
	<-stopped
	if inside == 0 || outside == 0 {
		t.Errorf("read %d times inside, and was led out %d times: want some of both", inside, outside)
	}
}

// TestReads reads files of many lengths in many ways.
func TestReads(t *testing.T) {
	dir := t.TempDir()
	random := rand.NewChaCha8([32]byte{1})
	for _, size := range []int{0, 1, 511, 512, 513, pieceSize - 1, pieceSize, pieceSize + 1, 5*pieceSize + 17} {
		text := make([]byte, size)
		random.Read(text)
		path := filepath.Join(dir, "f")
		put(t, path, string(text))
		for _, s := range []Files{{}, {Confined: true, Roots: []string{dir}, Patience: 60e9}} {
			f, err := s.Open(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			if err := iotest.TestReader(io.NewSectionReader(f, 0, int64(size)), text); err != nil {
				t.Errorf("%d bytes: %v", size, err)
			}
			got, err := io.ReadAll(f)
			if err != nil || sha256.Sum256(got) != sha256.Sum256(text) || f.Info().Size() != int64(size) {
				t.Errorf("%d bytes: got %d, %v", size, len(got), err)
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
			if _, err := f.Read(make([]byte, 1)); err == nil {
				t.Error("a closed file can be read")
			}
			f, err = s.Open(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			got, err = io.ReadAll(iotest.OneByteReader(io.LimitReader(f, 1000)))
			if err != nil || !bytes.Equal(got, text[:min(size, 1000)]) {
				t.Errorf("the start of %d bytes: got %d, %v", size, len(got), err)
			}
			if err := f.Close(); err != nil { // in the middle
				t.Error(err)
			}
		}
	}
	awaits(t, "nothing is left behind", func() bool { return Left() == 0 })
}
