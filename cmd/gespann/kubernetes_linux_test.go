package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

// kubeImage is the one image that the nodes of tests have.
const kubeImage = "registry.example/gespann:1.0"

// A kubeCluster is a real control plane, which .ci/engines has started, with nodes that
// this test binary plays.
type kubeCluster struct {
	t         *testing.T
	dir       string // where nodes and volumes are
	namespace string
	nodes     map[string]*exec.Cmd // by name
}

// newKubeCluster starts two nodes, and makes volumes and a namespace with the Pod Security
// level restricted.
func newKubeCluster(t *testing.T, namespace string) *kubeCluster {
	if os.Getenv("GESPANN_TEST_SERVER") == "" {
		t.Skip("there is no control plane: .ci/engines kubernetes starts one")
	}
	dir, err := os.MkdirTemp("/var/tmp", "kube") // where user 65534 may look
	if err != nil {
		t.Fatal(err)
	}
	k := &kubeCluster{t: t, dir: dir, namespace: namespace, nodes: map[string]*exec.Cmd{}}
	t.Cleanup(func() {
		for _, node := range k.nodes {
			node.Process.Kill()
			node.Wait()
		}
		if t.Failed() {
			t.Logf("%s", k.try("get", "all,events", "-A", "-o", "wide"))
		}
		k.try("delete", "namespace", namespace, "--wait=false")
		os.RemoveAll(dir)
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	k.node("1")
	k.node("2")
	k.apply("{apiVersion: v1, kind: Namespace, metadata: {name: " + namespace + ", labels: {pod-security.kubernetes.io/enforce: restricted}}}")
	k.apply(fmt.Sprintf("{apiVersion: v1, kind: PersistentVolume, metadata: {name: %s}, spec: {capacity: {storage: 10Gi}, accessModes: [ReadWriteOnce], "+
		"hostPath: {path: %s/volume}}}", namespace, dir))
	k.waitFor("the nodes", func() bool {
		return strings.Count(k.try("get", "nodes", "--no-headers"), " Ready ") == 2
	})
	return k
}

// node starts a node. It ends with all of its pods when it is killed.
func (k *kubeCluster) node(number string) {
	self, err := os.Executable()
	if err != nil {
		k.t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), asNode+"="+number, "GESPANN_TEST_DIR="+k.dir, "GESPANN_TEST_IMAGE="+kubeImage, "GESPANN_TEST_PROGRAM="+self)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	k.nodes["node-"+number] = cmd
}

// try runs kubectl, and returns what it says.
func (k *kubeCluster) try(args ...string) string {
	out, _ := exec.Command("kubectl", append(args, "--namespace="+k.namespace)...).CombinedOutput()
	return strings.TrimSpace(string(out))
}

func (k *kubeCluster) apply(text string, flags ...string) {
	k.t.Helper()
	cmd := exec.Command("kubectl", append([]string{"apply", "--validate=strict", "--namespace=" + k.namespace, "--filename=-"}, flags...)...)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		k.t.Fatalf("kubectl apply: %v: %s", err, out)
	}
}

func (k *kubeCluster) waitFor(what string, f func() bool) {
	k.t.Helper()
	for begin := time.Now(); !f(); time.Sleep(300 * time.Millisecond) {
		if time.Since(begin) > 4*time.Minute {
			k.t.Fatalf("waited too long for %s", what)
		}
	}
}

// pod waits for a pod of a component and an index that runs, and returns its name and node.
func (k *kubeCluster) pod(component, index string) (name, node string) {
	k.t.Helper()
	k.waitFor("a pod "+component+" "+index, func() bool {
		words := strings.Fields(k.try("get", "pods", "--field-selector=status.phase=Running", "--selector=app.kubernetes.io/component="+component+
			",batch.kubernetes.io/job-completion-index="+index, "--output=jsonpath={.items[0].metadata.name} {.items[0].spec.nodeName} {.items[0].metadata.deletionTimestamp}"))
		if len(words) != 2 || strings.HasPrefix(words[0], "error") {
			return false
		}
		name, node = words[0], words[1]
		return true
	})
	return name, node
}

func (k *kubeCluster) evict(pod string) {
	k.t.Helper()
	cmd := exec.Command("kubectl", "create", "--raw=/api/v1/namespaces/"+k.namespace+"/pods/"+pod+"/eviction", "--filename=-")
	cmd.Stdin = strings.NewReader(`{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"` + pod + `","namespace":"` + k.namespace + `"}}`)
	if out, err := cmd.CombinedOutput(); err != nil {
		k.t.Fatalf("evicting %s: %v: %s", pod, err, out)
	}
}

// manyEpochs outlast what Kubernetes waits before it starts a pod again.
const manyEpochs = "6000"

// onCPU trains on the CPU, for the bits.
func onCPU(t *testing.T, flags []string) (dir string) {
	dir = writeTiny(t)
	cmd, _, stderr := command(t, dir, append([]string{"train", "tiny.yaml", "--name", "cpu", "--log", "plain"}, flags...)...)
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	return dir
}

func asOnCPU(t *testing.T, got, want string) {
	t.Helper()
	weights, metrics := tensors(t, got)
	wantWeights, wantMetrics := tensors(t, want)
	if !reflect.DeepEqual(weights, wantWeights) || metrics != wantMetrics {
		t.Error("other bits than on the CPU")
	}
}

// TestKubernetesManifest has a real control plane admit and place a manifest. A worker is
// deleted, the other evicted, the driver evicted, and the node of the driver lost.
func TestKubernetesManifest(t *testing.T) {
	k := newKubeCluster(t, "manifest")
	flags := []string{"--set", "train.deterministic=true", "--epochs", manyEpochs, "--set", "train.checkpoint_every=1 epochs"}
	dir := onCPU(t, flags)
	k.apply(must(t, append([]string{"manifest", filepath.Join(dir, "tiny.yaml"), "--to", "kubernetes", "--workers", "2", "--image", kubeImage}, flags...)...))
	run := filepath.Join(k.dir, "volume", "runs", "tiny")
	saved := func() string {
		files, _ := filepath.Glob(filepath.Join(run, "checkpoints", "step-*"))
		return strings.Join(files, " ")
	}
	k.waitFor("a checkpoint", func() bool { return saved() != "" })
	first, _ := k.pod("worker", "0")
	k.try("delete", "pod", first)
	second, _ := k.pod("worker", "1")
	k.evict(second)
	driver, _ := k.pod("driver", "0")
	k.evict(driver)
	k.waitFor("the driver's end", func() bool { return strings.Contains(k.try("get", "pod", driver), "not found") })
	before := saved()
	driver, node := k.pod("driver", "0")
	k.waitFor("a checkpoint of another driver", func() bool { return saved() != before })
	k.nodes[node].Process.Kill()
	k.nodes[node].Wait()
	k.try("delete", "node", node) // as a cloud does; without, Kubernetes does not know that the driver has ended
	k.waitFor("a driver on another node", func() bool {
		another, on := k.pod("driver", "0")
		return another != driver && on != node
	})
	k.node(strings.TrimPrefix(node, "node-"))
	k.waitFor("the end of the Jobs", func() bool {
		return strings.Count(k.try("get", "jobs", "--output=jsonpath={.items[*].status.conditions[*].type}"), "Complete") == 2
	})
	asOnCPU(t, run, filepath.Join(dir, "runs", "cpu"))
}

// TestKubernetesLaunch has a real control plane place workers of a driver that is not in a
// pod. One is evicted. Nothing is left, at the end or after kill -9 of the driver. What the
// control plane refuses is said.
func TestKubernetesLaunch(t *testing.T) {
	k := newKubeCluster(t, "launch")
	flags := []string{"--set", "train.deterministic=true", "--epochs", "2000"}
	dir := onCPU(t, flags)
	start := func(name string, more ...string) (*exec.Cmd, *bytes.Buffer) {
		cmd, _, words := command(t, dir, append(append([]string{"train", "tiny.yaml", "--name", name, "--backend", "cluster", "--log", "plain",
			"--launch", "kubernetes:launch", "--workers", "2", "--image", kubeImage}, flags...), more...)...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill() })
		return cmd, words
	}
	nothing := func() bool {
		return k.try("get", "jobs,pods,secrets", "--selector=app.kubernetes.io/managed-by=gespann", "--output=name") == ""
	}
	run, words := start("there")
	waitFor(t, "a checkpoint", func() bool { return checkpoints2(dir, "there") != "" })
	pod, _ := k.pod("worker", "1")
	k.evict(pod)
	if err := run.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, words)
	}
	contains(t, "the driver", words.String(), "Eviction API: evicting; the others go on, and Kubernetes starts another")
	if !nothing() {
		t.Errorf("left after the run:\n%s", k.try("get", "jobs,pods,secrets"))
	}
	asOnCPU(t, filepath.Join(dir, "runs", "there"), filepath.Join(dir, "runs", "cpu"))

	run, _ = start("killed", "--epochs", "1000000")
	waitFor(t, "a checkpoint", func() bool { return checkpoints2(dir, "killed") != "" })
	run.Process.Kill()
	run.Wait()
	k.waitFor("the end of what a killed driver leaves", nothing)

	k.try("create", "quota", "few", "--hard=count/jobs.batch=0")
	run, words = start("refused")
	if run.Wait() == nil {
		t.Error("trained beyond a quota")
	}
	contains(t, "the driver", words.String(), "gespann: cluster: launch: kubernetes: ", `jobs.batch "gespann-refused-`, "is forbidden: exceeded quota: few")
	k.try("delete", "quota", "few")
	run, words = start("image", "--image", "registry.example/gespann:2.0")
	if run.Wait() == nil {
		t.Error("trained without an image")
	}
	contains(t, "the driver", words.String(), "no pod can have the image registry.example/gespann:2.0: ImagePullBackOff")
	if !nothing() {
		t.Errorf("left after what was refused:\n%s", k.try("get", "jobs,pods,secrets"))
	}
}
