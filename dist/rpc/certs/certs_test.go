package certs

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gespann/gespann/dist"
)

// folder returns a new folder of certificates.
func folder(t *testing.T, hosts ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "certs")
	if err := Make(dir, hosts); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestMake checks that only the owner can read the files, and that the second
// call overwrites nothing.
func TestMake(t *testing.T) {
	dir := folder(t, "node1.example", "*.cluster", "10.0.0.5", "fe80::1")
	names := []string{caFile, caKeyFile, nodeFile, keyFile, tokenFile}
	before := map[string]string{}
	for _, name := range names {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s: got mode %04o, want 0600", name, info.Mode().Perm())
		}
		text, _ := os.ReadFile(filepath.Join(dir, name))
		before[name] = string(text)
	}
	if info, _ := os.Stat(dir); info.Mode().Perm() != 0o700 {
		t.Errorf("folder: got mode %04o, want 0700", info.Mode().Perm())
	}
	if err := Make(dir, nil); err == nil || !strings.Contains(err.Error(), "is not overwritten") {
		t.Errorf("second Make: got %v, want that it overwrites nothing", err)
	}
	for _, name := range names {
		if text, _ := os.ReadFile(filepath.Join(dir, name)); string(text) != before[name] {
			t.Errorf("%s has changed", name)
		}
	}
	c, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"node1.example", "a.cluster", "10.0.0.5", "fe80::1", "localhost", "127.0.0.1", "::1"} {
		if err := c.Node.Leaf.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	other, err := Load(folder(t))
	if err != nil || other.Token == c.Token || len(c.Token) < minToken {
		t.Errorf("tokens %q and %q (%v), want two of at least %d characters", c.Token, other.Token, err, minToken)
	}
}

// TestMakeInFolder checks that a folder which is there keeps its mode, and that one
// where others can exchange files is refused.
func TestMakeInFolder(t *testing.T) {
	for mode, ok := range map[os.FileMode]bool{0o700: true, 0o755: true, 0o775: false, 0o777: false} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "other"), nil, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		err := Make(dir, nil)
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "others can write in "+dir) {
			t.Errorf("mode %04o: got %v", mode, err)
		}
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != mode {
			t.Errorf("the folder has mode %v now (%v), want %04o", info.Mode(), err, mode)
		}
	}
	empty := t.TempDir()
	if err := errors.Join(os.Chmod(empty, 0o777), Make(empty, nil)); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(empty); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("an empty folder has mode %v now (%v), want 0700", info.Mode(), err)
	}
}

// TestMakeHosts checks names that are none.
func TestMakeHosts(t *testing.T) {
	for _, host := range []string{"", "a b", "node:7077", "http://x", strings.Repeat("x", 254), ".x"} {
		dir := filepath.Join(t.TempDir(), "certs")
		if err := Make(dir, []string{host}); err == nil || !strings.Contains(err.Error(), "want a name or an IP address") {
			t.Errorf("Make(%q): got %v, want an error", host, err)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("Make(%q) made a folder", host)
		}
	}
}

// TestLoad spoils one thing after the other.
func TestLoad(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name, want string
		spoil      func(t *testing.T, dir string)
		at         time.Time
	}{
		{"nothing", "", nil, now},
		{"without the CA's key", "", remove(caKeyFile), now},
		{"no CA", "ca.pem: file does not exist\nhint: make it with `gespann certs`", remove(caFile), now},
		{"no certificate", "node.pem: file does not exist", remove(nodeFile), now},
		{"no key", "node.key: file does not exist", remove(keyFile), now},
		{"no token", "token: file does not exist", remove(tokenFile), now},
		{"open key", "node.key: others can read it: got mode 0640, want 0600\nhint: chmod", mode(keyFile, 0o640), now},
		{"open token", "token: others can read it: got mode 0604", mode(tokenFile, 0o604), now},
		{"open CA", "", mode(caFile, 0o644), now},
		{"short token", "got a token of 3 characters, want at least 16", put(tokenFile, "abc\n"), now},
		{"odd token", "want letters and digits", put(tokenFile, "abcdefgh abcdefgh\n"), now},
		{"no PEM", "ca.pem: got no certificate", put(caFile, "hello"), now},
		{"huge", "got more than 65536 bytes", put(caFile, strings.Repeat("x", maxFile+1)), now},
		{"other key", "node.pem and node.key", other(keyFile), now},
		{"other CA", "node.pem: is not of the CA in ca.pem", other(caFile), now},
		{"expired", "node.pem: expired on ", nil, now.Add(validity + time.Hour)},
		{"too early", "is the clock right?", nil, now.Add(-48 * time.Hour)},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := folder(t)
			if c.spoil != nil {
				c.spoil(t, dir)
			}
			got, err := loadAt(dir, c.at)
			if c.want == "" && (err != nil || got == nil) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
}

func remove(name string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

func mode(name string, mode os.FileMode) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
}

func put(name, text string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// other takes a file from another folder.
func other(name string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		text, err := os.ReadFile(filepath.Join(folder(t), name))
		if err != nil {
			t.Fatal(err)
		}
		put(name, string(text))(t, dir)
	}
}

// TestHandshake checks the two configurations against each other, and against
// those of another folder.
func TestHandshake(t *testing.T) {
	a, err := Load(folder(t))
	if err != nil {
		t.Fatal(err)
	}
	b, err := Load(folder(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name           string
		server, client *tls.Config
		ok             bool
	}{
		{"same", a.Server(), a.Client(dist.Coordinate), true},
		{"other server", b.Server(), a.Client(dist.Coordinate), false},
		{"other client", a.Server(), (&Certs{Node: b.Node, CA: a.CA}).Client(dist.Coordinate), false},
		{"no client certificate", a.Server(), &tls.Config{RootCAs: a.CA, ServerName: anyNode}, false},
		{"TLS 1.2", a.Server(), old(a.Client(dist.Coordinate)), false},
	} {
		if err := handshake(t, c.server, c.client); (err == nil) != c.ok {
			t.Errorf("%s: got %v, want success: %v", c.name, err, c.ok)
		}
	}
}

func old(c *tls.Config) *tls.Config {
	c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	return c
}

// handshake returns what the server says of a handshake.
func handshake(t *testing.T, server, client *tls.Config) error {
	t.Helper()
	here, there := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c := tls.Client(there, client)
		if c.Handshake() == nil {
			io.Copy(io.Discard, c) // until the server closes
		}
		there.Close()
	}()
	err := tls.Server(here, server).Handshake()
	here.Close()
	<-done
	return err
}
