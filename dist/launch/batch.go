package launch

import (
	"fmt"
	"strings"

	"github.com/gespann/gespann/internal/shell"
)

// A Batch is a run whose driver is placed by Slurm, too.
type Batch struct {
	Name                  string // of the run; the directory has the job's number behind it
	Program, Config, Runs string // paths, which the nodes share
	Flags                 []string
	Launch                string // "slurm" or "slurm:PARTITION"
	Workers               int
	Resources             Resources // of each worker
}

// Script returns a batch script for sbatch. The driver is a step of the job, so that it
// gets the SIGTERM with which Slurm announces that it takes the nodes away, and saves;
// the workers are steps beside it. Started again, the script goes on with the run.
func (b *Batch) Script() (string, error) {
	l, err := For(b.Launch)
	if err != nil {
		return "", err
	}
	slurm, ok := l.(*slurmLauncher)
	if !ok {
		return "", fmt.Errorf("launch: got %.80q, but the batch script is for Slurm", b.Launch)
	}
	for _, text := range append([]string{b.Name, b.Program, b.Config, b.Runs}, b.Flags...) {
		if strings.ContainsAny(text, "\n\r\x00") {
			return "", fmt.Errorf("launch: %.80q: has a line break, which a batch script cannot have there", text)
		}
	}
	var out strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }
	r := b.Resources
	line("#!/bin/sh")
	line("#SBATCH --job-name=gespann-%s", plain(b.Name))
	line("#SBATCH --ntasks=%d", b.Workers)
	line("#SBATCH --cpus-per-task=%d", max(r.CPUs, 1))
	if slurm.partition != "" {
		line("#SBATCH --partition=%s", slurm.partition)
	}
	if r.GPUs > 0 {
		line("#SBATCH --gpus-per-task=%d", r.GPUs)
	}
	if r.MemoryMiB > 0 {
		line("#SBATCH --mem-per-cpu=%dM", (r.MemoryMiB+max(r.CPUs, 1)-1)/max(r.CPUs, 1))
	}
	if r.Minutes > 0 {
		line("#SBATCH --time=%d", r.Minutes)
	}
	line("#SBATCH --requeue")
	line("#SBATCH --open-mode=append")
	line("#SBATCH --output=%%x-%%j.log")
	line("")
	line("# The run is that of the job: requeued, it goes on where its latest checkpoint is.")
	line("name=%s-$SLURM_JOB_ID", shell.Word(b.Name))
	line("runs=%s", shell.Word(b.Runs))
	words := make([]string, len(b.Flags))
	for i, f := range b.Flags {
		words[i] = " " + shell.Word(f)
	}
	line("if [ -n \"$(ls \"$runs/$name/checkpoints\" 2>/dev/null)\" ]; then")
	line("  set -- --resume \"$runs/$name\"")
	line("else")
	line("  rm -rf \"$runs/$name\" # it had saved nothing")
	line("  set -- %s --runs \"$runs\" --name \"$name\"%s", shell.Word(b.Config), strings.Join(words, ""))
	line("fi")
	line("# A step of its own, beside those of the workers, so that it is told when the nodes are wanted back.")
	line("exec srun --nodes=1 --ntasks=1 --overlap %s train \"$@\" --log=plain", shell.Word(b.Program))
	return out.String(), nil
}
