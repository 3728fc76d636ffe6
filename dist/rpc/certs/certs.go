// Package certs makes and loads what the processes of a cluster need to trust one
// another: a certificate authority, one certificate with its key that all of them
// share, and a token that whoever joins must tell.
package certs

import (
	"crypto/tls"
	"crypto/x509"
)

// Certs are what Load has loaded.
type Certs struct {
	Token string          // join token
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

// anyNode is a name that every certificate of a cluster has. Machines share a
// certificate, so the name of one of them would tell nothing: who has the key is
// one of the cluster.
const anyNode = "node.gespann.internal"

// Client returns the configuration of the side that dials: TLS 1.3, and the other
// side must show a certificate that Make has made, of the same CA.
func (c *Certs) Client() *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{c.Node},
		RootCAs:      c.CA,
		ServerName:   anyNode,
		NextProtos:   []string{"h2"},
	}
}
