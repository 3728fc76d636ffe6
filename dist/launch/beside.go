package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// Beside is the address of workers that an engine has started beside this process.
const Beside = "place"

// A besideLauncher starts nothing: an engine has started this process and others
// together. This one, of rank 0, drives; the others come as its workers by themselves.
type besideLauncher struct{ place *Place }

func newBeside(rest string) (*besideLauncher, error) {
	if rest != "" {
		return nil, fmt.Errorf("launch: got place:%.80s, want place alone: the engine has placed the workers", rest)
	}
	place, err := Find(os.LookupEnv)
	if err != nil {
		return nil, fmt.Errorf("launch: %w", err)
	}
	return &besideLauncher{place}, nil
}

// Workers implements Launcher: all but this process.
func (l *besideLauncher) Workers() int {
	if l.place == nil {
		return 0
	}
	return max(l.place.Size-1, 0)
}

// Launch implements Launcher.
func (l *besideLauncher) Launch(_ context.Context, team Team) (Crew, error) {
	switch p := l.place; {
	case p == nil:
		return nil, errors.New("launch: place is for processes that an engine has started, such as srun, torchrun or a Job of " +
			"Kubernetes, but no variable of the environment tells of one\nhint: gespann train --help names other ways")
	case p.Rank != 0:
		return nil, fmt.Errorf("launch: this process is rank %d of %s, but rank 0 drives", p.Rank, p.Engine)
	case p.Size == 1:
		return nil, fmt.Errorf("launch: %s has started this process alone, but workers are the others\nhint: start more of them", p.Engine)
	case p.Size > 0 && team.Workers > p.Size-1:
		return nil, fmt.Errorf("launch: %s has started %d processes beside this one, but the run wants %d workers\nhint: --workers %d",
			p.Engine, p.Size-1, team.Workers, p.Size-1)
	}
	v, err := team.Invite("")
	if err != nil {
		return nil, err
	}
	team.Say("cluster: workers come by themselves, to %s", v.Coordinator)
	return beside{}, nil
}

// beside is the crew of a besideLauncher, whose members the engine keeps up and ends.
type beside struct{}

// Failed implements Crew: never.
func (beside) Failed() <-chan struct{} { return nil }

// Err implements Crew.
func (beside) Err() error { return nil }

// Close implements Crew. The workers end with the job.
func (beside) Close() error { return nil }
