package outfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

func TestPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	link := path + " link"
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, link} {
		done := make(chan []byte)
		go func() {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Error(err)
			}
			done <- text
		}()
		if err := Bytes(name, []byte("rows")); err != nil {
			t.Fatal(err)
		}
		if got := <-done; string(got) != "rows" {
			t.Errorf("the reader got %q, want rows", got)
		}
		if mode(t, path)&fs.ModeNamedPipe == 0 || mode(t, path).Perm() != 0o600 {
			t.Errorf("the pipe is now %v", mode(t, path))
		}
	}
	only(t, filepath.Dir(path), "pipe", "pipe link")
}

func TestDevices(t *testing.T) {
	if err := Bytes("/dev/null", []byte("x")); err != nil {
		t.Error(err)
	}
	if mode(t, "/dev/null")&fs.ModeCharDevice == 0 {
		t.Fatal("/dev/null is a device no more")
	}
	if err := Bytes("/dev/full", []byte("x")); !errors.Is(err, syscall.ENOSPC) || err.Error() != "/dev/full: no space left on device" {
		t.Errorf("got %v", err)
	}
	socket := filepath.Join(t.TempDir(), "socket")
	s, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(s)
	if err := syscall.Bind(s, &syscall.SockaddrUnix{Name: socket}); err != nil {
		t.Fatal(err)
	}
	if err := Bytes(socket, nil); err == nil || mode(t, socket)&fs.ModeSocket == 0 {
		t.Errorf("a socket: got %v, and it is %v", err, mode(t, socket))
	}
}

// TestDescriptor checks that an open file is written where it stands, as the shell's
// >> has opened it, and stays open.
func TestDescriptor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	link := path + " link"
	if err := os.Symlink(fmt.Sprintf("/dev/fd/%d", f.Fd()), link); err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	for _, name := range []string{"/dev/fd/%d", "/proc/self/fd/%d", fmt.Sprint("/proc/", os.Getpid(), "/fd/%d"), link} {
		if strings.Contains(name, "%d") {
			name = fmt.Sprintf(name, f.Fd())
		}
		fmt.Fprintln(f, "before")
		if err := Bytes(name, []byte(name+"\n")); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&want, "before\n%s\n", name)
	}
	if got := read(t, path); got != want.String() {
		t.Errorf("got\n%swant\n%s", got, &want)
	}
	if err := Bytes("/dev/fd/9999", nil); err == nil || err.Error() != "/dev/fd/9999: bad file descriptor" {
		t.Errorf("got %v", err)
	}
}

// TestMounted writes a file that is a mount, as containers have it.
func TestMounted(t *testing.T) {
	dir := t.TempDir()
	from, path := filepath.Join(dir, "from"), filepath.Join(dir, "mounted")
	put(t, from, "an old and longer text", 0o640)
	put(t, path, "", 0o666)
	if err := syscall.Mount(from, path, "", syscall.MS_BIND, ""); err != nil {
		t.Skipf("mounting needs root: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(path, syscall.MNT_DETACH) })
	if err := Bytes(path, []byte("new")); err != nil {
		t.Fatal(err)
	}
	if read(t, from) != "new" || mode(t, from) != 0o640 {
		t.Errorf("got %q and %v, want new and 0640", read(t, from), mode(t, from))
	}
	only(t, dir, "from", "mounted")
}

// TestOthers writes a file of another owner, and as another user one in a folder
// that takes no new file, and one that must not be written.
func TestOthers(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	const nobody = 65534
	dir := t.TempDir()
	for _, folder := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	path, closed := filepath.Join(dir, "a"), filepath.Join(dir, "closed")
	put(t, path, "old", 0o640)
	put(t, closed, "old", 0o444)
	if err := os.Chown(path, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	if err := Bytes(path, []byte("new")); err != nil {
		t.Fatal(err)
	}
	checkOwner := func(want string) {
		t.Helper()
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if s := info.Sys().(*syscall.Stat_t); s.Uid != nobody || s.Gid != nobody || info.Mode() != 0o640 || read(t, path) != want {
			t.Errorf("got owner %d:%d, %v, %q, want %s", s.Uid, s.Gid, info.Mode(), read(t, path), want)
		}
	}
	checkOwner("new")
	as(t, nobody, func() {
		if err := Bytes(path, []byte("newer")); err != nil {
			t.Error(err)
		}
		if err := Bytes(closed, []byte("new")); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("a file of mode 0444: got %v, want permission denied", err)
		}
	})
	checkOwner("newer")
	if read(t, closed) != "old" {
		t.Errorf("got %q, want old", read(t, closed))
	}
	only(t, dir, "a", "closed")
}

// as runs f with the rights of another user on files.
func as(t *testing.T, uid int, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with its rights
		err := syscall.Setfsuid(uid)
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
