// Package launch brings workers to where machines are, and keeps them up for a run.
//
//	launch.go  what a launcher is asked for and gives, and which there are
//	crew.go    processes that are kept running, here or through a program
//	ssh.go     on hosts
//	slurm.go   as jobs of Slurm
//	place.go   the other way round: where an engine has put this process
package launch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// A Team is what a launcher is asked for: so many workers, all alike.
type Team struct {
	Name      string // of the run, for the engine's lists
	Workers   int
	Resources Resources // of each
	// Program is this program's file, and Args are those of worker i, without what the
	// launcher adds.
	Program string
	Args    func(i int) []string
	// Invite makes the invitation for workers that reach the coordinator from a place.
	// The coordinator listens then.
	Invite func(from string) (*Invitation, error)
	Say    func(format string, args ...any) // lines for people
	// Words is where what worker i writes to its standard error goes. Nil: nowhere.
	Words func(i int) io.Writer
}

// Resources are what an engine is to give a worker. What is 0 is left to the engine.
type Resources struct {
	CPUs, GPUs int
	MemoryMiB  int
	Minutes    int // until the engine may take it all away
}

// A Crew is the workers of a team, which the launcher keeps up: one that is lost is
// replaced.
type Crew interface {
	// Failed returns a channel that is closed when the engine gives no more workers; Err
	// then says why, in the engine's words.
	Failed() <-chan struct{}
	Err() error
	// Close ends all workers, and returns when nothing is left of them.
	Close() error
}

// A Launcher brings workers to machines.
type Launcher interface {
	Launch(ctx context.Context, team Team) (Crew, error)
	// Workers returns how many a team has when nobody says: 0 leaves that to the caller.
	Workers() int
}

// For returns the launcher of an address:
//
//	ssh://[user@]host[:port],host,...   processes on these hosts
//	ssh:FILE                            likewise, with a host on each line
//	slurm, slurm:PARTITION              jobs of Slurm, or steps of the job that this is in
func For(address string) (Launcher, error) {
	kind, rest, _ := strings.Cut(address, ":")
	switch kind {
	case "ssh":
		return newSSH(rest)
	case "slurm":
		return newSlurm(rest)
	}
	return nil, fmt.Errorf("launch: got %.80q, want ssh://HOST,HOST, ssh:FILE, slurm or slurm:PARTITION", address)
}

// An Invitation is what a worker needs to be let in: where its coordinator is, and the
// files of a folder of certificates. A worker that is told so reads it from its standard
// input, where no list of processes shows it; when that ends, so does the worker.
type Invitation struct {
	Coordinator string            `json:"coordinator"`
	Files       map[string][]byte `json:"files"`
}

// maxInvitation bounds the line in bytes.
const maxInvitation = 256 << 10

// invitation returns the line for workers that reach the coordinator from a place.
func (t *Team) invitation(from string) ([]byte, error) {
	v, err := t.Invite(from)
	if err != nil {
		return nil, err
	}
	return v.line()
}

// wordsOf returns where what a worker says goes, or nil.
func (t *Team) wordsOf(i int) io.Writer {
	if t.Words == nil {
		return nil
	}
	return t.Words(i)
}

// line returns the invitation as a line.
func (v *Invitation) line() ([]byte, error) {
	text, err := json.Marshal(v)
	return append(text, '\n'), err
}

// ReadInvitation reads the line that an invitation is.
func ReadInvitation(r io.ByteReader) (*Invitation, error) {
	var text []byte
	for {
		b, err := r.ReadByte()
		switch {
		case errors.Is(err, io.EOF):
			return nil, errors.New("invitation: standard input has ended before it came")
		case err != nil:
			return nil, fmt.Errorf("invitation: %w", err)
		}
		if b == '\n' {
			break
		}
		if text = append(text, b); len(text) > maxInvitation {
			return nil, fmt.Errorf("invitation: longer than %d bytes", maxInvitation)
		}
	}
	v := new(Invitation)
	if err := json.Unmarshal(text, v); err != nil {
		return nil, fmt.Errorf("invitation: %w", err)
	}
	if v.Coordinator == "" {
		return nil, errors.New("invitation: got no coordinator")
	}
	for name := range v.Files {
		if name == "" || strings.ContainsAny(name, "/\\\x00") || name == "." || name == ".." {
			return nil, fmt.Errorf("invitation: got a file %.80q, want a plain name", name)
		}
	}
	return v, nil
}

// run runs a command, and returns what it writes to its standard output. The error has
// what it writes to the other one.
func run(ctx context.Context, in io.Reader, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var out, words strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &out, &words
	err := cmd.Run()
	if errors.Is(err, exec.ErrNotFound) {
		return "", fmt.Errorf("%s: there is no such program on this machine", name)
	}
	if said := strings.TrimSpace(words.String()); err != nil && said != "" {
		err = errors.New(said)
	}
	return out.String(), err
}
