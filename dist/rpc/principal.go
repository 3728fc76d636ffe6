package rpc

import (
	"context"
	"crypto/subtle"
	"fmt"
	"os"
	"strings"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/tap"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/rpc/account"
	"github.com/gespann/gespann/dist/rpc/certs"
)

// A guest is who has been let in.
type guest struct {
	who   dist.Principal
	reply string // to its claim; "": it made none
}

type guestKey struct{}

func withGuest(ctx context.Context, g guest) context.Context {
	return context.WithValue(ctx, guestKey{}, g)
}

// guestOf returns who has opened a stream: nobody, unless the stream was admitted.
func guestOf(ctx context.Context) guest {
	g, _ := ctx.Value(guestKey{}).(guest)
	return g
}

// A duty is what a stream of a role takes: any of some roles.
type duty struct {
	words string // for what
	any   []dist.Roles
}

var duties = map[Role]duty{
	Worker:   {"as a worker", []dist.Roles{dist.Work}},
	Driver:   {"as a driver", []dist.Roles{dist.Submit, dist.Admin}},
	Client:   {"as a client", []dist.Roles{dist.Submit, dist.Admin}},
	peerRole: {"as a worker of its group", []dist.Roles{dist.Work}},
}

// identify returns who opens a stream, if it may.
func (e *endpoint) identify(ctx context.Context, info *tap.Info) (guest, error) {
	l, ok := lineOf(ctx)
	if !ok {
		return guest{}, refuse("a stranger: it has no connection")
	}
	role := Role(strings.TrimPrefix(info.FullMethodName, "/"+service+"/"))
	switch {
	case e.secure():
		return e.certified(ctx, info, role)
	case e.listener.name != "":
		return neighbour(l, e.trust.Insecure)
	case e.guard == nil: // --insecure
		return guest{who: dist.Principal{Roles: dist.AllRoles}}, nil
	}
	reply, err := e.checkAccount(l, role, info.Header)
	return guest{dist.Principal{Name: account.Name(), Roles: dist.AllRoles, Account: true}, reply}, err
}

// neighbour returns who is at the other side of a unix socket: this account, or root.
func neighbour(l *line, insecure bool) (guest, error) {
	_, uid, ok := ownerOf(l.Conn)
	self := os.Geteuid()
	switch {
	case !ok: // only this account passes the directory
		uid = self
	case insecure && uid != self && uid != 0:
		return guest{who: dist.Principal{Roles: dist.AllRoles}}, nil
	case uid != self && uid != 0:
		return guest{}, refuse("the connection: it is of the account %s, and this socket is for %s\n"+
			"hint: between accounts it takes certificates (gespann certs) and a TCP port", account.NameOf(uid), account.NameOf(self))
	}
	return guest{who: dist.Principal{Name: account.NameOf(uid), Roles: dist.AllRoles, Account: true}}, nil
}

// certified returns whose certificate was shown.
func (e *endpoint) certified(ctx context.Context, info *tap.Info, role Role) (guest, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return guest{}, refuse("a stranger: it shows no certificate")
	}
	shown, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(shown.State.VerifiedChains) == 0 {
		return guest{}, refuse("a stranger: it shows no certificate")
	}
	who, shared, err := certs.PrincipalOf(shown.State.PeerCertificates[0])
	if err != nil {
		return guest{}, refuse("the certificate: %v", err)
	}
	// Who is named by the CA has nothing to add; of a certificate that all share, the
	// token says that it has not come from elsewhere.
	if want := e.trust.Certs.Token; shared && want != "" &&
		subtle.ConstantTimeCompare([]byte(one(info.Header, keyToken)), []byte(want)) != 1 {
		return guest{}, refuse("the join token\nhint: use the same folder of certificates everywhere")
	}
	if d, known := duties[role]; known && !d.met(who.Roles) {
		return guest{}, refuse("%s %s: want the role %s, and its certificate has %s\nhint: gespann certs --for %s --role %s makes one",
			who, d.words, d.any[0], who.Roles, who, d.any[0])
	}
	return guest{who: who}, nil
}

// met reports whether some roles are enough.
func (d duty) met(has dist.Roles) bool {
	for _, r := range d.any {
		if has.Has(r) {
			return true
		}
	}
	return false
}

// Coordinates returns an error when nobody who dials would believe that a coordinator with
// that trust is one.
func (t Trust) Coordinates() error {
	if t.Certs == nil {
		return nil
	}
	who, _, err := certs.PrincipalOf(t.Certs.Node.Leaf)
	if err == nil && !who.Roles.Has(dist.Coordinate) {
		err = fmt.Errorf("%w: the certificate is %s's, with the role %s, want coordinate\n"+
			"hint: gespann certs --for NAME --role coordinate makes one", ErrRefused, who, who.Roles)
	}
	return err
}
