package rpc

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"google.golang.org/grpc/metadata"

	"github.com/gespann/gespann/dist/rpc/account"
)

const hintAccount = "\nhint: between accounts, through tunnels and from containers it takes certificates (gespann certs)," +
	" or --insecure on both sides"

// proves reports whether the sides of a TCP connection prove that they are of one account.
func (t Trust) proves() bool { return t.Certs == nil && !t.Insecure }

// key returns what they prove to have.
func (t Trust) key() (*account.Key, error) {
	if t.Key != nil {
		return t.Key, nil
	}
	k, err := account.Own()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return k, nil
}

// guard returns what checks those who dial an address that is opened after this; nil:
// nothing does.
func (t Trust) guard(address string) (*account.Guard, error) {
	network, _, err := split(address)
	if err != nil || network == "unix" || !t.proves() {
		return nil, err
	}
	k, err := t.key()
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", address, err)
	}
	return account.NewGuard(k), nil
}

// An ownership is what who dials proves, and wants to have proved, on a connection.
type ownership struct {
	key  *account.Key
	ends account.Channel // without a role
}

// owns returns what there is to prove on a connection; nil: nothing. The other side of a unix
// socket must be of this account, root, or reached by root.
func (t Trust) owns(c net.Conn, who string) (*ownership, error) {
	if _, uid, ok := ownerOf(c); ok && !t.Insecure {
		if self := os.Geteuid(); uid != self && uid != 0 && self != 0 {
			return nil, fmt.Errorf("%s: %w: it is a process of %s, and this one of %s", who, ErrRefused,
				account.NameOf(uid), account.Name())
		}
	}
	if !t.proves() {
		return nil, nil
	}
	ends, ok := channelOf(c.LocalAddr(), c.RemoteAddr())
	if !ok {
		return nil, nil // a unix socket
	}
	k, err := t.key()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", who, err)
	}
	return &ownership{k, ends}, nil
}

// channelOf returns a TCP connection's ends as both sides see them.
func channelOf(client, server net.Addr) (account.Channel, bool) {
	c, okC := client.(*net.TCPAddr)
	s, okS := server.(*net.TCPAddr)
	if !okC || !okS {
		return account.Channel{}, false
	}
	plain := func(a *net.TCPAddr) netip.AddrPort {
		at := a.AddrPort()
		return netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port())
	}
	return account.Channel{Client: plain(c), Server: plain(s)}, true
}

// claim adds a claim to the metadata of a stream. What it returns checks the reply, before
// anything else is sent.
func (o *ownership) claim(role Role, md metadata.MD) (proved func(header metadata.MD) error) {
	if o == nil {
		return func(metadata.MD) error { return nil }
	}
	ends := o.ends
	ends.Role = string(role)
	claim := o.key.Claim(ends)
	md.Set(keyAccount, claim.String())
	return func(header metadata.MD) error {
		switch reply := one(header, keyAccount); {
		case reply == "":
			return fmt.Errorf("%w: it does not prove that it is of this account, %s\n"+
				"hint: was it started with --insecure? Then this side needs that, too", ErrRefused, account.Name())
		case !o.key.Replied(ends, claim, reply):
			return fmt.Errorf("%w: its proof that it is of this account, %s, is wrong%s", ErrRefused, account.Name(), hintAccount)
		}
		return nil
	}
}

// checkAccount returns the reply to the claim of whoever has dialled.
func (e *endpoint) checkAccount(l *line, role Role, md metadata.MD) (reply string, err error) {
	ends, ok := channelOf(l.Conn.RemoteAddr(), l.Conn.LocalAddr())
	if !ok {
		return "", errors.New("rpc: invariant: a guard is at a TCP port")
	}
	ends.Role = string(role)
	reply, err = e.guard.Check(ends, one(md, keyAccount))
	if errors.Is(err, account.ErrNone) {
		return "", refuse("the connection: it does not prove that it is of the account %s, for which this port is%s",
			account.Name(), hintAccount)
	}
	if errors.Is(err, account.ErrForged) {
		return "", refuse("the connection: its proof that it is of the account %s, for which this port is, is wrong: "+
			"the key is another, or the connection is passed on%s\n"+
			"hint: processes of one account find the same key when they see the same home folder", account.Name(), hintAccount)
	}
	if err != nil {
		return "", full("the proof of the account: %v; try again later", err) // with a new one
	}
	return reply, nil
}

// ProvesAccount reports whether who dials an address with that trust knows that the other
// side is of its own account, as that has proved it: on TCP without certificates.
func (t Trust) ProvesAccount(address string) bool {
	network, _, err := split(address)
	return err == nil && network == "tcp" && t.proves()
}
