package rpc

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gespann/gespann/dist"
)

// asUID runs f as another account, on a thread of its own that ends with it.
func asUID(t *testing.T, uid int, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can be another account")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for ever: the thread is not used again
		if _, _, err := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); err != 0 {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

// TestOtherAccount dials a unix socket whose directory was opened to others.
func TestOtherAccount(t *testing.T) {
	who := make(chan dist.Principal, 1)
	address := start(t, Options{Listen: socket(t)}, meets(who))
	path := strings.TrimPrefix(address, "unix:")
	for dir := filepath.Dir(path); dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	asUID(t, 65534, func() {
		conn, err := Dial(t.Context(), address, Client, Trust{})
		if err == nil {
			conn.Close()
		}
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "it is of the account ") ||
			!strings.Contains(err.Error(), ", and this socket is for ") {
			t.Errorf("got %v, want that it is refused", err)
		}
	})
	select {
	case got := <-who:
		t.Errorf("%+v was let in", got)
	default:
	}
}

// TestOthersSocket dials a unix socket at which a process of another account listens.
func TestOthersSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "x")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	var l net.Listener
	asUID(t, 65533, func() { l, err = net.Listen("unix", path) })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	asUID(t, 65534, func() {
		_, err := Dial(t.Context(), "unix:"+path, Client, Trust{})
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "it is a process of uid 65533, and this one of ") {
			t.Errorf("got %v, want that it is refused", err)
		}
	})
}
