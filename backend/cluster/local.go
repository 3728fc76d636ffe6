package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	"github.com/gespann/gespann/dist/launch"
	"github.com/gespann/gespann/dist/rpc"
	"github.com/gespann/gespann/dist/rpc/certs"
	"github.com/gespann/gespann/dist/server"
)

// LocalOptions say what a cluster is made of whose coordinator is in this process.
type LocalOptions struct {
	Workers int
	Threads int // of all workers together, where they are on this machine; 0: one per processor
	// Command returns the command of worker i on this machine, with so many threads, for the
	// coordinator at an address, "unix:/path". It ends when its standard input does;
	// when that had no bytes, this process was killed, and the child removes the
	// folder of the address.
	Command func(i int, address string, threads int) *exec.Cmd
	// Launcher, if not nil, has the workers elsewhere, as Team says but for the invitation.
	Launcher launch.Launcher
	Team     launch.Team
	// Listen is where workers elsewhere reach the coordinator, host:port; "": at any port of
	// the address with which this machine reaches theirs.
	Listen string
	// Page, if not nil, shows the coordinator until ctx ends.
	Page func(ctx context.Context, s *server.Server) error
	// Words is where what worker i writes to its standard error goes. Nil: nowhere.
	Words   func(i int) io.Writer
	Version string
	Log     *slog.Logger                     // of the coordinator; nil: none
	Say     func(format string, args ...any) // lines for people; nil: none
}

// A LocalCluster is a coordinator in this process, with workers that were started for it.
type LocalCluster struct {
	server *server.Server
	dir    string
	crew   launch.Crew
	ctx    context.Context // of the port and the page; it lives as long as they
	cancel context.CancelFunc
	wg     sync.WaitGroup

	once   sync.Once
	failed chan struct{}
	err    error
}

// StartLocal starts a coordinator and workers. It returns before they are ready:
// Open waits for them.
func StartLocal(ctx context.Context, o LocalOptions) (_ *LocalCluster, err error) {
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
	l := &LocalCluster{dir: dir, failed: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("cluster: %w", err), l.Close())
		}
	}()
	if l.server, err = server.New(server.Options{Version: o.Version, Log: o.Log}); err != nil {
		return nil, err
	}
	if o.Launcher != nil {
		err = l.startElsewhere(ctx, o)
	} else {
		err = l.startHere(o)
	}
	if err != nil {
		return nil, err
	}
	l.wg.Go(func() {
		select {
		case <-l.crew.Failed():
			l.fail(l.crew.Err())
		case <-l.ctx.Done():
		}
	})
	if o.Page != nil {
		l.wg.Go(func() { l.fail(o.Page(l.ctx, l.server)) })
	}
	return l, nil
}

// listen lets workers in, and returns where.
func (l *LocalCluster) listen(o rpc.Options) (string, error) {
	port, err := rpc.Listen(o)
	if err != nil {
		return "", err
	}
	l.wg.Go(func() { l.fail(port.Serve(l.ctx, rpc.Handler{Worker: l.server.Worker})) })
	return port.Addr(), nil
}

// startHere starts workers that are children of this process.
func (l *LocalCluster) startHere(o LocalOptions) error {
	at, err := l.listen(rpc.Options{Listen: "unix:" + filepath.Join(l.dir, socketName), Log: o.Log})
	if err != nil {
		return err
	}
	members := make([]launch.Member, o.Workers)
	for i := range members {
		threads := share(o.Threads, o.Workers, i)
		members[i] = launch.Member{Name: fmt.Sprintf("worker %d", i+1), Command: func() *exec.Cmd {
			cmd := o.Command(i, at, threads)
			cmd.Env = append(cmd.Environ(), "TMPDIR="+l.dir) // for what a killed child leaves behind
			return cmd
		}}
		if o.Words != nil {
			members[i].Words = o.Words(i)
		}
	}
	l.crew = launch.Keep(members, o.Say)
	return nil
}

// startElsewhere has a launcher start workers, which get certificates that are made for
// this run alone.
func (l *LocalCluster) startElsewhere(ctx context.Context, o LocalOptions) (err error) {
	team := o.Team
	team.Workers, team.Say, team.Words = o.Workers, o.Say, o.Words
	team.Invite = func(from string) (*launch.Invitation, error) {
		folder := filepath.Join(l.dir, "certs")
		if err := certs.Make(folder, nil); err != nil {
			return nil, err
		}
		own, err := certs.Load(folder)
		if err != nil {
			return nil, err
		}
		listen := o.Listen
		if listen == "" {
			host, err := rpc.Outbound(from)
			if err != nil {
				return nil, fmt.Errorf("finding out where workers reach this machine: %w\n"+
					"hint: cluster.listen says it, as host:port", err)
			}
			listen = net.JoinHostPort(host, "0")
		}
		at, err := l.listen(rpc.Options{Listen: listen, Trust: rpc.Trust{Certs: own}, Log: o.Log})
		if err != nil {
			return nil, err
		}
		files, err := certs.Shared(folder)
		return &launch.Invitation{Coordinator: at, Files: files}, err
	}
	l.crew, err = o.Launcher.Launch(ctx, team)
	return err
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
	var err error
	if l.crew != nil {
		err = l.crew.Close()
	}
	if l.server != nil {
		err = errors.Join(err, l.server.Close())
	}
	l.cancel()
	l.wg.Wait()
	return errors.Join(err, os.RemoveAll(l.dir))
}
