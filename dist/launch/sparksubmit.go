package launch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A sparkSubmit runs applications by spark-submit, with their drivers on this machine.
type sparkSubmit struct {
	program string
	mu      sync.Mutex
	running map[string]*submitted // by name
}

// A submitted application is a process of this machine.
type submitted struct {
	cmd   *exec.Cmd
	words lastWords
	ended chan struct{}
	err   error
}

func newSparkSubmit() (*sparkSubmit, error) {
	program, err := lookSparkSubmit(exec.LookPath)
	if err != nil {
		return nil, errors.New("there is no spark-submit on this machine, in SPARK_HOME or PATH")
	}
	return &sparkSubmit{program: program, running: map[string]*submitted{}}, nil
}

func (e *sparkSubmit) here() bool { return true }

// submit implements sparkEngine. The caller's thread must live as long as the process.
func (e *sparkSubmit) submit(_ context.Context, s *sparkSubmission) (id string, err error) {
	args := []string{"--class", "Gespann"}
	for _, key := range slices.Sorted(maps.Keys(s.properties)) {
		args = append(args, "--conf", key+"="+s.properties[key])
	}
	p := &submitted{cmd: exec.Command(e.program, append(append(args, s.jar), s.args...)...), ended: make(chan struct{})}
	p.cmd.Stderr, p.cmd.Stdout, p.cmd.SysProcAttr = &p.words, &p.words, attributes()
	p.cmd.Env = p.cmd.Environ()
	for key, value := range s.environment {
		p.cmd.Env = append(p.cmd.Env, key+"="+value)
	}
	if err := p.cmd.Start(); err != nil {
		return "", err
	}
	go func() { // until the process ends, which kill sees to
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	e.mu.Lock()
	defer e.mu.Unlock()
	id = strconv.Itoa(len(e.running) + 1)
	e.running[id] = p
	return id, nil
}

func (e *sparkSubmit) find(id string) *submitted {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.running[id]
}

// state implements sparkEngine.
func (e *sparkSubmit) state(_ context.Context, id string) (over bool, why string, err error) {
	p := e.find(id)
	select {
	case <-p.ended:
	default:
		return false, "", nil
	}
	if p.err == nil {
		return true, "exit status 0", nil
	}
	return true, fmt.Sprintf("spark-submit: %v: %s", p.err, cmp.Or(p.words.cause(), "without a word")), nil
}

// kill implements sparkEngine.
func (e *sparkSubmit) kill(_ context.Context, id string) error {
	p := e.find(id)
	ask(p.cmd.Process)
	select {
	case <-p.ended:
	case <-time.After(patienceTime):
		p.cmd.Process.Kill()
		<-p.ended
	}
	return nil
}

// cause returns the line that names an exception, or else the last one.
func (w *lastWords) cause() string {
	cause := w.last()
	for line := range strings.Lines(w.all()) {
		if strings.HasPrefix(line, "Exception in") || strings.HasPrefix(line, "Caused by:") || strings.HasPrefix(line, "Error:") {
			cause = strings.TrimSpace(line)
		}
	}
	return cause
}
