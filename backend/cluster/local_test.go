//go:build unix

package cluster

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startLocal starts a cluster whose workers are shell scripts.
func startLocal(t *testing.T, workers int, script string) (l *LocalCluster, sockets string) {
	t.Helper()
	sockets, err := os.MkdirTemp("/tmp", "t-") // short: it holds sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(sockets) })
	t.Setenv("TMPDIR", sockets)
	l, err = StartLocal(t.Context(), LocalOptions{
		Workers: workers, Threads: 3,
		Command: func(_ int, address string, _ int) *exec.Cmd {
			cmd := exec.Command("sh", "-c", script)
			cmd.Env = append(os.Environ(), "ADDRESS="+strings.TrimPrefix(address, "unix:"))
			return cmd
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return l, sockets
}

// TestChildThatDies checks that a worker that does not stay is given up, with what
// it said.
func TestChildThatDies(t *testing.T) {
	if testing.Short() {
		t.Skip("waits between attempts")
	}
	l, _ := startLocal(t, 1, "echo out of luck >&2; exit 3")
	select {
	case <-l.Failed():
	case <-time.After(30 * time.Second):
		t.Fatal("the cluster does not give up")
	}
	if err := l.Err(); err == nil || !strings.Contains(err.Error(), "worker 1 ended 6 times within a minute") ||
		!strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "out of luck") {
		t.Errorf("got %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// TestLocalClose checks that workers are asked to end, those that do not are made
// to, and that nothing is left.
func TestLocalClose(t *testing.T) {
	for name, script := range map[string]string{
		"ends":  `read word && test "$word" = end`,
		"stays": "trap '' TERM; while :; do sleep 0.1; done",
	} {
		if name == "stays" && testing.Short() {
			continue
		}
		l, sockets := startLocal(t, 2, script)
		if err := l.Err(); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(sockets); err != nil || len(left) > 0 {
			t.Errorf("%s: left %v, %v", name, left, err)
		}
	}
}

// TestStale checks that only folders of clusters that are no more are removed.
func TestStale(t *testing.T) {
	parent, err := os.MkdirTemp("/tmp", "t-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(parent)
	for _, name := range []string{"live", "young", "old"} {
		dir := filepath.Join(parent, dirPrefix+name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		socket := filepath.Join(dir, socketName)
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		if name == "live" {
			defer l.Close()
		} else {
			l.SetUnlinkOnClose(false)
			l.Close()
		}
		if name != "young" {
			long := time.Now().Add(-2 * staleAge)
			if err := os.Chtimes(socket, long, long); err != nil {
				t.Fatal(err)
			}
		}
	}
	removeStale(parent)
	left, err := filepath.Glob(filepath.Join(parent, "*"))
	if err != nil || len(left) != 2 || filepath.Base(left[0]) != dirPrefix+"live" {
		t.Errorf("left %v, %v, want live and young", left, err)
	}
}

func TestShare(t *testing.T) {
	for _, c := range []struct{ threads, n, total int }{{8, 3, 8}, {2, 2, 2}, {1, 4, 4}, {16, 5, 16}} {
		total := 0
		for i := range c.n {
			got := share(c.threads, c.n, i)
			if got < 1 || got > c.threads/c.n+1 {
				t.Errorf("worker %d of %d has %d of %d threads", i, c.n, got, c.threads)
			}
			total += got
		}
		if total != c.total {
			t.Errorf("%d workers have %d threads, want %d", c.n, total, c.total)
		}
	}
}
