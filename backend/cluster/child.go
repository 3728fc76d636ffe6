package cluster

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"
)

// A child is a worker process that is started again when it ends.
type child struct {
	command func() *exec.Cmd
	name    string
	say     func(format string, args ...any)
	words   lastWords
	quit    chan struct{}
	once    sync.Once
}

func newChild(command func() *exec.Cmd) *child {
	return &child{command: command, quit: make(chan struct{})}
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
	for {
		err := c.run()
		select {
		case <-c.quit:
			return nil
		default:
		}
		if errors.Is(err, errStart) {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		now := time.Now()
		ends = append(ends, now)
		for now.Sub(ends[0]) > restartTime {
			ends = ends[1:]
		}
		if len(ends) > maxRestarts {
			return fmt.Errorf("%s ended %d times within a minute, the last time with %v%s",
				c.name, len(ends), err, c.words.quote())
		}
		c.say("cluster: %s has ended (%v); starting it again", c.name, err)
		select {
		case <-time.After(restartWait):
		case <-c.quit:
			return nil
		}
	}
}

var errStart = errors.New("cannot be started")

// run runs the child once, until it ends or stop wants it to.
func (c *child) run() error {
	cmd := c.command()
	cmd.SysProcAttr = attributes()
	cmd.Stderr = &c.words
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
		select {
		case <-ended:
			return
		case <-c.quit:
		}
		io.WriteString(stdin, "end\n") // it may have ended
		stdin.Close()
		select {
		case <-ended:
		case <-time.After(endTime):
			cmd.Process.Kill()
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

// quote returns the words below a heading, or nothing.
func (w *lastWords) quote() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := strings.TrimSpace(strings.ToValidUTF8(string(w.text), "?"))
	if text == "" {
		return ""
	}
	return "\nits last words:\n" + text
}
