package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Files of a folder of certificates.
const (
	caFile    = "ca.pem"
	caKeyFile = "ca.key"
	nodeFile  = "node.pem"
	keyFile   = "node.key"
	tokenFile = "token"
)

// validity is how long certificates are good.
const validity = 5 * 365 * 24 * time.Hour

// Make makes a folder with a new certificate authority (ca.pem, ca.key), a
// certificate with its key that all machines share (node.pem, node.key), and a join
// token (token). Gespann asks for no machine's name; the certificate also has the
// names or IP addresses of hosts, and loopback, for other programs. Only their owner can
// read the secrets. The folder may exist, but none of the files.
func Make(dir string, hosts []string) error {
	return makeAt(dir, hosts, time.Now())
}

func makeAt(dir string, hosts []string, now time.Time) error {
	files, err := generate(hosts, now)
	if err != nil {
		return err
	}
	return writeAll(dir, files)
}

// writeAll makes the files of a folder: all of them or none.
func writeAll(dir string, files []file) error {
	if err := makeFolder(dir); err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	for _, f := range files {
		if _, err := os.Lstat(filepath.Join(dir, f.name)); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("certificates: %s is there already, and is not overwritten\nhint: name another folder, or remove it if no machine uses it",
				filepath.Join(dir, f.name))
		}
	}
	for i, f := range files {
		if err := write(filepath.Join(dir, f.name), f.content); err != nil {
			for _, f := range files[:i+1] { // half a set would be in the way of a whole one
				os.Remove(filepath.Join(dir, f.name))
			}
			return fmt.Errorf("certificates: %w", err)
		}
	}
	return nil
}

// makeFolder makes a folder that is its owner's alone, also of one that is there and
// empty. One with other files keeps its mode, and must not be one in which others can
// exchange files.
func makeFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) == 0 {
		err = os.Chmod(dir, 0o700)
	}
	if err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("others can write in %s: got mode %04o, want at most 0755\nhint: name a folder of its own", dir, mode)
	}
	return nil
}

// write makes a file that only its owner can read, and that did not exist.
func write(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

type file struct {
	name    string
	content []byte
}

func generate(hosts []string, now time.Time) ([]file, error) {
	ca := template("Gespann CA", now, validity)
	ca.IsCA, ca.BasicConstraintsValid = true, true
	ca.KeyUsage = x509.KeyUsageCertSign
	ca.MaxPathLenZero = true
	node := template(sharedName, now, validity)
	node.KeyUsage = x509.KeyUsageDigitalSignature
	node.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	if err := setHosts(node, hosts); err != nil {
		return nil, err
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return nil, err
	}
	nodeDER, err := x509.CreateCertificate(rand.Reader, node, ca, &key.PublicKey, caKey)
	if err != nil {
		return nil, err
	}
	keys := [2][]byte{}
	for i, k := range []*ecdsa.PrivateKey{caKey, key} {
		if keys[i], err = x509.MarshalPKCS8PrivateKey(k); err != nil {
			return nil, err
		}
	}
	return []file{
		{caFile, block("CERTIFICATE", caDER)}, {caKeyFile, block("PRIVATE KEY", keys[0])},
		{nodeFile, block("CERTIFICATE", nodeDER)}, {keyFile, block("PRIVATE KEY", keys[1])},
		{tokenFile, []byte(rand.Text() + "\n")},
	}, nil
}

// template returns a certificate that is good from a day ago, for clocks that
// are late.
func template(common string, now time.Time, valid time.Duration) *x509.Certificate {
	serial := make([]byte, 16)
	io.ReadFull(rand.Reader, serial) // never fails
	serial[0] &= 0x7f
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial),
		Subject:      pkix.Name{CommonName: common},
		NotBefore:    now.Add(-24 * time.Hour),
		NotAfter:     now.Add(valid),
	}
}

// setHosts writes the names of hosts, and of this machine's loopback, into a
// certificate.
func setHosts(c *x509.Certificate, hosts []string) error {
	c.DNSNames = []string{anyNode, "localhost"}
	c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	for _, host := range hosts {
		ip := net.ParseIP(host)
		switch {
		case ip != nil:
			c.IPAddresses = append(c.IPAddresses, ip)
		case host == "" || len(host) > 253 || !isName(host):
			return fmt.Errorf("certificates: host %q: want a name or an IP address, without port", host)
		default:
			c.DNSNames = append(c.DNSNames, host)
		}
	}
	return nil
}

// isName reports whether host has only what names of hosts have; the first label
// may be "*".
func isName(host string) bool {
	for i, r := range host {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
		case r == '.' && i > 0:
		case r == '*' && i == 0:
		default:
			return false
		}
	}
	return true
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
