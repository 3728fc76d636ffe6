package account

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// keyOf returns a key made of one byte.
func keyOf(b byte) *Key {
	k := new(Key)
	for i := range k.secret {
		k.secret[i] = b
	}
	return k
}

var here = Channel{"Worker", netip.MustParseAddrPort("127.0.0.1:40000"), netip.MustParseAddrPort("127.0.0.1:7077")}

// TestCheck shows a guard claims that are good, and such as another account could send.
func TestCheck(t *testing.T) {
	opened := time.Now()
	now := opened.Add(time.Minute)
	key := keyOf(1)
	elsewhere := func(change func(*Channel)) Channel {
		c := here
		change(&c)
		return c
	}
	at := func(c Channel, age time.Duration) string { return key.claimAt(c, now.Add(-age)).String() }
	for _, c := range []struct {
		name, claim string
		want        error // nil: any, unless ok
		ok          bool
	}{
		{"good", at(here, time.Second), nil, true},
		{"as old as may be", at(here, 29*time.Second), nil, true},
		{"a clock that is ahead", at(here, -29*time.Second), nil, true},
		{"none", "", ErrNone, false},
		{"of another key", keyOf(2).claimAt(here, now).String(), ErrForged, false},
		{"of no key", keyOf(0).claimAt(here, now).String(), ErrForged, false},
		{"for another role", at(elsewhere(func(c *Channel) { c.Role = "Client" }), 0), ErrForged, false},
		{"for another port", at(elsewhere(func(c *Channel) { c.Server = netip.MustParseAddrPort("127.0.0.1:7078") }), 0), ErrForged, false},
		{"for that port of another address", at(elsewhere(func(c *Channel) { c.Server = netip.MustParseAddrPort("[::1]:7077") }), 0), ErrForged, false},
		{"passed on", at(elsewhere(func(c *Channel) { c.Client = netip.MustParseAddrPort("127.0.0.1:40001") }), 0), ErrForged, false},
		{"a reply", "1." + strings.Repeat("0", 32) + "." + key.Reply(here, Claim{at: 1}), ErrForged, false},
		{"old", at(here, 31*time.Second), ErrExpired, false},
		{"from the future", at(here, -31*time.Second), ErrExpired, false},
		{"with another time", "1" + at(here, 0), nil, false},
		{"noise", "x.y.z", nil, false},
		{"long", strings.Repeat("1", 1000), nil, false},
	} {
		g := newGuard(key, func() time.Time { return opened })
		g.now = func() time.Time { return now }
		reply, err := g.Check(here, c.claim)
		switch {
		case c.ok && err != nil, !c.ok && err == nil, c.want != nil && !errors.Is(err, c.want):
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		case !c.ok && reply != "":
			t.Errorf("%s: got the reply %q to what was refused", c.name, reply)
		}
		if !c.ok {
			continue
		}
		claim, err := Parse(c.claim)
		if err != nil || !key.Replied(here, claim, reply) {
			t.Errorf("%s: the reply %q (%v) is not taken", c.name, reply, err)
		}
		if keyOf(2).Replied(here, claim, reply) || key.Replied(here, key.Claim(here), reply) || key.Replied(here, claim, "") {
			t.Errorf("%s: the reply is taken by who did not ask", c.name)
		}
		if _, err := g.Check(here, c.claim); !errors.Is(err, ErrReplayed) {
			t.Errorf("%s: for the second time: got %v, want %v", c.name, err, ErrReplayed)
		}
	}
}

// TestBeforeOpening checks that a guard takes no claim that was made before its port was
// opened, to whoever listened there then, and that a clock which is set does not matter.
func TestBeforeOpening(t *testing.T) {
	key := keyOf(1)
	opened := time.Now()
	g := newGuard(key, func() time.Time { return opened })
	g.now = func() time.Time { return opened.Add(5 * time.Second) }
	if _, err := g.Check(here, key.claimAt(here, opened.Add(-time.Millisecond)).String()); !errors.Is(err, ErrExpired) {
		t.Errorf("a claim from before: got %v, want %v", err, ErrExpired)
	}
	if _, err := g.Check(here, key.claimAt(here, opened.Add(time.Millisecond)).String()); err != nil {
		t.Errorf("a claim from after: %v", err)
	}
}

// TestManyClaims checks that what a guard remembers is bounded.
func TestManyClaims(t *testing.T) {
	key := keyOf(1)
	opened := time.Now()
	now := opened.Add(time.Minute)
	g := newGuard(key, func() time.Time { return opened })
	g.now = func() time.Time { return now }
	for i := range maxSeen {
		c := Claim{at: now.UnixNano()}
		c.nonce[0], c.nonce[1], c.nonce[2] = byte(i), byte(i>>8), byte(i>>16)
		g.seen[c.nonce] = c.at
	}
	if _, err := g.Check(here, key.claimAt(here, now).String()); !errors.Is(err, ErrTooMany) {
		t.Errorf("got %v, want %v", err, ErrTooMany)
	}
	now = now.Add(31 * time.Second)
	if _, err := g.Check(here, key.claimAt(here, now).String()); err != nil {
		t.Errorf("half a minute later: %v", err)
	}
	if n := len(g.seen); n != 1 {
		t.Errorf("%d claims are remembered, want 1", n)
	}
}

// FuzzParse checks that what is read is what would be written.
func FuzzParse(f *testing.F) {
	f.Add(keyOf(1).Claim(here).String())
	f.Add("")
	f.Add("0." + strings.Repeat("0", 32) + "." + strings.Repeat("f", 64))
	f.Add("-1..")
	f.Add("007." + strings.Repeat("A", 32) + "." + strings.Repeat("f", 64))
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse(text)
		if err != nil {
			return
		}
		if got := c.String(); got != text {
			t.Errorf("Parse(%q) is %q", text, got)
		}
		if _, err := NewGuard(keyOf(1)).Check(here, text); err == nil {
			t.Errorf("%q is taken", text)
		}
	})
}
