package server

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/wire"
)

// TestCrowd has someone who only submits take as many connections and drive as many jobs
// as there may be of one: others still get in.
func TestCrowd(t *testing.T) {
	s := start(t, Options{})
	as := func(who dist.Principal) func(context.Context, dist.Conn, dist.Principal) error {
		return func(ctx context.Context, c dist.Conn, _ dist.Principal) error { return s.Driver(ctx, c, who) }
	}
	alice := dist.Principal{Name: "alice", Roles: dist.Submit}
	for i := range maxOfOne {
		p := party{t, dial(t, "driver", as(alice))}
		p.say(&wire.Attach{Protocol: wire.Protocol, Job: testJob(fmt.Sprint("alice-", i), "sync")})
		hear[*wire.Queued](p)
	}
	p := party{t, dial(t, "driver", as(alice))}
	if m, _ := hear[*wire.Dismiss](p); !strings.Contains(m.Reason, "alice has 32 connections") {
		t.Errorf("got %s", m.Reason)
	}
	for _, who := range []dist.Principal{{Name: "bob", Roles: dist.Submit}, {Name: "root", Roles: dist.Admin | dist.Submit}} {
		p := party{t, dial(t, "driver", as(who))}
		p.say(&wire.Attach{Protocol: wire.Protocol, Job: testJob("of-"+who.Name, "sync")})
		hear[*wire.Queued](p)
	}
}
