package launch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"
)

// A Member is a process that is kept running.
type Member struct {
	Name string
	// Command returns the process to start. Its standard input stays open until it is to
	// end, and says "end" then; if it ends without a word, this process was killed.
	Command func() *exec.Cmd
	// Before, if not nil, is done before each start, and After after each end.
	Before func(ctx context.Context) error
	After  func()
	// Input is what its standard input begins with.
	Input []byte
	// Words is where what it writes to its standard error goes, besides the last words that
	// are kept of it. Nil: nowhere.
	Words io.Writer
	// Remote: it depends on other machines, which may be away for a while. Once it has
	// stayed, it is started again for ever. Otherwise, and before, it is given up when it ends
	// too often.
	Remote bool
}

// How long a member may take to end, and how often it may end without being asked.
const (
	endTime     = 3 * time.Second
	maxRestarts = 5
	restartTime = time.Minute
	restartWait = 200 * time.Millisecond // before it is started again
	stayTime    = 10 * time.Second       // it has stayed when it lived so long
	// Of a remote one: how often it is tried before it has stayed; and the longest wait.
	firstTries   = 6
	longestWait  = 30 * time.Second
	patienceTime = 5 * time.Second // for one that is asked to end by a signal
)

// Keep starts members, and starts them again when they end.
func Keep(members []Member, say func(format string, args ...any)) Crew {
	k := &kept{failed: make(chan struct{})}
	for _, m := range members {
		c := &child{Member: m, say: say, quit: make(chan struct{})}
		k.children = append(k.children, c)
		k.running.Go(func() { k.fail(c.keep()) })
	}
	return k
}

// kept is a crew of processes.
type kept struct {
	children []*child
	running  sync.WaitGroup
	once     sync.Once
	failed   chan struct{}
	err      error
}

func (k *kept) fail(err error) {
	if err == nil {
		return
	}
	k.once.Do(func() {
		k.err = err
		close(k.failed)
	})
}

// Failed implements Crew.
func (k *kept) Failed() <-chan struct{} { return k.failed }

// Err implements Crew.
func (k *kept) Err() error {
	select {
	case <-k.failed:
		return k.err
	default:
		return nil
	}
}

// Close implements Crew.
func (k *kept) Close() error {
	for _, c := range k.children {
		c.stop()
	}
	k.running.Wait()
	return nil
}

// A child is a member that has been started.
type child struct {
	Member
	say   func(format string, args ...any)
	words lastWords
	quit  chan struct{}
	once  sync.Once
}

// stop asks the child to end for good.
func (c *child) stop() { c.once.Do(func() { close(c.quit) }) }

// keep runs the child until stop, and returns nil then. An error is that it cannot
// be started, or does not stay.
func (c *child) keep() error {
	// On Linux a child gets its parent's end as a signal when the thread ends that
	// has started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var ends []time.Time
	stayed, wait := false, restartWait
	for {
		began := time.Now()
		err := c.run()
		select {
		case <-c.quit:
			return nil
		default:
		}
		if errors.Is(err, errStart) {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
		now := time.Now()
		if now.Sub(began) >= stayTime {
			stayed, wait = c.Remote, restartWait
		}
		ends = append(ends, now)
		for now.Sub(ends[0]) > restartTime {
			ends = ends[1:]
		}
		switch {
		case stayed:
		case c.Remote && len(ends) >= firstTries:
			return fmt.Errorf("%s: %s", c.Name, cmp.Or(c.words.last(), err.Error()))
		case len(ends) > maxRestarts:
			return fmt.Errorf("%s ended %d times within a minute, the last time with %v%s",
				c.Name, len(ends), err, c.words.quote())
		}
		c.say("cluster: %s has ended (%v); starting it again", c.Name, err)
		select {
		case <-time.After(c.pause(now.Sub(began), wait)):
		case <-c.quit:
			return nil
		}
		if c.Remote {
			wait = min(2*wait, longestWait)
		}
	}
}

// pause is how long to wait before a child is started again that has lived so long: not at
// all if that was long, for what has killed it was no mistake of its own.
func (c *child) pause(lived, wait time.Duration) time.Duration {
	if !c.Remote && lived >= stayTime {
		return 0
	}
	return wait
}

var errStart = errors.New("cannot be started")

// run runs the child once, until it ends or stop wants it to.
func (c *child) run() error {
	if err := c.prepare(); err != nil {
		return err
	}
	if c.After != nil {
		defer c.After()
	}
	cmd := c.Command()
	cmd.SysProcAttr = attributes()
	cmd.Stderr = &c.words
	if c.Words != nil {
		cmd.Stderr = io.MultiWriter(&c.words, c.Words)
	}
	stdin, err := cmd.StdinPipe() // its end tells the child to end; without a word, that this process was killed
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errStart, err)
	}
	ended := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		stdin.Write(c.Input) // it may have ended
		select {
		case <-ended:
			return
		case <-c.quit:
		}
		io.WriteString(stdin, "end\n") // likewise
		stdin.Close()
		for _, end := range c.ways(cmd) {
			select {
			case <-ended:
				return
			case <-time.After(end.after):
				end.by()
			}
		}
	})
	err = cmd.Wait()
	close(ended)
	watch.Wait()
	if err == nil {
		err = errors.New("exit status 0")
	}
	return err
}

// prepare does what is to be done before the start, unless stop comes.
func (c *child) prepare() error {
	if c.Before == nil {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-c.quit:
			cancel()
		case <-ctx.Done():
		}
	}()
	return c.Before(ctx)
}

// A way ends a process that has not ended after some time.
type way struct {
	after time.Duration
	by    func()
}

// ways returns how a child is made to end. What runs one elsewhere, as ssh, is asked by
// a signal first, so that it can tidy up.
func (c *child) ways(cmd *exec.Cmd) []way {
	kill := func() { cmd.Process.Kill() }
	if !c.Remote {
		return []way{{endTime, kill}}
	}
	return []way{{patienceTime, func() { ask(cmd.Process) }}, {patienceTime, kill}}
}

// lastWords keeps the end of what is written to it.
type lastWords struct {
	mu   sync.Mutex
	text []byte
}

const maxWords = 2 << 10

var _ io.Writer = (*lastWords)(nil)

// Write keeps the end of p.
func (w *lastWords) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, p[max(0, len(p)-maxWords):]...)
	w.text = w.text[max(0, len(w.text)-maxWords):]
	return len(p), nil
}

// all returns the words.
func (w *lastWords) all() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.TrimSpace(strings.ToValidUTF8(string(w.text), "?"))
}

// quote returns the words below a heading, or nothing.
func (w *lastWords) quote() string {
	if text := w.all(); text != "" {
		return "\nits last words:\n" + text
	}
	return ""
}

// last returns the last line.
func (w *lastWords) last() string {
	text := w.all()
	return text[strings.LastIndex(text, "\n")+1:]
}
