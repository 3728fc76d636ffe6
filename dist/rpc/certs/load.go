package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gespann/gespann/internal/shell"
)

// maxFile bounds a file of the folder.
const maxFile = 64 << 10

// minToken is the least length of a token, in characters: too many to guess.
const minToken = 16

// Load loads a folder that Make has made, on this or another machine; the CA's key
// need not be there. The error says which file is missing, too open, expired, or
// does not fit the others.
func Load(dir string) (*Certs, error) { return loadAt(dir, time.Now()) }

func loadAt(dir string, now time.Time) (*Certs, error) {
	ca, err := read(dir, caFile)
	if err != nil {
		return nil, err
	}
	node, err := read(dir, nodeFile)
	if err != nil {
		return nil, err
	}
	key, err := readSecret(dir, keyFile)
	if err != nil {
		return nil, err
	}
	c := &Certs{CA: x509.NewCertPool()}
	if !c.CA.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s: got no certificate", filepath.Join(dir, caFile))
	}
	if c.Node, err = tls.X509KeyPair(node, key); err != nil {
		return nil, fmt.Errorf("%s and %s: %w", filepath.Join(dir, nodeFile), keyFile, err)
	}
	if err := c.verify(now); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, nodeFile), err)
	}
	_, shared, err := PrincipalOf(c.Node.Leaf)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, nodeFile), err)
	}
	if shared {
		return c, c.readToken(dir)
	}
	return c, nil
}

// readToken reads the token that goes with a certificate that machines share.
func (c *Certs) readToken(dir string) error {
	token, err := readSecret(dir, tokenFile)
	if err != nil {
		return err
	}
	c.Token = strings.TrimSpace(string(token))
	if err := checkToken(c.Token); err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(dir, tokenFile), err)
	}
	return nil
}

// checkToken checks that a token is long, and can be sent.
func checkToken(token string) error {
	if len(token) < minToken || len(token) > maxFile {
		return fmt.Errorf("got a token of %d characters, want at least %d", len(token), minToken)
	}
	for _, r := range token {
		if r <= ' ' || r > '~' {
			return errors.New("got a token with white space or special characters, want letters and digits")
		}
	}
	return nil
}

// verify checks that the certificate is of the CA, and good now.
func (c *Certs) verify(now time.Time) error {
	leaf := c.Node.Leaf
	if now.Before(leaf.NotBefore) {
		return fmt.Errorf("not valid before %s: is the clock right?", leaf.NotBefore.Format(time.DateOnly))
	}
	if now.After(leaf.NotAfter) {
		return fmt.Errorf("expired on %s\nhint: make new ones with `gespann certs`", leaf.NotAfter.Format(time.DateOnly))
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: c.CA, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return fmt.Errorf("is not of the CA in %s: %w", caFile, err)
	}
	return nil
}

func readSecret(dir, name string) ([]byte, error) {
	path := filepath.Join(dir, name)
	info, err := os.Stat(path)
	if err == nil && info.Mode().Perm()&0o077 != 0 && !lent(info) {
		return nil, fmt.Errorf("%s: others can read it: got mode %04o, want 0600\nhint: chmod 600 %s",
			path, info.Mode().Perm(), shell.Word(path))
	}
	return read(dir, name)
}

// lent reports whether root has let a group read a file, and this process, which is not
// root: that is how Kubernetes gives a secret to a container (fsGroup).
func lent(info os.FileInfo) bool {
	return info.Mode().Perm()&0o037 == 0 && ownedByRoot(info) && os.Geteuid() > 0
}

func read(dir, name string) ([]byte, error) {
	path := filepath.Join(dir, name)
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w\nhint: make it with `gespann certs`, on one machine, and copy the folder to the others",
			path, os.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("%s: got more than %d bytes", path, maxFile)
	}
	return b, nil
}
