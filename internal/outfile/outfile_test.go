package outfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// read returns the contents of a file.
func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// put makes a file.
func put(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// only checks which files a folder has.
func only(t *testing.T, folder string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		t.Errorf("%s has %q, want %q", folder, got, names)
	}
}

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode()
}

func TestReplaces(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a file.csv")
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"first", "2"} {
		if err := Bytes(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got := read(t, path); got != text {
			t.Errorf("got %q, want %q", got, text)
		}
	}
	if got, want := mode(t, path), mode(t, plain); got != want {
		t.Errorf("got mode %v, want %v as the umask leaves it", got, want)
	}
	only(t, dir, "a file.csv")
}

func TestKeepsMode(t *testing.T) {
	for _, want := range []fs.FileMode{0o600, 0o644, 0o666, 0o750} {
		path := filepath.Join(t.TempDir(), "a")
		put(t, path, "secret", want)
		if err := Bytes(path, []byte("new")); err != nil {
			t.Fatal(err)
		}
		if got := mode(t, path); got != want || read(t, path) != "new" {
			t.Errorf("got mode %v and %q, want %v and new", got, read(t, path), want)
		}
	}
}

// TestTemporaryIsAsClosed checks that what is written into a file of its owner alone
// is at no time in one that others can read.
func TestTemporaryIsAsClosed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	put(t, path, "", 0o600)
	err := Write(path, func(w io.Writer) error {
		entries, err := os.ReadDir(dir)
		if len(entries) != 2 {
			t.Errorf("got %v, want the file and a temporary one", entries)
		}
		for _, e := range entries {
			if got := mode(t, filepath.Join(dir, e.Name())); got != 0o600 {
				t.Errorf("%s has mode %v, want 0600", e.Name(), got)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFollowsLinks(t *testing.T) {
	dir := t.TempDir()
	away := filepath.Join(dir, "away", "deep")
	if err := os.MkdirAll(away, 0o777); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(away, "there"), "old", 0o640)
	for link, to := range map[string]string{
		"absolute": filepath.Join(away, "there"), "relative": "away/deep/there", "twice": "relative",
		"dangling": "away/deep/new", "folder": "away/deep",
	} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	// "../top" of folder is away/top, whatever the text of the path says.
	if err := os.Symlink("../top", filepath.Join(away, "up")); err != nil {
		t.Fatal(err)
	}
	for link, want := range map[string]string{"absolute": "there", "relative": "there", "twice": "there",
		"dangling": "new", "folder/up": "../top"} {
		if err := Bytes(dir+"/"+link, []byte(link)); err != nil {
			t.Fatal(err)
		}
		if got := read(t, filepath.Join(away, want)); got != link {
			t.Errorf("%s: got %q behind the link", link, got)
		}
		if mode(t, dir+"/"+link)&fs.ModeSymlink == 0 {
			t.Errorf("%s is a link no more", link)
		}
	}
	if got := mode(t, filepath.Join(away, "there")); got != 0o640 {
		t.Errorf("got mode %v, want 0640", got)
	}
	only(t, away, "new", "there", "up")
	if err := os.Symlink("round", filepath.Join(dir, "round")); err != nil {
		t.Fatal(err)
	}
	if err := Bytes(filepath.Join(dir, "round"), nil); err == nil || !strings.Contains(err.Error(), "round: too many levels") {
		t.Errorf("a link to itself: got %v", err)
	}
}

// TestSecondName checks that both names of a file have the new contents.
func TestSecondName(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	put(t, a, "a longer old text", 0o666)
	if err := os.Link(a, b); err != nil {
		t.Fatal(err)
	}
	if err := Bytes(a, []byte("new")); err != nil {
		t.Fatal(err)
	}
	if read(t, a) != "new" || read(t, b) != "new" {
		t.Errorf("got %q and %q, want new twice", read(t, a), read(t, b))
	}
	only(t, dir, "a", "b")
}

// TestFails checks that a failed write keeps the old file, and leaves no other.
func TestFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	bad := errors.New("no more rows")
	write := func(w io.Writer) error {
		io.WriteString(w, "half")
		return bad
	}
	if err := Write(path, write); err != bad {
		t.Errorf("got %v, want the error of the writer alone", err)
	}
	only(t, dir)
	put(t, path, "old", 0o666)
	if err := Write(path, write); err != bad || read(t, path) != "old" {
		t.Errorf("got %v and %q", err, read(t, path))
	}
	only(t, dir, "a")
}

func TestErrorsNameTheFile(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "file"), "", 0o666)
	for path, want := range map[string]string{
		dir:                             "is a directory",
		filepath.Join(dir, "none", "a"): "no such file or directory",
		filepath.Join(dir, "file", "a"): "not a directory",
		filepath.Join(dir, "new") + "/": "no such file or directory",
		"":                              "no such file or directory",
		filepath.Join(dir, "x\x00y"):    "invalid argument",
		filepath.Join(dir, strings.Repeat("n", 300)): "file name too long",
	} {
		err := Bytes(path, nil)
		var e *Error
		if !errors.As(err, &e) || e.Path != path || err.Error() != path+": "+want {
			t.Errorf("%q: got %v, want %s", path, err, want)
		}
	}
	only(t, dir, "file")
}

// TestLongName checks that a name as long as file systems take has room for the
// temporary one.
func TestLongName(t *testing.T) {
	path := filepath.Join(t.TempDir(), strings.Repeat("n", 255))
	if err := Bytes(path, []byte("x")); err != nil || read(t, path) != "x" {
		t.Error(err)
	}
}
