//go:build linux

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

// needEngines in the environment has tests fail that find no engine.
const needEngines = "GESPANN_TEST_ENGINES"

// lacks skips a test that needs an engine which is not there.
func lacks(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv(needEngines) != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// sshHosts starts sshd on loopback, for this user, as hosts alpha and beta with a
// temporary folder, and has ssh know them.
func sshHosts(t *testing.T, temporary string) {
	t.Helper()
	sshd, err := exec.LookPath("/usr/sbin/sshd")
	if err != nil {
		lacks(t, "there is no sshd")
	}
	client, err := exec.LookPath("ssh")
	if err != nil {
		lacks(t, "there is no ssh")
	}
	dir := t.TempDir()
	for _, name := range []string{"host", "user"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, name)).CombinedOutput(); err != nil {
			lacks(t, "ssh-keygen: %v: %s", err, out)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	files := map[string]string{
		"sshd_config": fmt.Sprintf("Port %d\nListenAddress 127.0.0.1\nHostKey %s/host\nPidFile none\nAuthorizedKeysFile %s/user.pub\n"+
			"PasswordAuthentication no\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nSetEnv %s=1 TMPDIR=%s\n",
			port, dir, dir, asProgram, temporary),
		"ssh_config": fmt.Sprintf("Host alpha beta\n HostName 127.0.0.1\n Port %d\n IdentityFile %s/user\n UserKnownHostsFile %s/known\n"+
			" StrictHostKeyChecking accept-new\n LogLevel ERROR\n", port, dir, dir),
		"ssh": fmt.Sprintf("#!/bin/sh\nexec %s -F %s/ssh_config \"$@\"\n", client, dir),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	os.Mkdir("/run/sshd", 0o755) // where the system's sshd runs without its own; an error is said below
	server := exec.Command(sshd, "-D", "-e", "-f", filepath.Join(dir, "sshd_config"))
	var words strings.Builder
	server.Stderr = &words
	if err := server.Start(); err != nil {
		lacks(t, "sshd: %v", err)
	}
	t.Cleanup(func() {
		server.Process.Kill()
		server.Wait()
	})
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	for range 50 {
		if exec.Command("ssh", "alpha", "true").Run() == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	lacks(t, "sshd lets nobody in: %s", words.String())
}

// launched trains with workers that a launcher starts, kills one of them on the way, and
// checks that the run has the bits of one on the CPU; then the driver of another, and that
// nothing is left.
func launched(t *testing.T, address, there string) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	flags := []string{"--set", "train.deterministic=true", "--epochs", longEpochs, "--log", "plain"}
	dir := writeTiny(t)
	cmd, _, stderr := command(t, dir, append([]string{"train", "tiny.yaml", "--name", "cpu"}, flags...)...)
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	want, wantMetrics := tensors(t, filepath.Join(dir, "runs", "cpu"))

	workers := func() []int { return launchedWorkers(there) }
	train := func(name string, epochs string) (*exec.Cmd, fmt.Stringer) {
		run, _, words := command(t, dir, append([]string{"train", "tiny.yaml", "--name", name, "--backend", "cluster",
			"--launch", address, "--workers", "2"}, append(flags, "--epochs", epochs)...)...)
		if err := run.Start(); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "a checkpoint", func() bool { return checkpoints2(dir, name) != "" })
		return run, words
	}
	run, words := train("there", longEpochs)
	crew := workers()
	if len(crew) != 2 {
		t.Fatalf("got workers %v, want two", crew)
	}
	syscall.Kill(crew[0], syscall.SIGKILL)
	if err := run.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, words)
	}
	got, gotMetrics := tensors(t, filepath.Join(dir, "runs", "there"))
	if !reflect.DeepEqual(got, want) || gotMetrics != wantMetrics {
		t.Errorf("other bits than on the CPU; metrics\n%s\nwant\n%s", gotMetrics, wantMetrics)
	}
	contains(t, "the driver", words.String(), "has ended", "starting it again")

	run, _ = train("killed", "100000")
	run.Process.Kill()
	run.Wait()
	waitFor(t, "the end of the workers", func() bool { return len(workers()) == 0 })
	waitFor(t, "an empty folder", func() bool {
		left, _ := filepath.Glob(filepath.Join(there, "gespann-[A-Z]*"))
		return len(left) == 0
	})
}

// launchedWorkers returns the workers that were launched with that temporary folder.
func launchedWorkers(there string) (pids []int) {
	paths, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range paths {
		line, _ := os.ReadFile(path)
		env, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "environ"))
		words := strings.Split(string(line), "\x00")
		var pid int
		if len(words) > 1 && words[1] == "worker" && strings.Contains(string(env), "TMPDIR="+there+"\x00") {
			fmt.Sscanf(path, "/proc/%d/", &pid)
			pids = append(pids, pid)
		}
	}
	return pids
}

// checkpoints2 is checkpoints for a run of another name.
func checkpoints2(dir, name string) string {
	files, _ := filepath.Glob(filepath.Join(dir, "runs", name, "checkpoints", "*"))
	return strings.Join(files, "\n")
}

// TestLaunchSSH launches workers through a real sshd.
func TestLaunchSSH(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	there := t.TempDir()
	sshHosts(t, there)
	launched(t, "ssh://alpha,beta", there)
}

// TestLaunchSlurm launches workers through a real Slurm, where there is one.
func TestLaunchSlurm(t *testing.T) {
	if err := exec.Command("sinfo").Run(); err != nil {
		lacks(t, "there is no Slurm")
	}
	there := t.TempDir()
	t.Setenv("TMPDIR", there)
	launched(t, "slurm", there)
	waitFor(t, "an empty queue", func() bool {
		out, err := exec.Command("squeue", "--noheader", "--format=%j").Output()
		return err == nil && !strings.Contains(string(out), "gespann-killed")
	})
}

// TestManifestSlurm has a real Slurm train with a batch script, and takes the nodes back
// in mid-run: the run saves in mid-epoch, goes on when Slurm starts the job again, and
// ends with the bits of one on the CPU.
func TestManifestSlurm(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	if err := exec.Command("sinfo").Run(); err != nil {
		lacks(t, "there is no Slurm")
	}
	t.Setenv(asProgram, "1")
	dir := writeTiny(t)
	config := filepath.Join(dir, "tiny.yaml")
	flags := []string{"--set", "train.deterministic=true", "--epochs", longEpochs, "--runs", dir}
	must(t, append([]string{"train", config, "--name", "cpu", "--log", "plain"}, flags...)...)
	want, wantMetrics := tensors(t, filepath.Join(dir, "cpu"))

	script := filepath.Join(dir, "job.sh")
	must(t, append([]string{"manifest", config, "--to", "slurm", "--workers", "2", "-o", script}, flags...)...)
	slurm := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	job := slurm("sbatch", "--parsable", script)
	run := filepath.Join(dir, "tiny-"+job)
	defer exec.Command("scancel", job).Run()
	waitFor(t, "a checkpoint", func() bool {
		saved, _ := filepath.Glob(filepath.Join(run, "checkpoints", "step-*"))
		return len(saved) > 1
	})
	slurm("scontrol", "requeue", job)
	waitFor(t, "the job to wait again", func() bool { return slurm("squeue", "-h", "-j", job, "-o", "%t") == "PD" })
	log, _ := os.ReadFile(filepath.Join(dir, "gespann-tiny-"+job+".log"))
	contains(t, "the job's log", string(log), "interrupted in epoch", "saved as")
	slurm("scontrol", "update", "JobId="+job, "StartTime=now")
	waitFor(t, "the trained model", func() bool {
		_, err := os.Stat(filepath.Join(run, "model.safetensors"))
		return err == nil
	})
	got, gotMetrics := tensors(t, run)
	if !reflect.DeepEqual(got, want) || gotMetrics != wantMetrics {
		t.Errorf("other bits than on the CPU; metrics\n%s\nwant\n%s", gotMetrics, wantMetrics)
	}
}

// TestManifest compares a batch script with the one in testdata, and checks what is
// refused.
func TestManifest(t *testing.T) {
	dir := writeTiny(t)
	config := filepath.Join(dir, "tiny.yaml")
	script := must(t, "manifest", config, "--to", "slurm", "--workers", "8", "--epochs", "3", "--runs", filepath.Join(dir, "it's"),
		"--name", "my run", "--launch", "slurm:gold", "--set", "cluster.resources.gpus=1", "--set", "cluster.resources.cpus=3",
		"--set", "cluster.resources.memory_mib=1000", "--set", "cluster.resources.minutes=90", "--set", "train.seed=3")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "manifest.slurm", strings.NewReplacer(dir, "/DIR", self, "/bin/gespann").Replace(script))
	if out, err := exec.Command("sh", "-n", "-c", script).CombinedOutput(); err != nil {
		t.Errorf("sh: %v: %s", err, out)
	}
	for want, args := range map[string][]string{
		`--to: got "", want slurm, kubernetes, jobset`: {},
		`--to: got "pbs", want slurm`:                  {"--to", "pbs"},
		"--image: has no effect: it is for Kubernetes": {"--to", "slurm", "--image", "x:1"},
		"the batch script is for Slurm":                {"--to", "slurm", "--launch", "ssh://a"},
		"has a line break":                             {"--to", "slurm", "--runs", "a\nb"},
		"train.epochs: got 0, want ≥ 1":                {"--to", "slurm", "--epochs", "0"},
	} {
		if code, _, words := gespann(t, "", append([]string{"manifest", config}, args...)...); code == exitOK || !strings.Contains(words, want) {
			t.Errorf("%v: exit code %d\n%swant %s", args, code, words, want)
		}
	}
}
