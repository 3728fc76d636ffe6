//go:build unix

package launch

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fake puts scripts before the programs of an engine.
func fake(t *testing.T, scripts map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, script := range scripts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("SLURM_JOB_ID", "")
}

func team(say func(string, ...any)) Team {
	return Team{
		Name: "a run", Workers: 2, Program: "/bin/true", Say: say,
		Args:   func(int) []string { return []string{"worker"} },
		Invite: func(from string) (*Invitation, error) { return &Invitation{Coordinator: from}, nil },
	}
}

// TestSlurmRefuses has clusters that cannot do what is asked, and checks the sentence.
func TestSlurmRefuses(t *testing.T) {
	const config = `echo 'SlurmctldHost[0]        = head(10.0.0.9)'; echo 'SlurmctldPort           = 6817-6818'`
	for name, test := range map[string]struct {
		scripts map[string]string
		address string
		want    string
	}{
		"no controller": {map[string]string{"scontrol": "echo 'scontrol: error: no route' >&2; exit 1"}, "slurm", "Slurm: scontrol: error: no route"},
		"too few": {map[string]string{"scontrol": config, "sinfo": "echo 'p* 0/1/0/1 idle'; echo 'p* 0/0/8/8 down*'; echo 'q 0/64/0/64 idle'"},
			"slurm", "partition p has 1 processors on nodes that work, but 2 workers of 1 want 2\nhint: --workers 1"},
		"no partition": {map[string]string{"scontrol": config, "sinfo": ""}, "slurm:gold", "there is no partition gold"},
		"no default":   {map[string]string{"scontrol": config, "sinfo": "echo 'q 0/64/0/64 idle'"}, "slurm", "there is no default partition"},
		"srun says no": {map[string]string{"scontrol": config, "sinfo": "echo 'p* 0/2/0/2 idle'", "scancel": "",
			"srun": "echo 'srun: error: Unable to allocate resources: quota' >&2; exit 1"},
			"slurm", "srun: error: Unable to allocate resources: quota"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "srun says no" && testing.Short() {
				t.Skip("waits between attempts")
			}
			fake(t, test.scripts)
			l, err := For(test.address)
			if err != nil {
				t.Fatal(err)
			}
			crew, err := l.Launch(t.Context(), team(func(string, ...any) {}))
			if err == nil {
				select {
				case <-crew.Failed():
					err = crew.Err()
				case <-time.After(time.Minute):
					err = errors.New("nothing")
				}
				crew.Close()
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// TestSlurmArgs checks what srun is asked for, and that the jobs of workers are cancelled
// when those have ended.
func TestSlurmArgs(t *testing.T) {
	dir := t.TempDir()
	fake(t, map[string]string{
		"scontrol": "echo 'SlurmctldHost[0] = head(10.0.0.9)'",
		"sinfo":    "echo 'gold 0/99/0/99 mixed'",
		"srun":     `echo "$@" >>` + dir + `/srun; read invitation; echo "$invitation" >>` + dir + `/in; read word; echo "$word" >>` + dir + `/in`,
		"scancel":  `echo "$@" >>` + dir + `/scancel`,
	})
	l, err := For("slurm:gold")
	if err != nil {
		t.Fatal(err)
	}
	work := team(t.Logf)
	work.Resources = Resources{CPUs: 4, GPUs: 1, MemoryMiB: 8000, Minutes: 90}
	crew, err := l.Launch(t.Context(), work)
	if err != nil {
		t.Fatal(err)
	}
	content := func(name string) string {
		text, _ := os.ReadFile(filepath.Join(dir, name))
		return string(text)
	}
	for range 100 {
		if strings.Count(content("in"), "\n") == 2 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	crew.Close()
	for _, want := range []string{"--nodes=1 --ntasks=1 --job-name=gespann-a-run-", "--cpus-per-task=4 --gpus-per-task=1 --partition=gold --mem=8000M --time=90 /bin/true worker"} {
		if strings.Count(content("srun"), want) != 2 {
			t.Errorf("srun was asked for\n%swant twice %s", content("srun"), want)
		}
	}
	if in := content("in"); strings.Count(in, `"coordinator":"10.0.0.9:6817"`) != 2 || strings.Count(in, "end\n") != 2 {
		t.Errorf("srun has read\n%s", in)
	}
	if got := content("scancel"); strings.Count(got, "--quiet --name=gespann-a-run-") != 2 {
		t.Errorf("scancel was asked for\n%s", got)
	}
}

// TestSSHRefuses has hosts that cannot do what is asked.
func TestSSHRefuses(t *testing.T) {
	for name, test := range map[string]struct{ script, want string }{
		"unknown":      {"echo 'ssh: Could not resolve hostname b' >&2; exit 255", "ssh: Could not resolve hostname b"},
		"another kind": {"case \"$*\" in *uname*) echo Plan9 mips;; esac", `host b: is "Plan9 mips", but this program is for`},
	} {
		fake(t, map[string]string{"ssh": test.script})
		l, err := For("ssh://b")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Launch(t.Context(), team(t.Logf)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
	}
	t.Setenv("PATH", t.TempDir())
	l, err := For("ssh://b")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Launch(t.Context(), team(t.Logf)); err == nil || !strings.Contains(err.Error(), "ssh: there is no such program on this machine") {
		t.Errorf("without ssh: got %v", err)
	}
}

// TestKeepRemote checks that what depends on other machines is started again for as long
// as it has stayed once.
func TestKeepRemote(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a process that stays")
	}
	dir := t.TempDir()
	said := make(chan string, 100)
	crew := Keep([]Member{{Name: "w", Remote: true, Command: func() *exec.Cmd {
		// The first time it stays.
		return exec.Command("sh", "-c", "test -e "+dir+"/x || { touch "+dir+"/x; sleep 10.2; }; exit 7")
	}}}, func(format string, args ...any) { said <- format })
	for range 5 {
		select {
		case <-said:
		case <-crew.Failed():
			t.Fatalf("gave up: %v", crew.Err())
		case <-time.After(30 * time.Second):
			t.Fatal("not started again")
		}
	}
	crew.Close()
}
