package launch

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// A slurmLauncher has Slurm place workers: each is a job of its own, so that one that is
// preempted or whose node is lost comes back without the others; or, within a job, a step
// of that. The program is where the nodes share it.
type slurmLauncher struct{ partition string }

func newSlurm(partition string) (*slurmLauncher, error) {
	if strings.HasPrefix(partition, "-") || strings.ContainsAny(partition, " \t/") {
		return nil, fmt.Errorf("launch: got partition %.80q, want its name, as sinfo shows it", partition)
	}
	return &slurmLauncher{partition}, nil
}

// Workers implements Launcher: as many as tasks were asked for, within a job.
func (l *slurmLauncher) Workers() int {
	n, _ := strconv.Atoi(os.Getenv("SLURM_NTASKS"))
	return max(n, 0)
}

// Launch implements Launcher.
func (l *slurmLauncher) Launch(ctx context.Context, team Team) (Crew, error) {
	control, err := controller(ctx)
	if err != nil {
		return nil, fmt.Errorf("launch: Slurm: %w", err)
	}
	if err := l.room(ctx, team); err != nil {
		return nil, fmt.Errorf("launch: Slurm: %w", err)
	}
	line, err := team.invitation(control)
	if err != nil {
		return nil, err
	}
	members := make([]Member, team.Workers)
	for i := range members {
		name := fmt.Sprintf("gespann-%s-%s", plain(team.Name), strings.ToLower(rand.Text()[:8]))
		args := append(l.args(team, name), append([]string{team.Program}, team.Args(i)...)...)
		members[i] = Member{
			Name: fmt.Sprintf("worker %d of Slurm", i+1), Remote: true, Input: line, Words: team.wordsOf(i),
			Command: func() *exec.Cmd { return exec.Command("srun", args...) },
			After:   func() { cancelJobs(name) },
		}
	}
	return Keep(members, team.Say), nil
}

// args are those of srun for one worker.
func (l *slurmLauncher) args(team Team, name string) []string {
	r := team.Resources
	args := []string{"--nodes=1", "--ntasks=1", "--job-name=" + name, "--unbuffered",
		"--cpus-per-task=" + strconv.Itoa(max(r.CPUs, 1))}
	if r.GPUs > 0 {
		args = append(args, "--gpus-per-task="+strconv.Itoa(r.GPUs))
	}
	if os.Getenv("SLURM_JOB_ID") != "" {
		return append(args, "--exact") // beside the other steps, with memory and time of the job
	}
	if l.partition != "" {
		args = append(args, "--partition="+l.partition)
	}
	if r.MemoryMiB > 0 {
		args = append(args, "--mem="+strconv.Itoa(r.MemoryMiB)+"M")
	}
	if r.Minutes > 0 {
		args = append(args, "--time="+strconv.Itoa(r.Minutes))
	}
	return args
}

// cancelJobs ends the jobs of a name, as that of a srun that was killed: Slurm would keep
// it. Mostly there is none any more.
func cancelJobs(name string) {
	if os.Getenv("SLURM_JOB_ID") != "" {
		return // steps end with their srun
	}
	ctx, cancel := context.WithTimeout(context.Background(), patienceTime)
	defer cancel()
	run(ctx, nil, "scancel", "--quiet", "--name="+name)
}

// plain keeps what names of jobs may have everywhere.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '-'
	}, name)
}

// controller returns where Slurm's controller is: workers reach this machine on the way
// from there.
func controller(ctx context.Context) (string, error) {
	out, err := run(ctx, nil, "scontrol", "show", "config")
	if err != nil {
		return "", err
	}
	host, port := "", "6817"
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(line, "=")
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "SlurmctldHost[0]", "ControlMachine": // name(address)
			name, address, _ := strings.Cut(strings.TrimSuffix(value, ")"), "(")
			if host = address; host == "" {
				host = name
			}
		case "SlurmctldPort":
			port, _, _ = strings.Cut(value, "-")
		}
	}
	if host == "" {
		return "", errors.New("scontrol show config names no controller")
	}
	return net.JoinHostPort(host, port), nil
}

// room checks that the partition has as many processors as the team wants, busy or not.
func (l *slurmLauncher) room(ctx context.Context, team Team) error {
	if os.Getenv("SLURM_JOB_ID") != "" {
		return nil // srun compares with what the job has
	}
	args := []string{"--noheader", "--format=%P %C %t"}
	if l.partition != "" {
		args = append(args, "--partition="+l.partition)
	}
	out, err := run(ctx, nil, "sinfo", args...)
	if err != nil {
		return err
	}
	total, name, seen := 0, "", false
	for line := range strings.Lines(out) {
		words := strings.Fields(line)
		if len(words) != 3 || l.partition == "" && !strings.HasSuffix(words[0], "*") {
			continue
		}
		seen, name = true, strings.TrimSuffix(words[0], "*")
		state := strings.TrimRight(words[2], "*~#!%$@^-")
		counts := strings.Split(words[1], "/") // allocated, idle, other, total
		if n, err := strconv.Atoi(counts[len(counts)-1]); err == nil && state != "down" && state != "drain" && state != "unk" {
			total += n
		}
	}
	each := max(team.Resources.CPUs, 1)
	switch {
	case !seen && l.partition != "":
		return fmt.Errorf("there is no partition %s\nhint: sinfo lists them", l.partition)
	case !seen:
		return errors.New("there is no default partition\nhint: --launch slurm:PARTITION")
	case total < each*team.Workers:
		return fmt.Errorf("partition %s has %d processors on nodes that work, but %d workers of %d want %d\nhint: --workers %d",
			name, total, team.Workers, each, each*team.Workers, max(total/each, 1))
	}
	return nil
}
