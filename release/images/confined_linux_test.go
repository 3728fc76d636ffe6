package images

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// nobody is whom the image runs as.
const nobody = 65534

// asInit is the environment variable that makes the test program the first process
// of a container: its value is the root of it.
const asInit = "GESPANN_TEST_ROOT"

func TestMain(m *testing.M) {
	if root := os.Getenv(asInit); root != "" {
		fmt.Fprintln(os.Stderr, "container:", enter(root))
		os.Exit(99)
	}
	os.Exit(m.Run())
}

// enter takes from this process all that compose.yaml takes from a container, and
// goes on as gespann. It is alone in its namespaces of mounts and processes.
// GESPANN_TEST_MOUNTS has folders of the host as from:to or from:to:ro.
func enter(root string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	if err := unix.Mount(root, root, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", root, err)
	}
	for _, m := range append([]string{"/dev/null:/dev/null"}, strings.Fields(os.Getenv("GESPANN_TEST_MOUNTS"))...) {
		parts := strings.Split(m, ":")
		at := filepath.Join(root, parts[1])
		err := unix.Mount(parts[0], at, "", unix.MS_BIND, "")
		if err == nil && len(parts) == 3 {
			err = unix.Mount("", at, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
		}
		if err != nil {
			return fmt.Errorf("bind %s: %w", m, err)
		}
	}
	if err := unix.Mount("tmpfs", filepath.Join(root, "tmp"), "tmpfs", unix.MS_NOEXEC|unix.MS_NOSUID|unix.MS_NODEV, "mode=1777,size=64m"); err != nil {
		return fmt.Errorf("tmpfs: %w", err)
	}
	if err := unix.Mount("proc", filepath.Join(root, "proc"), "proc", unix.MS_NOEXEC|unix.MS_NOSUID|unix.MS_NODEV, ""); err != nil {
		return fmt.Errorf("proc: %w", err)
	}
	if err := unix.Mount("", root, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("a root that is read-only: %w", err)
	}
	if err := errors.Join(unix.Chroot(root), os.Chdir(os.Getenv("GESPANN_TEST_DIR"))); err != nil {
		return err
	}
	runtime.LockOSThread() // rights are a thread's; it is this one that becomes the program
	for c := range uintptr(unix.CAP_LAST_CAP + 1) {
		unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0) // of which an older kernel has fewer
	}
	if err := errors.Join(unix.Setgroups(nil), unix.Setresgid(nobody, nobody, nobody), unix.Setresuid(nobody, nobody, nobody),
		unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); err != nil {
		return err
	}
	status, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return err
	}
	for _, want := range []string{"CapPrm:\t0000000000000000\n", "CapEff:\t0000000000000000\n", "CapBnd:\t0000000000000000\n", "NoNewPrivs:\t1\n"} {
		if !strings.Contains(string(status), want) {
			return fmt.Errorf("want %q in\n%s", want, status)
		}
	}
	return unix.Exec("/usr/local/bin/gespann", append([]string{"gespann"}, os.Args[1:]...), []string{"PATH=/usr/local/bin", "HOME=/data"})
}

// A container runs commands in the files of the image.
type container struct {
	root, dir string
	mounts    []string
}

// TestConfined trains, alone and with the services of compose.yaml, in the files of the
// image and with no more rights than there.
func TestConfined(t *testing.T) {
	root := newImage(t)
	t.Run("train", func(t *testing.T) { trainConfined(t, root) })
	t.Run("cluster", func(t *testing.T) { clusterConfined(t, root) })
}

// newImage makes the files that the Dockerfile copies to the image.
func newImage(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, for mounts")
	}
	if testing.Short() {
		t.Skip("builds the program and trains")
	}
	root := t.TempDir()
	for at := root; at != "/"; at = filepath.Dir(at) { // which nobody has to reach
		if at == os.TempDir() {
			break
		}
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"usr/local/bin", "etc/ssl/certs", "tmp", "data/.config/gespann/certs", "proc", "dev", "work", "source"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "dev", "null"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", filepath.Join(root, "usr", "local", "bin", "gespann"), "./cmd/gespann")
	build.Dir = filepath.Join("..", "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return root
}

// volume makes a folder that nobody owns.
func volume(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := errors.Join(os.Chown(dir, nobody, nobody), os.Chmod(filepath.Dir(dir), 0o755)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (c container) command(args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), asInit+"="+c.root, "GESPANN_TEST_DIR="+c.dir, "GESPANN_TEST_MOUNTS="+strings.Join(c.mounts, " "))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// must runs a command that succeeds.
func (c container) must(t *testing.T, args ...string) string {
	t.Helper()
	cmd := c.command(args...)
	late := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer late.Stop()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("gespann %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// start runs a command until the test ends, and returns what the first line that it
// tells has in the parentheses of a pattern.
func (c container) start(t *testing.T, pattern string, args ...string) string {
	t.Helper()
	cmd := c.command(args...)
	words, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	found, ended := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(ended)
		all := ""
		defer func() {
			if t.Failed() {
				t.Logf("gespann %s:\n%s", args[0], all)
			}
		}()
		for lines := bufio.NewScanner(words); lines.Scan(); {
			all += lines.Text() + "\n"
			if m := regexp.MustCompile(pattern).FindStringSubmatch(all); m != nil {
				select {
				case found <- m[1]:
				default:
				}
			}
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); errors.As(err, &exit) && exit.ExitCode() == 128+int(syscall.SIGTERM) {
			return
		} else if err != nil {
			t.Errorf("gespann %s: %v\n%s", args[0], err, all)
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Errorf("gespann %s does not end", args[0])
			cmd.Process.Kill()
			<-ended
		}
	})
	select {
	case text := <-found:
		return text
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Fatalf("gespann %s: waited too long for %s", args[0], pattern)
	}
	t.FailNow()
	return ""
}

// trainConfined trains in the image, as Dockerfile says how, and checks that the
// image itself cannot be written to.
func trainConfined(t *testing.T, root string) {
	data := volume(t)
	c := container{root, "/data", []string{data + ":/data", repository(t) + ":/source:ro"}}
	c.must(t, "train", "/source/configs/digits-mlp.yaml", "--epochs", "2")
	info, err := os.Stat(filepath.Join(data, "runs", "digits-mlp", "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid != nobody {
		t.Errorf("the model is of user %d, want %d", uid, nobody)
	}
	for _, dir := range []string{"/runs", "/usr/local/bin", "/source/runs"} {
		out, err := c.command("train", "/source/configs/digits-mlp.yaml", "--epochs", "1", "--set", "train.dir="+dir).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "read-only file system") {
			t.Errorf("train.dir=%s: got %v, %s, want a file system that is read-only", dir, err, out)
		}
	}
}

// clusterConfined has the services of compose.yaml train a job.
func clusterConfined(t *testing.T, root string) {
	data, certs := volume(t), volume(t)
	at := "/data/.config/gespann/certs"
	if err := os.MkdirAll(filepath.Join(data, ".config", "gespann", "certs"), 0o755); err != nil {
		t.Fatal(err)
	}
	container{root, "/data", []string{certs + ":" + at}}.must(t, "certs", "--keep")
	coordinator := container{root, "/work", []string{data + ":/data", certs + ":" + at + ":ro", repository(t) + ":/work:ro"}}
	address := coordinator.start(t, `coordinator at (\S+),`, "coordinator", "--listen", "127.0.0.1:0", "--state", "/data/jobs", "--dashboard", "127.0.0.1:0")
	worker := container{root, "/data", []string{certs + ":" + at + ":ro"}}
	worker.start(t, `(connected|ready|coordinator)`, "worker", "--coordinator", address)
	coordinator.must(t, "submit", "configs/digits-mlp.yaml", "--workers", "1", "--epochs", "2", "--coordinator", address)
	coordinator.must(t, "logs", "-f", "digits-mlp", "--coordinator", address)
	coordinator.must(t, "fetch", "digits-mlp", "-o", "/data/fetched", "--coordinator", address)
	if _, err := os.Stat(filepath.Join(data, "fetched", "model.safetensors")); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(filepath.Join(root, "tmp"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) || len(left) > 0 {
		t.Errorf("got %v, %v below /tmp of the image, want nothing", left, err)
	}
}

func repository(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return root
}
