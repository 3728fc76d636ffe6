package rpc

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/rpc/account"
	"github.com/gespann/gespann/dist/rpc/certs"
	"github.com/gespann/gespann/dist/wire"
)

// issuer makes certificates of one CA: shared ones, and such for principals.
type issuer struct{ ca string }

func newIssuer(t *testing.T) issuer {
	t.Helper()
	i := issuer{filepath.Join(t.TempDir(), "ca")}
	if err := certs.Make(i.ca, nil); err != nil {
		t.Fatal(err)
	}
	return i
}

func (i issuer) shared(t *testing.T) Trust {
	t.Helper()
	c, err := certs.Load(i.ca)
	if err != nil {
		t.Fatal(err)
	}
	return Trust{Certs: c}
}

func (i issuer) forOne(t *testing.T, name string, roles dist.Roles) Trust {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := certs.MakeFor(i.ca, dir, name, roles, nil); err != nil {
		t.Fatal(err)
	}
	c, err := certs.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return Trust{Certs: c}
}

// meets returns a handler of all roles that tells who came.
func meets(who chan<- dist.Principal) Handler {
	f := func(ctx context.Context, c dist.Conn, p dist.Principal) error {
		who <- p
		return echo(ctx, c, p)
	}
	return Handler{Worker: f, Driver: f, Client: f}
}

// TestRoles opens streams of every role with certificates of every role.
func TestRoles(t *testing.T) {
	noLeak(t)
	ca := newIssuer(t)
	who := make(chan dist.Principal, 1)
	address := start(t, Options{Listen: "127.0.0.1:0", Trust: ca.forOne(t, "chief", dist.Coordinate)}, meets(who))
	shared := start(t, Options{Listen: "127.0.0.1:0", Trust: ca.shared(t)}, meets(who))
	everything := ca.shared(t)
	for _, c := range []struct {
		roles                  dist.Roles // 0: the certificate that all share
		worker, driver, client bool
	}{
		{dist.Submit, false, true, true},
		{dist.Admin, false, true, true},
		{dist.Work, true, false, false},
		{dist.Coordinate, false, false, false},
		{dist.Submit | dist.Work, true, true, true},
		{0, true, true, true},
	} {
		trust, name := everything, "Gespann node"
		if c.roles != 0 {
			name = "x-" + strings.ReplaceAll(c.roles.String(), ", ", "-")
			trust = ca.forOne(t, name, c.roles)
		}
		for role, may := range map[Role]bool{Worker: c.worker, Driver: c.driver, Client: c.client} {
			for _, at := range []string{address, shared} {
				conn, err := Dial(t.Context(), at, role, trust)
				if !may {
					if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), name+" as a ") ||
						!strings.Contains(err.Error(), "want the role ") {
						t.Errorf("%s as %s: got %v, want that it is refused, with the role that is missing", name, role, err)
					}
					continue
				}
				if err != nil {
					t.Errorf("%s as %s: %v", name, role, err)
					continue
				}
				want := dist.Principal{Name: name, Roles: c.roles}
				if c.roles == 0 {
					want.Roles = dist.AllRoles
				}
				if got := <-who; got != want {
					t.Errorf("%s as %s: is taken for %+v", name, role, got)
				}
				conn.Close()
			}
		}
	}
}

// TestImpostor dials a coordinator that is none: it has a certificate of the same CA, for
// something else.
func TestImpostor(t *testing.T) {
	noLeak(t)
	ca := newIssuer(t)
	for roles, want := range map[dist.Roles]string{
		dist.Work:                 "its certificate is eve's: got the role work, want coordinate",
		dist.Submit | dist.Admin:  "not made by `gespann certs`", // it may not listen at all
		dist.Work | dist.Submit:   "got the role submit, work, want coordinate",
		dist.Coordinate:           "",
		dist.Work | dist.AllRoles: "",
	} {
		address := start(t, Options{Listen: "127.0.0.1:0", Trust: ca.forOne(t, "eve", roles)}, Handler{Worker: echo})
		conn, err := Dial(t.Context(), address, Worker, ca.shared(t))
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", roles, err)
		case want == "":
			conn.Close()
		case !errors.Is(err, ErrRefused) || roles.Has(dist.Work) && !strings.Contains(err.Error(), want):
			t.Errorf("%s: got %v, want that it is refused with %q", roles, err, want)
		}
	}
}

// TestPeerRoles links workers whose certificates have roles.
func TestPeerRoles(t *testing.T) {
	noLeak(t)
	ca := newIssuer(t)
	for _, c := range []struct {
		name     string
		from, to dist.Roles
		ok       bool
	}{
		{"workers", dist.Work, dist.Work, true},
		{"a client", dist.Submit | dist.Admin, dist.Work, false},
		{"to a coordinator", dist.Work, dist.Coordinate, false},
	} {
		from := newPeers(t, PeerOptions{Listen: "127.0.0.1:0", Trust: ca.forOne(t, "a", c.from)})
		to := newPeers(t, PeerOptions{Listen: "127.0.0.1:0", Trust: ca.forOne(t, "b", c.to)})
		link, err := from.Dial(t.Context(), dist.Generation{Job: "j", Gen: 1, Self: "a"},
			wire.Member{ID: "b", Peer: to.Addresses(), Host: "elsewhere"})
		if (err == nil) != c.ok || !c.ok && !errors.Is(err, ErrRefused) {
			t.Errorf("%s: got %v, want success: %v", c.name, err, c.ok)
		}
		if err == nil {
			link.Close()
		}
	}
}

// keyIn returns the key of an account that has its home in a folder of its own.
func keyIn(t *testing.T) *account.Key {
	t.Helper()
	k, err := account.In(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestAccount dials on loopback as the same account, as another one, and with --insecure on
// either side.
func TestAccount(t *testing.T) {
	noLeak(t)
	mine, theirs := Trust{Key: keyIn(t)}, Trust{Key: keyIn(t)}
	open := Trust{Insecure: true}
	for _, c := range []struct {
		name         string
		server, with Trust
		want         string // "": they trust each other
	}{
		{"one account", mine, mine, ""},
		{"another account", mine, theirs, "its proof that it is of the account "},
		{"insecure here", mine, open, "it does not prove that it is of the account "},
		{"insecure there", open, mine, "it does not prove that it is of this account, "},
		{"insecure on both sides", open, open, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			who, frames := make(chan dist.Principal, 1), make(chan wire.Frame, 1)
			address := start(t, Options{Listen: "127.0.0.1:0", Trust: c.server}, Handler{Client: func(_ context.Context, conn dist.Conn, p dist.Principal) error {
				who <- p
				f, err := conn.Recv()
				if err == nil {
					frames <- f
				}
				return err
			}})
			conn, err := Dial(t.Context(), address, Client, c.with)
			if c.want != "" {
				if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "\nhint: ") ||
					!strings.Contains(err.Error(), "--insecure") {
					t.Errorf("got %v, want %q, and a hint with --insecure", err, c.want)
				}
				select {
				case f := <-frames:
					t.Errorf("it was told %s before it was refused", f.Kind())
				case <-time.After(50 * time.Millisecond):
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			want := dist.Principal{Name: account.Name(), Roles: dist.AllRoles, Account: true}
			if c.server.Insecure {
				want = dist.Principal{Roles: dist.AllRoles}
			}
			if got := <-who; got != want {
				t.Errorf("is taken for %+v, want %+v", got, want)
			}
		})
	}
}

// TestRelay listens where a coordinator is expected, and passes what comes on to it.
func TestRelay(t *testing.T) {
	noLeak(t)
	mine := Trust{Key: keyIn(t)}
	address := start(t, Options{Listen: "127.0.0.1:0", Trust: mine}, Handler{Worker: echo})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	passed := make(chan struct{})
	go func() {
		defer close(passed)
		from, err := l.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", address)
		if err != nil {
			return
		}
		back := make(chan struct{})
		go func() {
			io.Copy(from, to)
			from.Close()
			close(back)
		}()
		io.Copy(to, from)
		to.Close()
		<-back
	}()
	_, err = Dial(t.Context(), l.Addr().String(), Worker, mine)
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "or the connection is passed on") {
		t.Errorf("got %v, want that it is refused", err)
	}
	l.Close()
	<-passed
}

// TestPeersOfAccounts links workers over loopback.
func TestPeersOfAccounts(t *testing.T) {
	noLeak(t)
	mine, theirs := Trust{Key: keyIn(t)}, Trust{Key: keyIn(t)}
	to := newPeers(t, PeerOptions{Listen: "127.0.0.1:0", Trust: mine})
	for name, c := range map[string]struct {
		trust Trust
		ok    bool
	}{"one account": {mine, true}, "another": {theirs, false}, "insecure": {Trust{Insecure: true}, false}} {
		from := newPeers(t, PeerOptions{Listen: "127.0.0.1:0", Trust: c.trust})
		link, err := from.Dial(t.Context(), dist.Generation{Job: "j", Gen: 1, Self: "a"},
			wire.Member{ID: "b", Peer: to.Addresses(), Host: "elsewhere"})
		if (err == nil) != c.ok || !c.ok && !errors.Is(err, ErrRefused) {
			t.Errorf("%s: got %v, want success: %v", name, err, c.ok)
		}
		if err == nil {
			link.Close()
		}
	}
}

// TestNotAMember has a worker that is not in a group pose as one that is, before and after
// that one dials.
func TestNotAMember(t *testing.T) {
	for _, first := range []bool{true, false} {
		func() {
			noLeak(t)
			a, thief, b := newPeers(t, PeerOptions{}), newPeers(t, PeerOptions{}), newPeers(t, PeerOptions{})
			at := wire.Member{ID: "b", Peer: b.Addresses(), Host: b.Host()}
			pose := func() {
				for _, secret := range []string{"", "guess"} {
					l, err := thief.Dial(t.Context(), dist.Generation{Job: "j", Gen: 1, Self: "a", Secret: secret}, at)
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { l.Close() })
					if err := l.Send([]byte("evil")); err != nil {
						t.Fatal(err)
					}
				}
			}
			if first {
				pose()
			}
			l, err := a.Dial(t.Context(), dist.Generation{Job: "j", Gen: 1, Self: "a", Secret: "s"}, at)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if !first {
				pose()
			}
			if err := l.Send([]byte("good")); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 4)
			k, err := b.Accept(t.Context(), dist.Generation{Job: "j", Gen: 1, Self: "b", Secret: "s"}, "a")
			if err != nil {
				t.Fatal(err)
			}
			defer k.Close()
			if err := k.Recv(got); err != nil || string(got) != "good" {
				t.Errorf("first: %v: got %q, %v from the member", first, got, err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if _, err := b.Accept(ctx, dist.Generation{Job: "j", Gen: 1, Self: "b", Secret: "s"}, "a"); err == nil {
				t.Error("the thief's link is taken for the member's")
			}
		}()
	}
}

// TestPrincipalOfSockets checks who is at the other side of a unix socket.
func TestPrincipalOfSockets(t *testing.T) {
	noLeak(t)
	who := make(chan dist.Principal, 1)
	address := start(t, Options{Listen: socket(t)}, meets(who))
	conn, err := Dial(t.Context(), address, Client, Trust{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got, want := <-who, (dist.Principal{Name: account.Name(), Roles: dist.AllRoles, Account: true}); got != want {
		t.Errorf("is taken for %+v, want %+v", got, want)
	}
}
