package certs

import (
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gespann/gespann/dist"
)

// TestMakeFor makes folders for principals, and looks at what is in them.
func TestMakeFor(t *testing.T) {
	ca := folder(t)
	for _, c := range []struct {
		name   string
		roles  dist.Roles
		listen bool
	}{
		{"alice", dist.Submit, false}, {"root@lab.example", dist.Admin | dist.Submit, false},
		{"rack-7", dist.Work, true}, {"chief", dist.Coordinate, true}, {"all", dist.AllRoles, true},
	} {
		dir := filepath.Join(t.TempDir(), "x")
		if err := MakeFor(ca, dir, c.name, c.roles, nil); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		files, err := os.ReadDir(dir)
		if err != nil || len(files) != 3 {
			t.Errorf("%s: got %v (%v), want ca.pem, node.key and node.pem", c.name, files, err)
		}
		loaded, err := Load(dir)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if loaded.Token != "" {
			t.Errorf("%s has a token", c.name)
		}
		who, shared, err := PrincipalOf(loaded.Node.Leaf)
		if want := (dist.Principal{Name: c.name, Roles: c.roles}); who != want || shared || err != nil {
			t.Errorf("%s: got %+v, %v, %v, want %+v", c.name, who, shared, err, want)
		}
		_, err = loaded.Node.Leaf.Verify(x509.VerifyOptions{Roots: loaded.CA, DNSName: anyNode, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
		if (err == nil) != c.listen {
			t.Errorf("%s: as a server: got %v, want that it may listen: %v", c.name, err, c.listen)
		}
		if valid := time.Until(loaded.Node.Leaf.NotAfter); valid > validityFor {
			t.Errorf("%s: is good for %v, want at most %v", c.name, valid, validityFor)
		}
	}
}

// TestMakeForNobody checks what is said when no certificate can be made.
func TestMakeForNobody(t *testing.T) {
	ca, other := folder(t), folder(t)
	if err := os.Remove(filepath.Join(other, caKeyFile)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		ca, name string
		roles    dist.Roles
		hosts    []string
		want     string
	}{
		{ca, "", dist.Submit, nil, "want 1 to 64 characters"},
		{ca, sharedName, dist.Submit, nil, "want letters, digits"},
		{ca, "-rf", dist.Submit, nil, "beginning with a letter or digit"},
		{ca, "a\nb", dist.Submit, nil, "want letters, digits"},
		{ca, strings.Repeat("a", 65), dist.Submit, nil, "want 1 to 64 characters"},
		{ca, "alice", 0, nil, "got no role"},
		{ca, "alice", dist.Submit, []string{"a.example"}, "alice does not listen with the role submit"},
		{other, "alice", dist.Submit, nil, "ca.key: file does not exist\nhint: "},
		{t.TempDir(), "alice", dist.Submit, nil, "ca.pem: "},
	} {
		dir := filepath.Join(t.TempDir(), "x")
		err := MakeFor(c.ca, dir, c.name, c.roles, c.hosts)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q, %s: got %v, want %q", c.name, c.roles, err, c.want)
		}
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: something was made", c.name)
		}
	}
	dir := filepath.Join(t.TempDir(), "x")
	if err := MakeFor(ca, dir, "alice", dist.Submit, nil); err != nil {
		t.Fatal(err)
	}
	if err := MakeFor(ca, dir, "bob", dist.Admin, nil); err == nil || !strings.Contains(err.Error(), "is not overwritten") {
		t.Errorf("for the second time: got %v, want that nothing is overwritten", err)
	}
}

// TestEarlier loads a folder that a version without roles has made, and makes another one
// with its authority.
func TestEarlier(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{caFile, caKeyFile, nodeFile, keyFile, tokenFile} {
		text, err := os.ReadFile(filepath.Join("testdata", "earlier", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	then := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	c, err := loadAt(dir, then)
	if err != nil {
		t.Fatal(err)
	}
	who, shared, err := PrincipalOf(c.Node.Leaf)
	if err != nil || !shared || who.Roles != dist.AllRoles || c.Token == "" {
		t.Errorf("got %+v, %v, %v and token %q, want all roles with a token", who, shared, err, c.Token)
	}
	alice := filepath.Join(t.TempDir(), "alice")
	if err := makeForAt(dir, alice, "alice", dist.Submit, nil, then); err != nil {
		t.Fatal(err)
	}
	if _, err := loadAt(alice, then); err != nil {
		t.Error(err)
	}
}

// TestStrangersCertificate looks at certificates of the CA that gespann certs did not make.
func TestStrangersCertificate(t *testing.T) {
	for _, c := range []struct {
		name, want string
		units      []string
	}{
		{"alice", "it has no role", nil},
		{"alice", `role "root"`, []string{"submit", "root"}},
		{sharedName, "want letters, digits", []string{"submit"}},
		{"", "want 1 to 64 characters", nil},
		{"www.example.com/x", "want letters, digits", []string{"work"}},
	} {
		x := &x509.Certificate{}
		x.Subject.CommonName, x.Subject.OrganizationalUnit = c.name, c.units
		who, shared, err := PrincipalOf(x)
		if err == nil || shared || who.Roles != 0 || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q %q: got %+v, %v, %v, want %q", c.name, c.units, who, shared, err, c.want)
		}
	}
}
