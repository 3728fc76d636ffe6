package main

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/gespann/gespann/dist/launch"
	"github.com/gespann/gespann/dist/rpc/certs"
	"github.com/gespann/gespann/model/spec"
)

// secrets are lines of a Secret, which are others each time.
var secrets = regexp.MustCompile(`(?m)^( +(?:ca.pem|node.pem|node.key|token): ).*$`)

// TestManifestKube compares manifests for Kubernetes with those in testdata, and checks
// that the Secret is one that workers take, and the configuration one that the driver takes.
func TestManifestKube(t *testing.T) {
	dir := writeTiny(t)
	config := filepath.Join(dir, "tiny.yaml")
	for _, kind := range launch.ManifestKinds {
		text := must(t, "manifest", config, "--to", kind, "--workers", "8", "--epochs", "3", "--name", "My run", "--gpu", "1",
			"--image", "registry.example/gespann-cuda:1.2", "--set", "cluster.resources.cpus=3",
			"--set", "cluster.resources.memory_mib=1000", "--set", "cluster.resources.minutes=90")
		golden(t, "manifest."+kind, strings.ReplaceAll(secrets.ReplaceAllString(text, "${1}..."), dir, "/DIR"))
		for document := range strings.SplitSeq(text, "\n---\n") {
			var o struct {
				Kind string
				Data map[string]string
			}
			if err := yaml.Unmarshal([]byte(document), &o); err != nil {
				t.Fatalf("%v in\n%s", err, document)
			}
			switch o.Kind {
			case "Secret":
				if _, err := certs.Unpack(unbase64(t, o.Data)); err != nil {
					t.Errorf("%s: the Secret: %v", kind, err)
				}
			case "ConfigMap":
				s, err := spec.Parse("run.yaml", []byte(o.Data["run.yaml"]), spec.Options{})
				if err != nil {
					t.Fatalf("%s: %v", kind, err)
				}
				if s.Train.Dir != "/data/runs" || s.Train.Name != "My run" || s.Cluster.Launch != launch.Beside || s.Cluster.Workers != 8 {
					t.Errorf("%s: the driver is told %+v, %+v", kind, s.Train, s.Cluster)
				}
			}
		}
	}
}

// TestManifestKubeRefuses checks what no manifest is written for.
func TestManifestKubeRefuses(t *testing.T) {
	dir := writeTiny(t)
	config := filepath.Join(dir, "tiny.yaml")
	files := filepath.Join(dir, "files.yaml")
	text, err := os.ReadFile(config)
	if err == nil {
		err = os.WriteFile(files, []byte(strings.Replace(string(text), "source: digits", "source: idx, dir: here", 1)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		config string
		args   []string
		want   string
	}{
		{config, nil, "--image: which one?"},
		{config, []string{"--image", "gespann"}, "image gespann: want a tag other than latest"},
		{config, []string{"--image", "host:5000/gespann"}, "want a tag other than latest"},
		{config, []string{"--image", "gespann:latest"}, "want a tag other than latest"},
		{config, []string{"--image", "a b:1"}, "got image \"a b:1\""},
		{config, []string{"--image", "x:1", "--name", strings.Repeat("n", 50)}, "at most 32 characters"},
		{config, []string{"--image", "x:1", "--name", "größe…!"}, ""},
		{config, []string{"--image", "x:1", "--storage", "much"}, "got the size \"much\""},
		{config, []string{"--image", "x:1", "--data-claim", "c"}, "--data-claim: has no effect"},
		{config, []string{"--image", "x:1", "--launch", "slurm"}, "--launch: has no effect"},
		{config, []string{"--image", "x:1", "--runs", "r"}, "--runs: has no effect"},
		{config, []string{"--image", "x:1", "--set", "cluster.listen=:9000"}, "cluster.listen: has no effect"},
		{config, []string{"--image", "x:1", "--set", "train.dir=/abs"}, "train.dir: has no effect"},
		{files, []string{"--image", "x:1", "--data-claim", "c", "--set", "data.dir=../up"}, "got ../up, which leads out of the claim"},
		{files, []string{"--image", "x:1"}, "data.dir: got here, which is on this machine"},
		{files, []string{"--image", "x:1", "--data-claim", "c", "--set", "data.dir=/mnt"}, "got /mnt, but --data-claim is at /work"},
		{files, []string{"--image", "x:1", "--data-claim", "C!"}, "got the claim \"C!\""},
		{files, []string{"--image", "x:1", "--data-claim", "c"}, ""},
	} {
		code, _, words := gespann(t, "", append([]string{"manifest", c.config, "--to", "kubernetes"}, c.args...)...)
		if (code == exitOK) != (c.want == "") || !strings.Contains(words, c.want) {
			t.Errorf("%v: exit code %d\n%swant %q", c.args, code, words, c.want)
		}
	}
}

// unbase64 decodes the values of a Secret.
func unbase64(t *testing.T, data map[string]string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for name, text := range data {
		content, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		files[name] = content
	}
	return files
}
