package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// A contestant is a process that takes part in the race; serve.go has its language.
type contestant struct {
	label string // what tells it from others of the same name
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Scanner
	name  string
}

// enter starts a contestant with additional environment variables.
func enter(label string, env []string, argv ...string) (*contestant, error) {
	c := &contestant{label: label, cmd: exec.Command(argv[0], argv[1:]...)}
	c.cmd.Env = append(os.Environ(), env...)
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewScanner(out)
	c.out.Buffer(nil, 16<<20)
	return c, c.cmd.Start()
}

// ask sends a request and returns the answer.
func (c *contestant) ask(r request) (a answer, err error) {
	line, err := json.Marshal(r)
	if err != nil {
		return a, err
	}
	if _, err := fmt.Fprintf(c.in, "%s\n", line); err != nil {
		return a, err
	}
	if !c.out.Scan() {
		return a, errors.Join(fmt.Errorf("%s ended", strings.Join(c.cmd.Args, " ")), c.out.Err())
	}
	if err := json.Unmarshal(c.out.Bytes(), &a); err != nil {
		return a, fmt.Errorf("%s: %w", c.cmd.Args[0], err)
	}
	if a.Error != "" {
		err = errors.New(a.Error)
	}
	return a, err
}

// leave ends the process.
func (c *contestant) leave() {
	c.in.Close()
	c.cmd.Wait() // an error has shown already
}

// field starts all contestants that this machine has, ours first, and says on
// progress which are missing. Names in skip, if any, are left out. With low there are works in
// low precision, at which ours in float32 competes too.
func field(low bool, pythons, skip []string, progress io.Writer) ([]*contestant, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ours, err := enter("", nil, self, "-serve", "gespann")
	if err != nil {
		return nil, err
	}
	all := []*contestant{ours}
	add := func(label string, env []string, argv ...string) bool {
		c, err := enter(label, env, argv...)
		if err == nil {
			if _, err = c.ask(request{}); err == nil {
				all = append(all, c)
				return true
			}
			c.leave()
		}
		return false
	}
	if low {
		add("fp32", nil, self, "-serve", "gespann-fp32")
	}
	if !slices.Contains(skip, "gorgonia") {
		add("", nil, self, "-serve", "gorgonia")
	}
	python := func(name, label, script string, env ...string) {
		if slices.Contains(skip, name) {
			return
		}
		for _, p := range pythons {
			if add(label, env, p, script) {
				return
			}
		}
		fmt.Fprintf(progress, "missing: %s, in none of %s\n", name, strings.Join(pythons, ", "))
	}
	python("torch", "", "bench/torch_step.py")
	python("torch", "bound threads", "bench/torch_step.py", "OMP_PROC_BIND=true", "NO_COMPILE=1")
	python("keras", "", "bench/keras_step.py")
	return all, nil
}
