package launch

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"

	"github.com/gespann/gespann/internal/shell"
)

// An sshLauncher starts workers on hosts that ssh reaches without a question. The
// program is copied to a folder of its own in the host's temporary one, which goes with
// the worker, also when this process is killed: the connection ends then, and with it the
// worker's standard input.
type sshLauncher struct{ hosts []sshHost }

// An sshHost is where ssh connects to.
type sshHost struct{ name, port string }

// ssh is the command of OpenSSH, with what it must not do: ask for anything, or wait for
// ever. Configuration, keys and known hosts are the user's.
var ssh = []string{"ssh", "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10",
	"-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3"}

// maxHosts bounds a list of hosts.
const maxHosts = 1024

// newSSH reads "//host,host" or the name of a file of hosts.
func newSSH(rest string) (*sshLauncher, error) {
	l := &sshLauncher{}
	list, isList := strings.CutPrefix(rest, "//")
	if !isList {
		return l, l.read(rest)
	}
	for word := range strings.SplitSeq(list, ",") {
		if err := l.add(word); err != nil {
			return nil, fmt.Errorf("launch: %w", err)
		}
	}
	return l, nil
}

// read reads a file with a host on each line; "#" begins a comment, and what follows
// a host, as the slots of MPI, is left out.
func (l *sshLauncher) read(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("launch: %w\nhint: a file of hosts, one on each line; or ssh://HOST,HOST", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		if err := l.add(words[0]); err != nil {
			return fmt.Errorf("%s:%d: %w", path, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if len(l.hosts) == 0 {
		return fmt.Errorf("%s: got no host", path)
	}
	return nil
}

func (l *sshLauncher) add(word string) error {
	h := sshHost{name: word}
	if name, port, err := net.SplitHostPort(word); err == nil {
		h = sshHost{name, port}
	}
	if h.name == "" || strings.HasPrefix(h.name, "-") || strings.ContainsAny(h.name, " \t/'\"\\$`;&|") {
		return fmt.Errorf("host %.80q: want the name of a host, as ssh knows it", word)
	}
	if len(l.hosts) == maxHosts {
		return fmt.Errorf("got more than %d hosts", maxHosts)
	}
	l.hosts = append(l.hosts, h)
	return nil
}

// Workers implements Launcher: one on each host.
func (l *sshLauncher) Workers() int { return len(l.hosts) }

// args are those of ssh for a host, with a command for its shell.
func (h sshHost) args(command ...string) []string {
	args := ssh[1:]
	if h.port != "" {
		args = append(args[:len(args):len(args)], "-p", h.port)
	}
	return append(append(args[:len(args):len(args)], h.name, "--"), command...)
}

// address returns the name or IP address and the port that ssh connects to, which its
// configuration may change.
func (h sshHost) address(ctx context.Context) (string, error) {
	out, err := run(ctx, nil, ssh[0], append([]string{"-G"}, h.args()[len(ssh)-1:len(h.args())-1]...)...)
	if err != nil {
		return "", err
	}
	name, port := h.name, "22"
	for line := range strings.Lines(out) {
		switch key, value, _ := strings.Cut(strings.TrimSpace(line), " "); key {
		case "hostname":
			name = value
		case "port":
			port = value
		}
	}
	return net.JoinHostPort(name, port), nil
}

// Launch implements Launcher. Workers beyond the number of hosts share them.
func (l *sshLauncher) Launch(ctx context.Context, team Team) (Crew, error) {
	first, err := l.hosts[0].address(ctx)
	if err != nil {
		return nil, fmt.Errorf("launch: %w", err)
	}
	line, err := team.invitation(first)
	if err != nil {
		return nil, err
	}
	program, err := os.ReadFile(team.Program)
	if err != nil {
		return nil, fmt.Errorf("launch: %w", err)
	}
	used := l.hosts[:min(len(l.hosts), team.Workers)]
	problems := make([]error, len(used))
	var all sync.WaitGroup
	for i, h := range used {
		all.Go(func() { problems[i] = h.look(ctx) })
	}
	all.Wait()
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("launch: %w", err)
	}
	members := make([]Member, team.Workers)
	for i := range members {
		h, dir := used[i%len(used)], "gespann-"+rand.Text()
		members[i] = Member{
			Name: fmt.Sprintf("worker %d on %s", i+1, h.name), Remote: true, Input: line, Words: team.wordsOf(i),
			Before: func(ctx context.Context) error {
				team.Say("cluster: copying the program to %s, for worker %d", h.name, i+1)
				return h.put(ctx, dir, program)
			},
			Command: func() *exec.Cmd { return exec.Command(ssh[0], h.args(script(dir, team.Args(i)))...) },
		}
	}
	return Keep(members, team.Say), nil
}

// look checks that a host can be reached, and runs programs like this one.
func (h sshHost) look(ctx context.Context) error {
	out, err := run(ctx, nil, ssh[0], h.args("uname -sm")...)
	if err != nil {
		return fmt.Errorf("host %s: %w", h.name, err)
	}
	want := map[string]string{
		"linux/amd64": "Linux x86_64", "linux/arm64": "Linux aarch64",
		"darwin/arm64": "Darwin arm64", "darwin/amd64": "Darwin x86_64",
	}[runtime.GOOS+"/"+runtime.GOARCH]
	if got := strings.TrimSpace(out); want != "" && got != want {
		return fmt.Errorf("host %s: is %.80q, but this program is for %s/%s", h.name, got, runtime.GOOS, runtime.GOARCH)
	}
	return nil
}

// inDir makes dir, below the host's temporary folder, the shell's d.
func inDir(dir string) string { return `umask 077; d="${TMPDIR:-/tmp}/` + dir + `"; ` }

// put copies the program to a folder on a host. The folder goes when nothing runs the
// program within a minute.
func (h sshHost) put(ctx context.Context, dir string, program []byte) error {
	_, err := run(ctx, bytes.NewReader(program), ssh[0], h.args(inDir(dir)+fmt.Sprintf(
		`rm -rf "$d" && mkdir "$d" && cat >"$d/gespann" || exit 1; `+
			`if test "$(wc -c <"$d/gespann")" -ne %d; then rm -rf "$d"; exit 1; fi; chmod 700 "$d/gespann"; `+
			`(i=0; while test $i -lt 60 -a -d "$d" -a ! -e "$d/begun"; do sleep 1; i=$((i+1)); done; `+
			`test -e "$d/begun" || rm -rf "$d") </dev/null >/dev/null 2>&1 &`, len(program)))...)
	if err != nil {
		return fmt.Errorf("host %s: copying the program: %w", h.name, err)
	}
	return nil
}

// script returns what the host's shell does: it runs the program, and removes it.
func script(dir string, args []string) string {
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = shell.Word(a)
	}
	return inDir(dir) + `: >"$d/begun"; trap 'rm -rf "$d"' EXIT; trap 'exit 143' HUP INT TERM; "$d/gespann" ` +
		strings.Join(words, " ")
}
