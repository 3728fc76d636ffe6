// Package account lets processes of one account on one machine know each other, where
// they meet on a port that other accounts reach too.
//
// A key in a file that only the account can read (Own) is what they share. It is never
// sent. Who dials sends a claim, and who serves a reply:
//
//	claim  = time.nonce.HMAC(key, client, role, both ends of the connection, nonce, time)
//	reply  = HMAC(key, server, role, both ends of the connection, nonce, time)
//
// The ends are addresses and ports as both sides see them, so a claim is of one
// connection: a process of another account that listens where a coordinator is expected
// cannot pass it on. A Guard takes a claim once, for half a minute, and none from before it
// was there.
package account

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Key is an account's.
type Key struct {
	// Path is the file that it is from, for messages.
	Path   string
	secret [keySize]byte
}

const (
	keySize   = 32
	nonceSize = 16
	macSize   = sha256.Size
	// maxClaim is longer than any claim: 20 digits, nonce and HMAC in hexadecimal.
	maxClaim = 20 + 1 + 2*nonceSize + 1 + 2*macSize
)

// A Channel is a connection and what it is for.
type Channel struct {
	Role           string
	Client, Server netip.AddrPort // of who dialled and of who listens
}

// fresh is how old a claim may be, and how far ahead a clock.
const fresh = 30 * time.Second

// maxSeen is how many claims a Guard remembers: all of the account's, in a minute.
const maxSeen = 1 << 16

// What is wrong with a claim.
var (
	ErrNone     = errors.New("none")
	ErrForged   = errors.New("it is of another key or another connection")
	ErrExpired  = errors.New("it is too old, or from the future")
	ErrReplayed = errors.New("it has been used before")
	ErrTooMany  = errors.New("too many came within a minute")
)

// A Claim is what who dials says.
type Claim struct {
	at    int64 // Unix nanoseconds
	nonce [nonceSize]byte
	mac   [macSize]byte
}

// Claim returns a new claim for a connection.
func (k *Key) Claim(c Channel) Claim { return k.claimAt(c, time.Now()) }

func (k *Key) claimAt(c Channel, now time.Time) Claim {
	claim := Claim{at: now.UnixNano()}
	rand.Read(claim.nonce[:]) // never fails
	claim.mac = k.mac("client", c, &claim)
	return claim
}

// String is the claim as text: time, nonce and HMAC.
func (c Claim) String() string {
	return fmt.Sprintf("%d.%x.%x", c.at, c.nonce, c.mac)
}

// Parse reads what String has written.
func Parse(text string) (Claim, error) {
	var c Claim
	if text == "" {
		return c, ErrNone
	}
	if len(text) > maxClaim {
		return c, fmt.Errorf("got %d characters, want at most %d", len(text), maxClaim)
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return c, fmt.Errorf("got %d parts, want time, nonce and HMAC", len(parts))
	}
	at, err := strconv.ParseInt(parts[0], 10, 64)
	if err != nil || at < 0 || strconv.FormatInt(at, 10) != parts[0] {
		return c, errors.New("got no time")
	}
	c.at = at
	if !unhex(c.nonce[:], parts[1]) || !unhex(c.mac[:], parts[2]) {
		return c, errors.New("got no nonce and HMAC in hexadecimal")
	}
	return c, nil
}

// unhex fills b from its hexadecimal digits, all of them small.
func unhex(b []byte, digits string) bool {
	if len(digits) != 2*len(b) || strings.ToLower(digits) != digits {
		return false
	}
	_, err := hex.Decode(b, []byte(digits))
	return err == nil
}

// Reply returns what a server with this key answers to a claim.
func (k *Key) Reply(ch Channel, c Claim) string {
	mac := k.mac("server", ch, &c)
	return hex.EncodeToString(mac[:])
}

// Replied reports whether a reply is of a server with this key.
func (k *Key) Replied(ch Channel, c Claim, reply string) bool {
	return hmac.Equal([]byte(k.Reply(ch, c)), []byte(reply))
}

// mac is what a side proves with that it has the key. No part but the role has line feeds,
// and the role is before parts whose number is fixed.
func (k *Key) mac(side string, c Channel, claim *Claim) (sum [macSize]byte) {
	h := hmac.New(sha256.New, k.secret[:])
	fmt.Fprintf(h, "gespann %s 1\n%s\n%s\n%s\n%x\n%d", side, c.Role, c.Client, c.Server, claim.nonce, claim.at)
	h.Sum(sum[:0])
	return sum
}

// A Guard is at a port, and takes the claims of whoever dials. Its methods may be called
// concurrently.
type Guard struct {
	key    *Key
	now    func() time.Time
	opened time.Time // with the monotonic clock

	mu   sync.Mutex
	seen map[[nonceSize]byte]int64 // when a claim was made, Unix nanoseconds
}

// NewGuard returns a guard for a port that is opened after this.
func NewGuard(key *Key) *Guard { return newGuard(key, time.Now) }

func newGuard(key *Key, now func() time.Time) *Guard {
	return &Guard{key: key, now: now, opened: now(), seen: map[[nonceSize]byte]int64{}}
}

// Check returns the reply to the claim of whoever dialled, or one of the errors above.
func (g *Guard) Check(ch Channel, text string) (reply string, err error) {
	c, err := Parse(text)
	if err != nil {
		return "", err
	}
	if want := g.key.mac("client", ch, &c); !hmac.Equal(want[:], c.mac[:]) {
		return "", ErrForged
	}
	now := g.now()
	// The port's age is by the monotonic clock: that of the wall may be set.
	oldest := min(fresh, now.Sub(g.opened))
	if age := now.UnixNano() - c.at; age > int64(oldest) || age < -int64(fresh) {
		return "", ErrExpired
	}
	if err := g.once(c, now); err != nil {
		return "", err
	}
	return g.key.Reply(ch, c), nil
}

// once notes a claim, unless it has come before.
func (g *Guard) once(c Claim, now time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, known := g.seen[c.nonce]; known {
		return ErrReplayed
	}
	if len(g.seen) >= maxSeen {
		for nonce, at := range g.seen {
			if now.UnixNano()-at > int64(fresh) {
				delete(g.seen, nonce)
			}
		}
		if len(g.seen) >= maxSeen {
			return ErrTooMany
		}
	}
	g.seen[c.nonce] = c.at
	return nil
}
