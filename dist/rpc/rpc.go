// Package rpc carries frames and bytes over gRPC, and is the only one that knows
// it. It has no generated code: its service has bidirectional streams of raw
// messages, for which it brings a codec.
//
//	Serve  a coordinator's side: a dist.Conn for every stream that comes
//	Dial   the other side of that
//	Peers  links between workers
//
// Unix sockets and loopback need no set-up, and are for one account: the kernel says whose
// process is at the other side of a socket, and on loopback both sides prove that they have
// the account's key (see package account). Elsewhere both sides show certificates of one CA,
// which say who they are and what they may do (see package certs), unless the caller insists
// on none of it.
//
// Everything that a stranger can send is bounded before memory is taken: how many
// connections and streams there are, headers, messages, what waits unread, and how
// long one may stay silent.
package rpc

import (
	"errors"
	"io"
	"os"
	"time"

	"google.golang.org/grpc/grpclog"
	"google.golang.org/grpc/keepalive"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/rpc/account"
	"github.com/gespann/gespann/dist/rpc/certs"
	"github.com/gespann/gespann/dist/wire"
)

// A Role is what a process is to the coordinator that it dials.
type Role string

// The roles.
const (
	Worker Role = "Worker"
	Driver Role = "Driver"
	Client Role = "Client"
)

const peerRole Role = "Peer" // between workers

// Trust says whom a process trusts.
type Trust struct {
	// Certs, if not nil, are used with every TCP address: both sides show
	// certificates, which say what they may do.
	Certs *certs.Certs
	// Insecure has a process without Certs trust whoever it meets, and lets it listen and
	// dial off loopback: whoever reaches the port can use it, and read and change what
	// passes.
	Insecure bool
	// Key is what both sides prove to have on loopback, when there is neither of the
	// above; nil: that of this process's account.
	Key *account.Key
}

var (
	// ErrRefused is dist.ErrRefused.
	ErrRefused = dist.ErrRefused
	// ErrClosed says that this side has closed the connection.
	ErrClosed = errors.New("connection is closed")
)

// Sizes of a transfer. 256 KiB at a time let sender and receiver work at the same
// time; smaller ones cost more calls, larger ones more waiting.
const (
	chunk  = 256 << 10
	inline = 16 << 10 // what goes with a message travels in one piece with it up to here
	// maxMessage is the largest gRPC message.
	maxMessage = wire.HeadSize + wire.MaxMessage + inline
)

// How long what may take.
const (
	handshakeTime = 5 * time.Second // to connect, and to open a stream
	// closeTime is how long Close waits for the other side, linkTime the same for
	// links, whose group is broken then, and deadTime how long gRPC may still read
	// memory after its connection was closed.
	closeTime = 500 * time.Millisecond
	linkTime  = 100 * time.Millisecond
	deadTime  = 50 * time.Millisecond
	// memoryTime is how long a frame waits for memory, and stallTime how long nothing
	// may come in the middle of one.
	memoryTime = 30 * time.Second
	stallTime  = 10 * time.Second
)

// limits bound what a port gives to whoever comes.
type limits struct {
	conns     int           // of members, at a time
	strangers places        // of connections without a stream that was admitted
	guests    places        // of those that have shaken hands: gRPC has memory for them
	stranger  time.Duration // until a connection has a stream
	memory    int64         // that a member's connection takes, at most, besides frames
	streams   uint32        // of a connection
	window    int32         // bytes of a stream that wait unread
	buffer    int           // of a connection, for reading and for writing
	handshake time.Duration // TLS and the preface of HTTP/2
	first     time.Duration // until a stream has its first frame
	idle      time.Duration // a connection without streams
	linger    time.Duration // a connection whose stream has ended: the last frames leave
}

// places are of connections that somebody else's may take.
type places struct {
	most  int
	least time.Duration // that each has, however many come
}

var (
	strangerPlaces = places{1024, 250 * time.Millisecond}
	guestPlaces    = places{256, 250 * time.Millisecond}
)

// coordinatorLimits have room for as many workers as a coordinator takes, 1,024, and for those
// who drive and ask.
var coordinatorLimits = limits{conns: 1536, strangers: strangerPlaces, guests: guestPlaces, stranger: 10 * time.Second,
	memory: connMemory, streams: 1, window: 1 << 20, buffer: 128 << 10,
	handshake: handshakeTime, first: 10 * time.Second, idle: 10 * time.Second,
	linger: 5 * time.Second}

const maxHeaders = 16 << 10

// connMemory is what gRPC takes for a connection to a coordinator: what waits unread, a
// message that is on its way, and buffers.
const connMemory = 1<<20 + maxMessage + 2*128<<10

// Both sides see within seconds that a link is cut: the one that serves asks
// after two seconds of silence; the one that dials has the kernel give up on bytes
// that are not acknowledged, and ask an idle connection.
var (
	serverPings = keepalive.ServerParameters{Time: 2 * time.Second, Timeout: 3 * time.Second}
	giveUp      = 4 * time.Second
	clientPings = keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 3 * time.Second, PermitWithoutStream: true}
	pingsOK     = keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}
)

func init() {
	// gRPC prints what strangers do wrong. Errors that matter come back to callers.
	if os.Getenv("GRPC_GO_LOG_SEVERITY_LEVEL") == "" {
		grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
	}
}

// Metadata of a stream.
const (
	keyProtocol = "gespann-protocol"
	keyToken    = "gespann-token"
	keyJob      = "gespann-job"
	keyGen      = "gespann-generation"
	keyFrom     = "gespann-from"
	keyTo       = "gespann-to"
	keyLane     = "gespann-lane"
	keyAccount  = "gespann-account" // a claim, and the reply to it
	keyMember   = "gespann-member"  // who dials a link knows the group's secret
)
