package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// coordinatorOn starts a coordinator on loopback, and returns its address.
func coordinatorOn(t *testing.T, dir string, flags ...string) string {
	t.Helper()
	cmd, _, _ := command(t, dir, append([]string{"coordinator", "--listen", "localhost:0", "--dashboard", "none",
		"--state", filepath.Join(dir, "state")}, flags...)...)
	path := filepath.Join(dir, "coordinator.log")
	log, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	var at []byte
	waitFor(t, "the coordinator", func() bool {
		text, _ := os.ReadFile(path)
		if m := regexp.MustCompile(`coordinator at ([^,]+),`).FindSubmatch(text); m != nil {
			at = m[1]
		}
		return at != nil || !alive(cmd.Process.Pid)
	})
	if at == nil {
		text, _ := os.ReadFile(path)
		t.Fatalf("no coordinator: %s", text)
	}
	return string(at)
}

// asNobody returns a function that runs gespann as another account.
func asNobody(t *testing.T) func(args ...string) (code int, output string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can start processes of another account")
	}
	dir, err := os.MkdirTemp("", "gespann-nobody-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "gespann") // where that account can reach it
	if err := os.Link(self, program); err != nil {
		from, err := os.Open(self)
		if err != nil {
			t.Fatal(err)
		}
		defer from.Close()
		to, err := os.OpenFile(program, os.O_CREATE|os.O_WRONLY, 0o755)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(to, from); err != nil {
			t.Fatal(err)
		}
		to.Close()
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return func(args ...string) (int, string) {
		t.Helper()
		var out bytes.Buffer
		cmd := exec.Command(program, args...)
		cmd.Dir, cmd.Env = dir, []string{asProgram + "=1", "HOME=/nonexistent", "TMPDIR=" + dir}
		cmd.Stdout, cmd.Stderr = &out, &out
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		err := cmd.Run()
		return exitCode(t, err), out.String()
	}
}

// TestTwoAccounts has another account of this machine ask a coordinator on loopback for
// everything, and the coordinator's own account do the same without any set-up.
func TestTwoAccounts(t *testing.T) {
	nobody := asNobody(t)
	dir := writeTiny(t)
	config := filepath.Join(dir, "tiny.yaml")
	for path, mode := range map[string]os.FileMode{dir: 0o755, config: 0o644} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	at := coordinatorOn(t, dir)
	id := strings.TrimSpace(must(t, "submit", config, "--coordinator", at, "--workers", "2"))
	for _, args := range [][]string{
		{"jobs"}, {"jobs", "--prune", "0"}, {"cancel", id}, {"logs", id}, {"fetch", id}, {"submit", config},
		{"worker", "--backend", "cpu"}, {"train", config, "--backend", "cluster"},
	} {
		code, output := nobody(append(args, "--coordinator", at)...)
		if code != exitRun || !strings.Contains(output, "its proof that it is of the account root, for which this port is, is wrong") {
			t.Errorf("%q: exit code %d\n%swant that it is refused", args, code, output)
		}
	}
	code, output := nobody("cancel", id, "--insecure", "--coordinator", at)
	if code != exitRun || !strings.Contains(output, "it does not prove that it is of the account root") {
		t.Errorf("--insecure: exit code %d\n%swant that it is refused", code, output)
	}
	contains(t, "jobs", must(t, "jobs", "--coordinator", at), id, "queued (1)")
	must(t, "cancel", id, "--coordinator", at)
	contains(t, "jobs", must(t, "jobs", "--coordinator", at, "--prune", "0"), "job")
}

// TestPrincipals has people with certificates of their own ask for each other's jobs.
func TestPrincipals(t *testing.T) {
	dir := writeTiny(t)
	config := filepath.Join(dir, "tiny.yaml")
	ca := filepath.Join(dir, "ca")
	must(t, "certs", ca)
	folders := map[string]string{}
	for name, role := range map[string]string{"alice": "submit", "bob": "submit,work", "carol": "admin", "rack": "work"} {
		folders[name] = filepath.Join(dir, name)
		contains(t, "certs", must(t, "certs", "--for", name, "--role", role, "--ca", ca, folders[name]), "for "+name+": ")
	}
	at := coordinatorOn(t, dir, "--certs", ca)
	ask := func(name string, args ...string) (int, string) {
		t.Helper()
		code, out, stderr := gespann(t, "", append(args, "--coordinator", at, "--certs", folders[name])...)
		return code, out + stderr
	}
	_, out := ask("alice", "submit", config)
	id, _, _ := strings.Cut(out, "\n")
	if code, out := ask("alice", "jobs"); code != exitOK || strings.Contains(out, "owner") {
		t.Errorf("jobs of one: exit code %d\n%s", code, out)
	}
	if code, out := ask("bob", "submit", config); code != exitOK {
		t.Fatal(out)
	}
	if code, out := ask("alice", "jobs"); code != exitOK || !regexp.MustCompile(`(?m)^job +owner +state`).MatchString(out) ||
		!regexp.MustCompile(id+` +alice +queued`).MatchString(out) {
		t.Errorf("jobs of two: exit code %d\n%s", code, out)
	}
	for _, args := range [][]string{{"logs", id}, {"cancel", id}, {"fetch", id, "-o", filepath.Join(dir, "fetched")}} {
		if code, out := ask("bob", args...); code != exitRun || !strings.Contains(out, "job "+id+" is alice's: want the role admin") {
			t.Errorf("bob: %q: exit code %d\n%s", args, code, out)
		}
	}
	if code, out := ask("rack", "jobs"); code != exitRun || !strings.Contains(out, "rack as a client: want the role submit, and its certificate has work") {
		t.Errorf("rack: exit code %d\n%s", code, out)
	}
	if code, out := ask("alice", "worker", "--backend", "cpu"); code != exitRun || !strings.Contains(out, "alice as a worker: want the role work") {
		t.Errorf("alice as a worker: exit code %d\n%s", code, out)
	}
	if code, out := ask("alice", "logs", id); code != exitOK {
		t.Errorf("alice: logs: exit code %d\n%s", code, out)
	}
	if code, out := ask("carol", "cancel", id); code != exitOK {
		t.Errorf("carol: cancel: exit code %d\n%s", code, out)
	}
	for args, want := range map[string]string{
		"--for alice":                       "got no folder to make",
		"--for alice " + dir + "/x":         "got no --role",
		"--for alice --role root " + dir:    `role "root": want submit`,
		"--role submit " + dir:              "--role: has no effect without --for",
		"--ca " + ca + " " + dir + "/other": "--ca: has no effect without --for",
	} {
		code, _, stderr := gespann(t, "", append([]string{"certs"}, strings.Fields(args)...)...)
		if code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("certs %s: exit code %d\n%swant %q", args, code, stderr, want)
		}
	}
}
