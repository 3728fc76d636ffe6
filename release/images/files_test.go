// Package images checks what the images of the program may do: what their
// Dockerfiles and compose.yaml say, and that training, coordinator and worker need
// no more than that.
package images

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// text returns a file of the repository.
func text(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A service is what of a service of compose.yaml says what it may do.
type service struct {
	Image      string
	User       string
	ReadOnly   bool     `yaml:"read_only"`
	CapDrop    []string `yaml:"cap_drop"`
	CapAdd     []string `yaml:"cap_add"`
	Security   []string `yaml:"security_opt"`
	Pids       int      `yaml:"pids_limit"`
	Tmpfs      []string
	Privileged bool
	Pid        string
	Ipc        string
	Network    string `yaml:"network_mode"`
	Volumes    []string
	Ports      []string
	Devices    []string
	Command    string
	Health     struct{ Test []string } `yaml:"healthcheck"`
}

// TestCompose checks that every service has no more rights than it needs.
func TestCompose(t *testing.T) {
	var file struct{ Services map[string]service }
	if err := yaml.Unmarshal([]byte(text(t, "compose.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	if got := len(file.Services); got != 3 {
		t.Errorf("got %d services, want certs, coordinator and worker", got)
	}
	for name, s := range file.Services {
		asks := strings.Join(s.Health.Test, " ")
		for what, ok := range map[string]bool{
			"a healthcheck without a shell, of what runs": name == "certs" ||
				name == "coordinator" && asks == "CMD gespann health" && strings.Contains(s.Command, "--dashboard :8080") ||
				name == "worker" && asks == "CMD gespann health 9108" && strings.Contains(s.Command, "--metrics 9108"),
			"read_only: true":                        s.ReadOnly,
			"cap_drop: [ALL]":                        slices.Equal(s.CapDrop, []string{"ALL"}),
			"no cap_add":                             len(s.CapAdd) == 0,
			"security_opt: no-new-privileges:true":   slices.Contains(s.Security, "no-new-privileges:true"),
			"pids_limit":                             s.Pids > 0,
			"tmpfs: /tmp, without programs":          len(s.Tmpfs) == 1 && strings.HasPrefix(s.Tmpfs[0], "/tmp:") && strings.Contains(s.Tmpfs[0], "noexec"),
			"a user by number that is not 0":         regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(s.User),
			"neither privileged nor devices":         !s.Privileged && len(s.Devices) == 0,
			"none of the host's namespaces":          s.Pid == "" && s.Ipc == "" && s.Network == "",
			"security_opt that takes nothing back":   !slices.ContainsFunc(s.Security, func(o string) bool { return strings.Contains(o, "unconfined") }),
			"ports for this machine only":            !slices.ContainsFunc(s.Ports, func(p string) bool { return !strings.HasPrefix(p, "127.0.0.1:") }),
			"folders of the host are not written to": !slices.ContainsFunc(s.Volumes, func(v string) bool { return strings.ContainsAny(v[:1], "./~") && !strings.HasSuffix(v, ":ro") }),
		} {
			if !ok {
				t.Errorf("compose.yaml: %s: want %s", name, what)
			}
		}
	}
}

// TestDockerfiles checks that images run as someone who owns nothing, and are built
// with the compiler of go.mod.
func TestDockerfiles(t *testing.T) {
	compiler := regexp.MustCompile(`(?m)^toolchain go(\S+)$`).FindStringSubmatch(text(t, "go.mod"))
	if compiler == nil {
		t.Fatal("go.mod: want a line toolchain: the compiler that a release is built with")
	}
	for _, name := range []string{"Dockerfile", "Dockerfile.cuda"} {
		user, golang, health := "", 0, ""
		for line := range strings.Lines(strings.ReplaceAll(text(t, name), "\\\n", " ")) {
			words := strings.Fields(line)
			if len(words) == 0 {
				continue
			}
			switch words[0] {
			case "FROM":
				user = ""
				if image := words[1]; image != "scratch" && (!strings.Contains(image, ":") || strings.HasSuffix(image, ":latest")) {
					t.Errorf("%s: FROM %s: want a version", name, image)
				}
				if v, ok := strings.CutPrefix(words[1], "golang:"); ok {
					if golang++; v != compiler[1]+"-bookworm" {
						t.Errorf("%s: got golang:%s, want %s, as in go.mod", name, v, compiler[1])
					}
				}
			case "HEALTHCHECK":
				health = line[strings.Index(line, "CMD"):]
			case "USER":
				user = words[1]
			case "ADD":
				t.Errorf("%s: ADD: want COPY", name)
			case "RUN":
				for build := range strings.SplitSeq(line, "&&") {
					if strings.Contains(build, "go build") && !strings.Contains(build, "-trimpath") {
						t.Errorf("%s: %s: want -trimpath", name, strings.TrimSpace(build))
					}
				}
			}
		}
		if !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(user) {
			t.Errorf("%s: got USER %q in the last stage, want numbers that are not 0", name, user)
		}
		if want := "CMD [\"gespann\", \"health\", \"--optional\"]\n"; health != want {
			t.Errorf("%s: got HEALTHCHECK %q, want %q: there may be no shell", name, health, want)
		}
		if golang != 1 {
			t.Errorf("%s: got %d stages of golang, want 1", name, golang)
		}
	}
}
