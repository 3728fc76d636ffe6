package launch

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestFor(t *testing.T) {
	dir := t.TempDir()
	hosts := filepath.Join(dir, "hosts")
	if err := os.WriteFile(hosts, []byte("# ours\na slots=2\n\n user@b:2222 # the old one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(dir, "bad")
	if err := os.WriteFile(bad, []byte("a\n-oProxyCommand=x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(dir, "none")
	if err := os.WriteFile(none, []byte("# nobody\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]Launcher{
		"ssh://a,root@b:22":                   &sshLauncher{[]sshHost{{"a", ""}, {"root@b", "22"}}},
		"ssh:" + hosts:                        &sshLauncher{[]sshHost{{"a", ""}, {"user@b", "2222"}}},
		"slurm":                               &slurmLauncher{},
		"slurm:gold":                          &slurmLauncher{"gold"},
		"spark://h":                           &sparkLauncher{[]string{"h:7077"}, "spark://h:7077", "6066", "8080", "0"},
		"spark://a:1,b:2?rest=3&ui=4&serve=5": &sparkLauncher{[]string{"a:1", "b:2"}, "spark://a:1,b:2", "3", "4", "5"},
		"spark:yarn":                          &sparkLauncher{nil, "yarn", "6066", "8080", "0"},
		"spark:k8s://https://h:6443":          &sparkLauncher{nil, "k8s://https://h:6443", "6066", "8080", "0"},
		"spark:spark://h:7077":                &sparkLauncher{[]string{"h:7077"}, "spark://h:7077", "0", "8080", "0"},
		"ssh://[fe80::1]:2200":                &sshLauncher{[]sshHost{{"fe80::1", "2200"}}},
		"kubernetes":                          &kubeLauncher{},
		"kubernetes:ns":                       &kubeLauncher{namespace: "ns"},
		"kubernetes:a:b/c/ns":                 &kubeLauncher{context: "a:b/c", namespace: "ns"},
		"kubernetes:c/":                       &kubeLauncher{context: "c"},
	} {
		got, err := For(address)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v, want %+v", address, got, err, want)
		}
	}
	for address, want := range map[string]string{
		"":                  "want ssh://HOST,HOST",
		"k8s":               `got "k8s"`,
		"ssh://":            "want the name of a host",
		"ssh://a,,b":        "want the name of a host",
		"ssh://a;reboot":    "want the name of a host",
		"ssh://-oX=y":       "want the name of a host",
		"ssh:" + dir + "/x": "no such file",
		"ssh:" + bad:        "bad:2: host \"-oProxyCommand=x\"",
		"ssh:" + none:       "got no host",
		"slurm:-p":          "got partition",
		"kubernetes:-n":     "want kubernetes, kubernetes:NAMESPACE",
		"kubernetes:-c/ns":  "want kubernetes, kubernetes:NAMESPACE",
		"kubernetes:Ns":     "want kubernetes, kubernetes:NAMESPACE",
		"spark:":            "got master",
		"spark://":          "want HOST:PORT",
		"spark://h:x":       "want HOST:PORT",
		"spark://h?rust=1":  "want rest=PORT",
		"spark://h?rest=x":  "want rest=PORT",
		"spark:--conf":      "got master",
	} {
		if got, err := For(address); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %+v, %v, want %s", address, got, err, want)
		}
	}
}

// TestInvitation sends an invitation through, and what must not be one.
func TestInvitation(t *testing.T) {
	want := &Invitation{Coordinator: "h:1", Files: map[string][]byte{"ca.pem": {1, 2}}}
	line, err := want.line()
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(bytes.NewReader(append(line, "rest"...)))
	got, err := ReadInvitation(r)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if rest, _ := r.ReadString(0); rest != "rest" {
		t.Errorf("%q is left", rest)
	}
	for text, want := range map[string]string{
		"":                                   "has ended before it came",
		"{}\n":                               "got no coordinator",
		"{\n":                                "invitation: unexpected end",
		`{"coordinator":"h:1"}`:              "has ended before it came",
		strings.Repeat("x", maxInvitation+1): "longer than",
		`{"coordinator":"h:1","files":{"../x":""}}` + "\n": `got a file "../x"`,
		`{"coordinator":"h:1","files":{"..":""}}` + "\n":   `got a file ".."`,
	} {
		if _, err := ReadInvitation(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %v, want %s", text, err, want)
		}
	}
}

func FuzzInvitation(f *testing.F) {
	f.Add([]byte(`{"coordinator":"h:1","files":{"token":"eA=="}}` + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := ReadInvitation(bytes.NewReader(text))
		if err != nil {
			return
		}
		for name := range v.Files {
			if name != filepath.Base(name) {
				t.Errorf("a file %q", name)
			}
		}
	})
}
