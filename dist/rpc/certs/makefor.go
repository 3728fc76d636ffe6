package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/gespann/gespann/dist"
)

// validityFor is how long the certificate of a principal is good: shorter than others, as
// none can be called back.
const validityFor = 365 * 24 * time.Hour

// MakeFor makes a folder for one principal, with a certificate of its own that says its name
// and roles: ca.pem, node.pem, node.key. The authority is in the folder ca, with its key.
// The folder needs no join token: what the authority has signed says more. Only Work and
// Coordinate let it listen. hosts are as in Make.
func MakeFor(ca, dir, name string, roles dist.Roles, hosts []string) error {
	return makeForAt(ca, dir, name, roles, hosts, time.Now())
}

func makeForAt(ca, dir, name string, roles dist.Roles, hosts []string, now time.Time) error {
	if err := checkName(name); err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	if roles == 0 {
		return errors.New("certificates: got no role")
	}
	pem, authority, err := loadAuthority(ca, now)
	if err != nil {
		return err
	}
	c := template(name, now, validityFor)
	if c.NotAfter.After(authority.Leaf.NotAfter) {
		c.NotAfter = authority.Leaf.NotAfter
	}
	c.Subject.OrganizationalUnit = roles.Names()
	c.KeyUsage = x509.KeyUsageDigitalSignature
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if roles&(dist.Work|dist.Coordinate) != 0 {
		c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		if err := setHosts(c, hosts); err != nil {
			return err
		}
	} else if len(hosts) > 0 {
		return fmt.Errorf("certificates: host %q: %s does not listen with the role %s", hosts[0], name, roles)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, c, authority.Leaf, &key.PublicKey, authority.PrivateKey.(crypto.Signer))
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writeAll(dir, []file{{caFile, pem}, {nodeFile, block("CERTIFICATE", der)}, {keyFile, block("PRIVATE KEY", private)}})
}

// loadAuthority loads what Make has made to sign with.
func loadAuthority(dir string, now time.Time) (pem []byte, _ tls.Certificate, err error) {
	var none tls.Certificate
	if pem, err = read(dir, caFile); err != nil {
		return nil, none, err
	}
	key, err := readSecret(dir, caKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, none, fmt.Errorf("%s: %w\nhint: it is where gespann certs has made the folder; --ca names that one",
			filepath.Join(dir, caKeyFile), fs.ErrNotExist)
	}
	if err != nil {
		return nil, none, err
	}
	pair, err := tls.X509KeyPair(pem, key)
	if err != nil {
		return nil, none, fmt.Errorf("%s and %s: %w", filepath.Join(dir, caFile), caKeyFile, err)
	}
	switch leaf := pair.Leaf; {
	case !leaf.IsCA:
		return nil, none, fmt.Errorf("%s: is of no certificate authority", filepath.Join(dir, caFile))
	case now.After(leaf.NotAfter):
		return nil, none, fmt.Errorf("%s: expired on %s", filepath.Join(dir, caFile), leaf.NotAfter.Format(time.DateOnly))
	}
	return bytes.Clone(pem), pair, nil
}
