//go:build linux

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const faultConfig = "configs/digits-mlp.yaml"

// flags are those of a training in this trial.
func (t *trial) flags() []string {
	flags := []string{"--epochs", strconv.Itoa(t.epochs),
		"--set", fmt.Sprintf("train.checkpoint_every=%d epochs", saveEvery)}
	if t.deterministic() {
		flags = append(flags, "--set", "train.deterministic=true")
	}
	if t.strategy != "" {
		flags = append(flags, "--strategy", t.strategy)
	}
	return flags
}

// runDir is the run directory of a training that a trial starts.
func (t *trial) runDir() string { return filepath.Join(t.dir, "runs", "run") }

// train starts a training on the cluster, and watches it.
func (t *trial) train(flags ...string) (*process, error) {
	args := append([]string{"train", faultConfig, "--backend", "cluster", "--runs", filepath.Join(t.dir, "runs"),
		"--name", "run", "--log", "json"}, t.flags()...)
	t.watched = newWatch(filepath.Join(t.runDir(), "metrics.csv"))
	return t.start("driver", append(args, flags...)...)
}

// trainHere starts a training that starts two workers.
func (t *trial) trainHere() (*process, error) { return t.train("--workers", "2") }

// resume continues the training.
func (t *trial) resume(flags ...string) (*process, error) {
	return t.start("driver", append([]string{"train", "--resume", t.runDir(), "--log", "json"}, flags...)...)
}

// A standing cluster is a coordinator with workers.
type standing struct {
	address string
	chief   *process
	workers []*process
}

// stand starts a coordinator and workers, and waits until they are there.
func (t *trial) stand(workers int) (*standing, error) {
	s := &standing{address: hubAddress + ":7077"}
	if t.net == nil {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		s.address = "127.0.0.1:" + strconv.Itoa(port)
	}
	if err := t.coordinate(s); err != nil {
		return nil, err
	}
	for range workers {
		if _, err := t.work(s); err != nil {
			return nil, err
		}
	}
	return s, t.until("workers", 20*time.Second, func() bool { return t.said("coordinator", " joined") >= workers })
}

// coordinate starts the coordinator, for the first time or again.
func (t *trial) coordinate(s *standing) error {
	before := t.said("coordinator", "coordinator at ")
	p, err := t.start("coordinator", append([]string{"coordinator", "--dashboard", cmp.Or(t.page, "none"), "--listen", s.address,
		"--state", t.state()}, t.trust()...)...)
	if err != nil {
		return err
	}
	s.chief = p
	err = t.until("the coordinator", 20*time.Second, func() bool {
		return p.over() || t.said("coordinator", "coordinator at ") > before
	})
	if err != nil || p.over() {
		return errors.Join(err, fmt.Errorf("no coordinator: %s", tail(p.log)))
	}
	text, err := os.ReadFile(p.log)
	if m := regexp.MustCompile(`coordinator at ([^,]+),`).FindSubmatch(text); m != nil {
		s.address = string(m[1])
	}
	return err
}

func (t *trial) state() string { return filepath.Join(t.dir, "state") }

// freePort returns a port that nobody has, and that no connection gets by chance while
// a coordinator is away: the system takes those from 32768 on.
func freePort() (int, error) {
	var err error
	for range 100 {
		port := 20000 + rand.IntN(12000)
		var l net.Listener
		if l, err = net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, err
}

// trust are the flags that say whom to trust, where that is not the account.
func (t *trial) trust() []string {
	switch {
	case t.open:
		return []string{"--insecure"}
	case t.certs != "":
		return []string{"--certs", t.certs}
	}
	return nil
}

// work starts another worker.
func (t *trial) work(s *standing) (*process, error) {
	name := fmt.Sprintf("worker-%d", len(s.workers)+1)
	p, err := t.start(name, append([]string{"worker", "--coordinator", s.address, "--backend", "cpu", "--threads", "1",
		"--name", name}, t.trust()...)...)
	if err == nil {
		s.workers = append(s.workers, p)
	}
	return p, err
}

// trainAt starts a training on a standing cluster.
func (t *trial) trainAt(s *standing) (*process, error) {
	return t.train(append([]string{"--coordinator", s.address}, t.trust()...)...)
}

// output runs a command to its end, and returns what it prints.
func (l *lab) output(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), tooLong)
	defer cancel()
	cmd := exec.CommandContext(ctx, l.program, args...)
	cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+filepath.Join(l.dir, "config"))
	text, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("gespann %s: %w: %s", args[0], err, exit.Stderr)
	}
	return strings.TrimSpace(string(text)), err
}

// submit queues a training, and watches it.
func (t *trial) submit(s *standing) (id string, err error) {
	id, err = t.output(slices.Concat([]string{"submit", faultConfig, "--coordinator", s.address}, t.trust(), t.flags())...)
	if err == nil {
		t.watched = newWatch(filepath.Join(t.state(), "jobs", id, "run", "metrics.csv"))
	}
	return id, err
}

// job returns the state of a submitted job that is on disk, and why it is that.
func (t *trial) job(id string) (state, reason string) {
	var r struct{ State, Reason string }
	text, err := os.ReadFile(filepath.Join(t.state(), "jobs", id, "job.json"))
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		return "", err.Error()
	}
	return r.State, r.Reason
}

// moment waits for a random moment of the run, which begins now: every tenth time
// before its first epoch.
func (t *trial) moment(over func() bool) error {
	at := t.rng.Float64()
	if at < 0.1 {
		if err := t.sleep(t.upTo(700 * time.Millisecond)); err != nil {
			return err
		}
	} else {
		epoch := int((at - 0.1) / 0.9 * 0.95 * float64(t.epochs))
		if t.epochs > shortEpochs {
			epoch /= 10 // the rest is for what follows
		}
		err := t.until("the moment", tooLong, func() bool { return t.watched.epochs() >= epoch || over() })
		if err != nil {
			return err
		}
		if err := t.sleep(t.upTo(40 * time.Millisecond)); err != nil {
			return err
		}
	}
	if over() {
		return errMissed
	}
	return nil
}

// strike notes the moment of the fault.
func (t *trial) strike() { t.struck = time.Now() }
