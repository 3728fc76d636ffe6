//go:build unix

package certs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestLent has Load read what root lets a group read, as another user: Kubernetes gives
// secrets to containers that way. What all may read, and what a user who is not root has
// let a group read, is too open.
func TestLent(t *testing.T) {
	if dir := os.Getenv("GESPANN_TEST_LENT"); dir != "" {
		if _, err := Load(dir); err != nil {
			t.Fatal(err)
		}
		return
	}
	if os.Getuid() != 0 {
		t.Skip("needs root, to run as another user")
	}
	const user, group = 65534, 65533
	parent, err := os.MkdirTemp("", "lent")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(parent)
	dir := filepath.Join(parent, "certs")
	if err := Make(dir, nil); err != nil {
		t.Fatal(err)
	}
	self := filepath.Join(parent, "test")
	program, err := os.ReadFile(os.Args[0])
	if err == nil {
		err = os.WriteFile(self, program, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{parent, dir} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name  string
		owner int
		mode  os.FileMode
		want  string
	}{
		{"lent", 0, 0o440, ""},
		{"lent to write", 0, 0o460, "others can read it: got mode 0460"},
		{"open", 0, 0o444, "others can read it: got mode 0444"},
		{"by a user", user, 0o440, "others can read it: got mode 0440"},
	} {
		for _, name := range []string{keyFile, tokenFile} {
			path := filepath.Join(dir, name)
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(path, c.owner, group); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{caFile, nodeFile} {
			if err := os.Chmod(filepath.Join(dir, name), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command(self, "-test.run=^TestLent$")
		cmd.Env = append(os.Environ(), "GESPANN_TEST_LENT="+dir)
		cmd.Dir = parent
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user, Groups: []uint32{group}}}
		out, err := cmd.CombinedOutput()
		if (err == nil) != (c.want == "") || !strings.Contains(string(out), c.want) {
			t.Errorf("%s: got %v, %s, want %q", c.name, err, out, c.want)
		}
	}
}
