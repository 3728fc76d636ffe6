package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go.yaml.in/yaml/v3"
)

// A podSpec is what is read of a Job's pods.
type podSpec struct {
	Containers []struct {
		Args         []string
		VolumeMounts []struct {
			Name      string
			MountPath string `yaml:"mountPath"`
			ReadOnly  bool   `yaml:"readOnly"`
		} `yaml:"volumeMounts"`
	}
	Volumes []struct {
		Name      string
		Secret    *struct{}
		ConfigMap *struct{} `yaml:"configMap"`
		Claim     *struct{} `yaml:"persistentVolumeClaim"`
	}
}

// pods runs the Jobs of a manifest as a kubelet would: as user 65534, with a root that
// cannot be written to, the Secret as root's that the group reads, the volumes where they
// are mounted, and the name of the Service. All are in a network of their own.
type pods struct {
	t       *testing.T
	dir     string
	net     string // process whose network it is
	jobs    map[string]podSpec
	secret  map[string]string
	config  string
	service string
}

// newPods reads a manifest.
func newPods(t *testing.T, text string) *pods {
	t.Helper()
	p := &pods{t: t, jobs: map[string]podSpec{}}
	var err error
	if p.dir, err = os.MkdirTemp("/tmp", "pods"); err != nil { // where user 65534 may look
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(p.dir) })
	for document := range strings.SplitSeq(text, "\n---\n") {
		var o struct {
			Kind     string
			Metadata struct{ Name string }
			Data     map[string]string
			Spec     struct {
				Completions int
				Template    struct{ Spec podSpec }
			}
		}
		if err := yaml.Unmarshal([]byte(document), &o); err != nil {
			t.Fatal(err)
		}
		switch o.Kind {
		case "Secret":
			p.secret = o.Data
		case "ConfigMap":
			p.config = o.Data["run.yaml"]
		case "Service":
			p.service = o.Metadata.Name
		case "Job":
			p.jobs[strings.TrimPrefix(o.Metadata.Name, p.service+"-")] = o.Spec.Template.Spec
		}
	}
	holder := exec.Command("unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep 1000")
	out, err := holder.StdoutPipe()
	if err == nil {
		err = holder.Start()
	}
	if err != nil {
		t.Skipf("no network of its own: %v", err)
	}
	t.Cleanup(func() {
		holder.Process.Kill()
		holder.Wait()
	})
	if n, _ := out.Read(make([]byte, 3)); n == 0 {
		t.Skip("no network of its own")
	}
	p.net = strconv.Itoa(holder.Process.Pid)
	return p
}

// start starts the pod of an index of a job.
func (p *pods) start(job string, index int) (*exec.Cmd, podLog) {
	p.t.Helper()
	pod, root := p.jobs[job], filepath.Join(p.dir, fmt.Sprintf("%s-%d", job, index))
	self, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	os.RemoveAll(root)
	script := []string{"set -e", "mount --make-rprivate /", fmt.Sprintf("mount --bind %s %s", root, root)}
	bind := func(from, to string, options string) {
		script = append(script, fmt.Sprintf("mount --rbind %s %s/%s", from, root, to))
		if options != "" {
			script = append(script, fmt.Sprintf("mount -o remount,bind,%s %s/%s", options, root, to))
		}
	}
	for _, d := range []string{"usr", "lib", "lib64", "bin", "proc", "dev", "etc"} {
		p.write(filepath.Join(root, d, ".keep"), "")
		if _, err := os.Stat("/" + d); err == nil && d != "etc" {
			bind("/"+d, d, "")
		}
	}
	p.write(filepath.Join(root, "gespann"), "")
	bind(self, "gespann", "")
	p.write(filepath.Join(root, "etc", "hosts"), fmt.Sprintf("127.0.0.1 localhost %s-driver-0.%s\n", p.service, p.service))
	for _, m := range pod.Containers[0].VolumeMounts {
		volume := filepath.Join(p.dir, "volumes", job+strconv.Itoa(index), m.Name)
		p.write(filepath.Join(root, m.MountPath, ".keep"), "")
		for _, v := range pod.Volumes {
			switch {
			case v.Name != m.Name:
			case v.Secret != nil:
				for name, content := range unbase64(p.t, p.secret) {
					path := filepath.Join(volume, name)
					p.write(path, string(content))
					p.must(errors.Join(os.Chown(path, 0, 65534), os.Chmod(path, 0o440)))
				}
			case v.ConfigMap != nil:
				p.write(filepath.Join(volume, "run.yaml"), p.config)
			case v.Claim != nil:
				volume = p.claim()
			default: // an emptyDir
				p.must(errors.Join(os.MkdirAll(volume, 0o777), os.Chmod(volume, 0o777)))
			}
		}
		options := ""
		if m.ReadOnly {
			options = "ro"
		}
		bind(volume, m.MountPath, options)
	}
	args := []string{"/gespann"}
	for _, a := range pod.Containers[0].Args {
		args = append(args, strings.ReplaceAll(a, "$(JOB_COMPLETION_INDEX)", strconv.Itoa(index)))
	}
	script = append(script, "mount -o remount,bind,ro "+root, fmt.Sprintf(`exec chroot --userspec=65534:65534 --groups=65534 %s "$@"`, root))
	cmd := exec.Command("nsenter", append([]string{"--net=/proc/" + p.net + "/ns/net", "unshare", "--mount", "sh", "-c",
		strings.Join(script, "\n"), "pod"}, args...)...)
	cmd.Env = []string{asProgram + "=1", "HOME=/data", "JOB_COMPLETION_INDEX=" + strconv.Itoa(index), "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	words, err := os.CreateTemp(p.dir, "log")
	p.must(err)
	defer words.Close()
	cmd.Stdout, cmd.Stderr = words, words
	p.must(cmd.Start())
	p.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if p.t.Failed() {
			p.t.Logf("%s %d:\n%s", job, index, podLog(words.Name()))
		}
	})
	return cmd, podLog(words.Name())
}

// A podLog is the file of what a pod has said.
type podLog string

// String returns what it has said so far.
func (l podLog) String() string {
	text, _ := os.ReadFile(string(l))
	return string(text)
}

// claim returns the folder of the claim for the run.
func (p *pods) claim() string {
	dir := filepath.Join(p.dir, "claim")
	p.must(errors.Join(os.MkdirAll(dir, 0o770), os.Chown(dir, 0, 65534), os.Chmod(dir, 0o770)))
	return dir
}

func (p *pods) write(path, text string) {
	p.t.Helper()
	p.must(os.MkdirAll(filepath.Dir(path), 0o755))
	p.must(os.Chmod(p.dir, 0o755))
	p.must(os.WriteFile(path, []byte(text), 0o644))
}

func (p *pods) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// TestManifestPods runs the pods of a manifest: a worker is killed, one is told to end, the
// driver is told to end and later killed; each time Kubernetes would start another. The run
// ends with the bits of one on the CPU, and all pods end.
func TestManifestPods(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	if os.Getuid() != 0 {
		t.Skip("needs root, for namespaces")
	}
	dir := writeTiny(t)
	config := filepath.Join(dir, "tiny.yaml")
	flags := []string{"--set", "train.deterministic=true", "--epochs", longEpochs}
	cpu, _, stderr := command(t, dir, append([]string{"train", "tiny.yaml", "--name", "cpu", "--log", "plain"}, flags...)...)
	if err := cpu.Run(); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	want, wantMetrics := tensors(t, filepath.Join(dir, "runs", "cpu"))

	p := newPods(t, must(t, append([]string{"manifest", config, "--to", "kubernetes", "--workers", "2", "--image", "x:1"}, flags...)...))
	run := filepath.Join(p.claim(), "runs", "tiny")
	saved := func() int {
		files, _ := filepath.Glob(filepath.Join(run, "checkpoints", "step-*"))
		return len(files)
	}
	code := func(cmd *exec.Cmd) int {
		cmd.Wait()
		return cmd.ProcessState.ExitCode()
	}
	driver, words := p.start("driver", 0)
	crew := make([]*exec.Cmd, 2)
	logs := make([]podLog, 2)
	for i := range crew {
		crew[i], logs[i] = p.start("worker", i)
	}
	waitFor(t, "a checkpoint", func() bool { return saved() > 0 || driver.ProcessState != nil })
	crew[0].Process.Kill()
	crew[0].Wait()
	crew[0], logs[0] = p.start("worker", 0)
	crew[1].Process.Signal(syscall.SIGTERM)
	if got := code(crew[1]); got != 143 {
		t.Errorf("a worker that was told to end: exit code %d, want 143, so that it is replaced\n%s", got, logs[1])
	}
	crew[1], logs[1] = p.start("worker", 1)
	driver.Process.Signal(syscall.SIGTERM)
	if got := code(driver); got != 143 {
		t.Fatalf("the driver, told to end: exit code %d, want 143\n%s", got, words)
	}
	contains(t, "the driver", words.String(), "interrupted in epoch", "saved as")
	driver, words = p.start("driver", 0)
	waitFor(t, "the driver to go on", func() bool { return strings.Contains(words.String(), "epoch ") })
	driver.Process.Kill()
	driver.Wait()
	driver, words = p.start("driver", 0)
	if got := code(driver); got != 0 {
		t.Fatalf("the driver: exit code %d\n%s\nworkers:\n%s\n%s", got, words, logs[0], logs[1])
	}
	contains(t, "the driver", words.String(), "going on with data/runs/tiny")
	for i, w := range crew {
		if got := code(w); got != 0 {
			t.Errorf("worker %d: exit code %d\n%s", i, got, logs[i])
		}
	}
	got, gotMetrics := tensors(t, run)
	if !reflect.DeepEqual(got, want) || gotMetrics != wantMetrics {
		t.Errorf("other bits than on the CPU; metrics\n%s\nwant\n%s", gotMetrics, wantMetrics)
	}
}
