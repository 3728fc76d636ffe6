//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var (
	errMissed    = errors.New("the run ended before the fault")
	errOtherBits = errors.New("other bits than undisturbed")
)

// A trial is one run with one fault.
type trial struct {
	*lab
	*fault
	n       int // number of the trial
	program string
	dir     string
	rng     *rand.Rand
	ctx     context.Context // ends when the trial takes too long
	procs   []*process      // in the order of their starts
	clean   []func() error
	net     *network // nil: all processes are on this machine
	certs   string   // folder, or ""
	open    bool     // without proofs that both sides are of one account
	page    string   // address of the dashboard, or "": none
	cage    string   // cgroup.procs of the coordinator's control group, or ""
	watched *watch
	struck  time.Time // when the fault was, or ended
	settled time.Time // when all was as before; zero: not known
}

// tooLong is what no trial takes.
const tooLong = 4 * time.Minute

// try makes a trial. What failed stays in its folder.
func (l *lab) try(f *fault, n, again int) (o outcome) {
	name := fmt.Sprintf("%s-%d-%d", f.name, n, again)
	h := fnv.New64a()
	h.Write([]byte(name))
	t := &trial{lab: l, fault: f, n: n, program: l.program, dir: filepath.Join(l.dir, name), rng: rand.New(rand.NewPCG(l.seed, h.Sum64()))}
	var cancel context.CancelFunc
	t.ctx, cancel = context.WithTimeout(context.Background(), tooLong)
	defer cancel()
	if o.err = os.Mkdir(t.dir, 0o700); o.err == nil {
		o.err = t.early(f.run(t))
	}
	if t.watched != nil {
		t.watched.end()
		o.standstill = t.watched.standstill(t.struck, t.settled)
	}
	if err := t.end(); o.err == nil {
		o.err = err
	}
	if o.err == nil || errors.Is(o.err, errMissed) {
		os.RemoveAll(t.dir)
	}
	return o
}

// early makes an error of its own of a run that ended before its fault, and not well.
func (t *trial) early(err error) error {
	for _, p := range t.procs {
		if errors.Is(err, errMissed) && p.over() && p.cmd.ProcessState.ExitCode() > 0 {
			return fmt.Errorf("%s ended by itself: %s", p.name, tail(p.log))
		}
	}
	return err
}

// end ends all processes, the last first, and takes away what the trial has set up.
func (t *trial) end() error {
	var errs []error
	for i := len(t.procs) - 1; i >= 0; i-- {
		p := t.procs[i]
		p.signal(syscall.SIGCONT)
		p.signal(syscall.SIGTERM)
		select {
		case <-p.ended:
		case <-time.After(20 * time.Second):
			errs = append(errs, fmt.Errorf("%s did not end within 20 s of SIGTERM", p.name))
			p.signal(syscall.SIGKILL)
			<-p.ended
		}
	}
	for i := len(t.clean) - 1; i >= 0; i-- {
		errs = append(errs, t.clean[i]())
	}
	return errors.Join(errs...)
}

// A process is a gespann at work.
type process struct {
	name  string
	log   string // its file of what it writes to both outputs
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // after ended
}

// start starts gespann, with lines in the file name.log behind those of an earlier
// process of that name.
func (t *trial) start(name string, args ...string) (*process, error) {
	if t.net != nil {
		args = append(t.net.inside(name), append([]string{t.program}, args...)...)
	} else {
		args = append([]string{t.program}, args...)
	}
	if t.cage != "" && name == "coordinator" {
		args = append([]string{"sh", "-c", `echo $$ > "$0" && exec "$@"`, t.cage}, args...)
	}
	p := &process{name: name, log: t.logOf(name), cmd: exec.Command(args[0], args[1:]...), ended: make(chan struct{})}
	file, err := os.OpenFile(p.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	p.cmd.Stdout, p.cmd.Stderr = file, file
	// Sockets have short names: those of a run are together in the lab's folder.
	p.cmd.Env = append(os.Environ(), "TMPDIR="+t.lab.dir, "XDG_CONFIG_HOME="+filepath.Join(t.lab.dir, "config"), "GOMAXPROCS=2")
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.procs = append(t.procs, p)
	return p, nil
}

func (t *trial) logOf(name string) string { return filepath.Join(t.dir, name+".log") }

// signal sends a signal to a process; one that has ended does not mind.
func (p *process) signal(s syscall.Signal) {
	select {
	case <-p.ended:
	default:
		p.cmd.Process.Signal(s)
	}
}

// kill kills a process with SIGKILL, and waits for its end.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// over reports whether a process has ended.
func (p *process) over() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// code waits for the end of a process, and returns its exit code; -1: by a signal.
func (t *trial) code(p *process) (int, error) {
	select {
	case <-p.ended:
	case <-t.ctx.Done():
		return 0, fmt.Errorf("%s hangs: %s", p.name, tail(p.log))
	}
	var exit *exec.ExitError
	if p.err != nil && !errors.As(p.err, &exit) {
		return 0, p.err
	}
	return p.cmd.ProcessState.ExitCode(), nil
}

// until waits until f is true.
func (t *trial) until(what string, within time.Duration, f func() bool) error {
	for begin := time.Now(); !f(); {
		if time.Since(begin) > within {
			return fmt.Errorf("waited %v for %s", within, what)
		}
		if err := t.sleep(10 * time.Millisecond); err != nil {
			return fmt.Errorf("no time left for %s", what)
		}
	}
	return nil
}

func (t *trial) sleep(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-t.ctx.Done():
		return t.ctx.Err()
	}
}

// upTo returns a random duration.
func (t *trial) upTo(d time.Duration) time.Duration {
	return time.Duration(t.rng.Float64() * float64(d))
}

// tail returns the end of a file.
func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-500):])
}

// said returns how many lines of a process, or of all that had its name, contain
// all the words.
func (t *trial) said(name string, words ...string) int {
	text, err := os.ReadFile(t.logOf(name))
	if err != nil {
		return 0
	}
	n := 0
lines:
	for line := range strings.Lines(string(text)) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue lines
			}
		}
		n++
	}
	return n
}

// children returns the processes that a process has started.
func children(p *process) []int {
	paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", p.cmd.Process.Pid))
	var pids []int
	for _, path := range paths {
		text, _ := os.ReadFile(path) // the thread may have ended
		for word := range strings.FieldsSeq(string(text)) {
			if pid, err := strconv.Atoi(word); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// lives reports whether a process runs.
func lives(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(text), ") Z ")
}
