// Package certs makes and loads what the processes of a cluster need to trust one
// another: a certificate authority; a certificate with its key that machines share, with
// a token that whoever shows it must tell; and certificates of their own for people and
// machines that may do some things only.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/gespann/gespann/dist"
)

// Certs are what Load has loaded.
type Certs struct {
	Token string          // join token; "": the certificate is a principal's own
	Node  tls.Certificate // what a process shows
	CA    *x509.CertPool  // whom it believes
}

// Server returns the configuration of the side that listens: TLS 1.3, and the
// other side must show a certificate of the CA.
func (c *Certs) Server() *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{c.Node},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    c.CA,
		NextProtos:   []string{"h2"},
	}
}

// anyNode is a name that the certificate of every side that listens has. Machines may share a
// certificate, so the name of one of them would tell nothing: roles do.
const anyNode = "node.gespann.internal"

// Client returns the configuration of the side that dials: TLS 1.3, and the other
// side must show a certificate that Make or MakeFor has made, of the same CA, with a role.
func (c *Certs) Client(must dist.Roles) *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{c.Node},
		RootCAs:      c.CA,
		ServerName:   anyNode,
		NextProtos:   []string{"h2"},
		VerifyConnection: func(s tls.ConnectionState) error {
			who, _, err := PrincipalOf(s.PeerCertificates[0])
			if err == nil && !who.Roles.Has(must) {
				err = fmt.Errorf("its certificate is %s's: got the role %s, want %s", who, who.Roles, must)
			}
			if err != nil {
				return &RoleError{err.Error()}
			}
			return nil
		},
	}
}

// A RoleError says that the other side has a good certificate, for something else.
type RoleError struct{ text string }

// Error says whose certificate it is.
func (e *RoleError) Error() string { return e.text }

// sharedName is the common name of the certificate that all machines share, and that of
// versions without roles.
const sharedName = "Gespann node"

// PrincipalOf returns whose certificate it is: the common name, with the roles that are its
// organizational units. One that machines share has all roles.
func PrincipalOf(c *x509.Certificate) (who dist.Principal, shared bool, err error) {
	name, units := c.Subject.CommonName, c.Subject.OrganizationalUnit
	if name == sharedName && len(units) == 0 {
		return dist.Principal{Name: name, Roles: dist.AllRoles}, true, nil
	}
	if err := checkName(name); err != nil {
		return who, false, fmt.Errorf("was not made by gespann certs: %w", err)
	}
	roles, err := dist.ParseRoles(units)
	if err == nil && roles == 0 {
		err = errors.New("it has no role")
	}
	if err != nil {
		return who, false, fmt.Errorf("%s's was not made by gespann certs: %w", name, err)
	}
	return dist.Principal{Name: name, Roles: roles}, false, nil
}

// maxName is how long a common name may be, by RFC 5280.
const maxName = 64

// checkName checks the name of a principal, so that it can stand in messages and commands.
func checkName(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("name %.80q: want 1 to %d characters", name, maxName)
	}
	for i, r := range name {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', i > 0 && (r == '-' || r == '.' || r == '_' || r == '@'):
		default:
			return fmt.Errorf("name %q: want letters, digits, '-', '.', '_' and '@', beginning with a letter or digit", name)
		}
	}
	return nil
}
