//go:build unix

package account

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// TestOwn makes a key, and finds it again.
func TestOwn(t *testing.T) {
	config := t.TempDir()
	p := []place{{folder: filepath.Join(config, folderName)}}
	a, err := own(p)
	if err != nil {
		t.Fatal(err)
	}
	b, err := own(p)
	if err != nil {
		t.Fatal(err)
	}
	if a.secret != b.secret || a.secret == (Key{}).secret {
		t.Error("the key is another one, or none")
	}
	info, err := os.Stat(filepath.Join(config, folderName, fileName))
	if err != nil || info.Mode().Perm() != 0o600 || a.Path != filepath.Join(config, folderName, fileName) {
		t.Errorf("%s has mode %v (%v), want 0600", a.Path, info.Mode(), err)
	}
	left, err := os.ReadDir(filepath.Join(config, folderName))
	if err != nil || len(left) != 1 {
		t.Errorf("the folder has %v (%v), want the key only", left, err)
	}
}

// TestRace has many make the key at the same time: all end with one.
func TestRace(t *testing.T) {
	for range 20 {
		p := []place{{folder: filepath.Join(t.TempDir(), folderName)}}
		var wg sync.WaitGroup
		keys := make([]*Key, 16)
		for i := range keys {
			wg.Go(func() {
				k, err := own(p)
				if err != nil {
					t.Error(err)
					return
				}
				keys[i] = k
			})
		}
		wg.Wait()
		for _, k := range keys {
			if t.Failed() || k.secret != keys[0].secret {
				t.Fatal("two keys")
			}
		}
	}
}

// TestWrongFiles checks that a key which others could have read, made or planted is refused.
func TestWrongFiles(t *testing.T) {
	text := strings.Repeat("a", 64) + "\n"
	for _, c := range []struct {
		name, text, want string
		change           func(path string) error
	}{
		{"readable", text, "others can read it: got mode 0644, want 0600\nhint: remove it", func(path string) error { return os.Chmod(path, 0o644) }},
		{"of a group", text, "got mode 0660", func(path string) error { return os.Chmod(path, 0o660) }},
		{"another account's", text, "is another account's", func(path string) error { return os.Chown(path, 12345, -1) }},
		{"empty", "", "got 0 bytes, want 64 hexadecimal digits", nil},
		{"half", text[:20], "got 20 bytes", nil},
		{"long", text + text, "got 130 bytes", nil},
		{"no digits", strings.Repeat("x", 64), "want 64 hexadecimal digits", nil},
		{"a pipe", "", "is no file", func(path string) error {
			return firstError(os.Remove(path), syscall.Mkfifo(path, 0o600))
		}},
		{"a folder", "", "is no file", func(path string) error { return firstError(os.Remove(path), os.Mkdir(path, 0o700)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "another account's" && os.Geteuid() != 0 {
				t.Skip("only root can give a file away")
			}
			folder := t.TempDir()
			path := filepath.Join(folder, fileName)
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if c.change != nil {
				if err := c.change(path); err != nil {
					t.Fatal(err)
				}
			}
			_, err := own([]place{{folder: folder}, {folder: t.TempDir()}})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want %q and the path in it", err, c.want)
			}
		})
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// TestElsewhere makes the key in the folder for temporary files, which must be this
// account's alone.
func TestElsewhere(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	unusable := place{folder: filepath.Join(file, "config", folderName)} // below a file
	temp := t.TempDir()
	shared := place{folder: filepath.Join(temp, "gespann-1"), shared: true}
	a, err := own([]place{unusable, shared})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(shared.folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode is %v (%v), want 0700", info.Mode(), err)
	}
	// One who could write elsewhere finds the key that there is.
	b, err := own([]place{{folder: filepath.Join(t.TempDir(), folderName)}, shared})
	if err != nil || a.secret != b.secret {
		t.Errorf("got another key, or %v", err)
	}
	wrong := func(name, want string) {
		t.Helper()
		if k, err := own([]place{unusable, shared}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, %v, want %q", name, k, err, want)
		}
	}
	if err := os.Chmod(shared.folder, 0o755); err != nil {
		t.Fatal(err)
	}
	wrong("open", "others can use it: got mode 0755, want 0700")
	if err := os.Chmod(shared.folder, 0o700); err != nil {
		t.Fatal(err)
	}
	moved := shared.folder + ".moved"
	if err := firstError(os.Rename(shared.folder, moved), os.Symlink(moved, shared.folder)); err != nil {
		t.Fatal(err)
	}
	wrong("a link", "is no folder")
	if os.Geteuid() != 0 {
		return
	}
	if err := firstError(os.Remove(shared.folder), os.Rename(moved, shared.folder), os.Chown(shared.folder, 12345, -1)); err != nil {
		t.Fatal(err)
	}
	wrong("planted", "is another account's")
}

// TestOtherHome checks that root with the environment of another account leaves no key in
// that one's way.
func TestOtherHome(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a folder away")
	}
	home, temp := t.TempDir(), t.TempDir()
	if err := os.Chown(home, 12345, -1); err != nil {
		t.Fatal(err)
	}
	k, err := own([]place{{folder: filepath.Join(home, folderName)}, {folder: filepath.Join(temp, folderName)}})
	if err != nil {
		t.Fatal(err)
	}
	if k.Path != filepath.Join(temp, folderName, fileName) {
		t.Errorf("the key is %s, want it in %s", k.Path, temp)
	}
	if left, err := os.ReadDir(home); err != nil || len(left) != 0 {
		t.Errorf("got %v (%v) in the other home, want nothing", left, err)
	}
}
