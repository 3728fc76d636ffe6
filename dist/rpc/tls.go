package rpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"github.com/gespann/gespann/dist/rpc/certs"
)

// tlsError is a sentence for an error of a TLS handshake, seen from the side that
// dials.
func tlsError(who string, err error) error {
	var (
		record  tls.RecordHeaderError
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		alert   *net.OpError
		role    *certs.RoleError
	)
	switch {
	case errors.As(err, &record):
		return fmt.Errorf("%s: %w: it does not use certificates, and this side does", who, ErrRefused)
	case errors.As(err, &role):
		return fmt.Errorf("%s: %w: %v\nhint: is that the right address?", who, ErrRefused, role)
	case errors.As(err, &unknown):
		return fmt.Errorf("%s: %w: its certificate is of another CA\nhint: use the same folder of certificates everywhere", who, ErrRefused)
	case errors.As(err, &name):
		return fmt.Errorf("%s: %w: its certificate is not for what listens: %v\n"+
			"hint: gespann certs --for NAME --role coordinate makes one for a coordinator, --role work for a worker", who, ErrRefused, name)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("%s: %w: its certificate has expired, or is not valid yet", who, ErrRefused)
	case errors.As(err, &alert) && alert.Op == "remote error": // what package tls says of alerts
		return fmt.Errorf("%s: %w our certificate (%v)\nhint: use the same folder of certificates everywhere", who, ErrRefused, alert.Err)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return fmt.Errorf("%s: %w, in the middle of the handshake\nhint: there may be many strangers at its port: try again", who, errCutOff)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: no answer within %v", who, handshakeTime)
	}
	return fmt.Errorf("%s: %w", who, cause(err))
}
