package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/rpc"
	"github.com/gespann/gespann/dist/server"
)

// LocalOptions say what a cluster on this machine is made of.
type LocalOptions struct {
	Workers int
	Threads int // of all workers together; 0: one per processor
	// Command returns the command of worker i, with so many threads, for the
	// coordinator at an address, "unix:/path". It ends when its standard input does;
	// when that had no bytes, this process was killed, and the child removes the
	// folder of the address.
	Command func(i int, address string, threads int) *exec.Cmd
	// Page, if not nil, shows the coordinator until ctx ends.
	Page    func(ctx context.Context, s *server.Server) error
	Version string
	Log     *slog.Logger                     // of the coordinator; nil: none
	Say     func(format string, args ...any) // lines for people; nil: none
}

// A LocalCluster is a coordinator in this process, with workers as its children.
type LocalCluster struct {
	server *server.Server
	dir    string
	crew   []*child
	cancel context.CancelFunc
	wg     sync.WaitGroup

	once   sync.Once
	failed chan struct{}
	err    error
}

// StartLocal starts a coordinator and workers. It returns before they are ready:
// Open waits for them.
func StartLocal(o LocalOptions) (_ *LocalCluster, err error) {
	if o.Say == nil {
		o.Say = func(string, ...any) {}
	}
	if o.Threads == 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	dir, err := privateDir()
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &LocalCluster{dir: dir, cancel: cancel, failed: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("cluster: %w", err), l.Close())
		}
	}()
	if l.server, err = server.New(server.Options{Version: o.Version, Log: o.Log}); err != nil {
		return nil, err
	}
	port, err := rpc.Listen(rpc.Options{Listen: "unix:" + filepath.Join(dir, socketName), Log: o.Log})
	if err != nil {
		return nil, err
	}
	l.wg.Go(func() {
		l.fail(port.Serve(ctx, rpc.Handler{Worker: l.server.Worker}))
	})
	if o.Page != nil {
		l.wg.Go(func() { l.fail(o.Page(ctx, l.server)) })
	}
	for i := range o.Workers {
		threads := share(o.Threads, o.Workers, i)
		c := newChild(func() *exec.Cmd {
			cmd := o.Command(i, port.Addr(), threads)
			cmd.Env = append(cmd.Environ(), "TMPDIR="+dir) // for what a killed child leaves behind
			return cmd
		})
		c.name, c.say = fmt.Sprintf("worker %d", i+1), o.Say
		l.crew = append(l.crew, c)
		l.wg.Go(func() { l.fail(c.keep()) })
	}
	return l, nil
}

// share returns the threads of worker i of n: as equal as can be, and at least one.
func share(threads, n, i int) int {
	return max(1, threads*(i+1)/n-threads*i/n)
}

// maxDir leaves room in the path of a unix socket for two folders and its name.
const maxDir = 40

// privateDir makes a folder for sockets that only this user can reach.
func privateDir() (string, error) {
	parent := os.TempDir()
	if len(parent) > maxDir {
		parent = "/tmp"
	}
	removeStale(parent)
	return os.MkdirTemp(parent, dirPrefix)
}

const (
	dirPrefix  = "gespann-"
	socketName = "coordinator"
	staleAge   = time.Minute // after which a socket without a listener is one that was left
)

// removeStale removes the folders of clusters that were killed with all their
// workers. What cannot be removed stays.
func removeStale(parent string) {
	sockets, err := filepath.Glob(filepath.Join(parent, dirPrefix+"*", socketName))
	if err != nil {
		return
	}
	for _, socket := range sockets {
		info, err := os.Lstat(socket)
		if err != nil || time.Since(info.ModTime()) < staleAge {
			continue
		}
		if !refuses(socket) {
			continue
		}
		// The age is by the wall clock, which may have been set since the folder was made
		// a moment ago: a process may be between the socket's name and listening on it.
		time.Sleep(askAgain)
		if refuses(socket) {
			os.RemoveAll(filepath.Dir(socket))
		}
	}
}

const askAgain = 100 * time.Millisecond

// refuses reports whether nobody listens on a socket.
func refuses(path string) bool {
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		conn.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// fail notes why the cluster cannot go on. Nil is no reason.
func (l *LocalCluster) fail(err error) {
	if err == nil {
		return
	}
	l.once.Do(func() {
		l.err = err
		close(l.failed)
	})
}

// Dial connects to the coordinator.
func (l *LocalCluster) Dial(context.Context) (dist.Conn, error) { return l.server.Connect(), nil }

// Failed returns a channel that is closed when the cluster cannot go on.
func (l *LocalCluster) Failed() <-chan struct{} { return l.failed }

// Err returns why the cluster cannot go on, or nil.
func (l *LocalCluster) Err() error {
	select {
	case <-l.failed:
		return l.err
	default:
		return nil
	}
}

// Close ends the workers and the coordinator.
func (l *LocalCluster) Close() error {
	for _, c := range l.crew {
		c.stop()
	}
	var err error
	if l.server != nil {
		err = l.server.Close()
	}
	l.cancel()
	l.wg.Wait()
	return errors.Join(err, os.RemoveAll(l.dir))
}

// How long a child may take to end, and how often it may end without being asked.
const (
	endTime     = 3 * time.Second
	maxRestarts = 5
	restartTime = time.Minute
	restartWait = 200 * time.Millisecond // before a child is started again
)
