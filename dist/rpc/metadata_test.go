package rpc

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/tap"

	"github.com/gespann/gespann/dist/rpc/account"
	"github.com/gespann/gespann/dist/wire"
)

// between is a connection of which only the ends are of interest.
type between struct {
	net.Conn
	local, remote net.Addr
}

func (b between) LocalAddr() net.Addr  { return b.local }
func (b between) RemoteAddr() net.Addr { return b.remote }

// FuzzMetadata has strangers say what they like about themselves: a port that wants proofs
// lets none of them in, and a link names what can be named or none.
func FuzzMetadata(f *testing.F) {
	key, err := account.In(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	at := func(text string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(text)) }
	l := newLine(between{local: at("127.0.0.1:7077"), remote: at("127.0.0.1:40000")}, "127.0.0.1:40000")
	e := &endpoint{listener: &listener{}, guard: account.NewGuard(key)}
	ctx := peer.NewContext(context.Background(), &peer.Peer{Addr: l.RemoteAddr()})
	other := account.Channel{Role: "Worker", Client: netip.MustParseAddrPort("127.0.0.1:1"), Server: netip.MustParseAddrPort("127.0.0.1:7077")}
	f.Add("3", key.Claim(other).String(), "j", "1", "a", "b", "c", "/gespann.v1/Worker")
	f.Add("", "", "", "", "", "", "", "")
	f.Add("3", "1..", "j", "-1", "a", "b", "c", "/gespann.v1/")
	f.Fuzz(func(t *testing.T, protocol, claim, job, gen, from, to, member, method string) {
		md := metadata.Pairs(keyProtocol, protocol, keyAccount, claim, keyJob, job, keyGen, gen, keyFrom, from, keyTo, to, keyMember, member)
		_ = check(md) // the next line is for those who pass, too
		if g, err := e.identify(ctx, &tap.Info{FullMethodName: method, Header: md}); err == nil {
			t.Errorf("%q was let in as %+v", claim, g)
		}
		key, err := keyOf(metadata.NewIncomingContext(context.Background(), md))
		if err == nil && (key.from == "" || key.to == "" || len(key.job+key.from+key.to)+len(key.member) > 4*wire.MaxName) {
			t.Errorf("a link is %+v", key)
		}
	})
}
