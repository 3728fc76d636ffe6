// Package dist has the words that the rooms below it share: connections, whatever
// carries them.
//
//	coord       decides: a state machine without clock or socket
//	server      a coordinator: coord with connections, tensors and a disk
//	launch      brings workers to machines
//	worker      trains what it is told
//	strategy    how results of several workers become one model
//	collective  sums of vectors over workers
//	rpc         connections over gRPC; TLS, tokens, limits
//	wire        messages
//	web         the page of a coordinator
//	disttest    connections in one process, with faults
package dist

import (
	"context"
	"time"

	"github.com/gespann/gespann/dist/wire"
)

// A Conn is an ordered, reliable connection that carries frames. Send and Recv
// may be called concurrently with each other, Send also with itself.
type Conn interface {
	// Send returns when the frame's memory may be used again, or with an error when
	// the connection has ended.
	Send(f wire.Frame) error
	// Recv returns the next frame, whose memory is the caller's.
	Recv() (wire.Frame, error)
	// Allow sets how many bytes of tensors and data a frame from the other side may
	// carry. Until then, none. Larger ones end the connection.
	Allow(bytes int64)
	// Close ends the connection; Send and Recv return. Closing twice is harmless.
	Close() error
	// Remote names the other side, for messages.
	Remote() string
}

// A Hearing is a Conn that knows when bytes last came from the other side, also
// while a long frame is on its way, as the Elapsed of clock.System. Who waits for a
// sign of life asks it.
type Hearing interface{ Heard() time.Duration }

// A Link is an ordered, reliable connection between two workers that carries
// bytes without structure: both sides know what comes.
type Link interface {
	// Send sends b, which must not change until the other side is known to have
	// received it, or the link is closed. It may return before that.
	Send(b []byte) error
	// Recv fills b.
	Recv(b []byte) error
	// Close ends the link; Send and Recv return. Closing twice is harmless.
	Close() error
}

// A Copier is a Link that knows whether Send copies b to where the other side reads
// it: nothing is lent, and Send does not wait while at most CopierRoom is unread.
type Copier interface{ Copies() bool }

// CopierRoom is the bytes that a Copier takes while the other side does not receive.
const CopierRoom = 1 << 20

// Peers connects workers that form a group.
type Peers interface {
	// Addresses returns where other workers reach this one, best first.
	Addresses() []string
	// Dial opens a link to a member of a generation of the group.
	Dial(ctx context.Context, gen Generation, to wire.Member) (Link, error)
	// Accept waits for the link that another member dials.
	Accept(ctx context.Context, gen Generation, from string) (Link, error)
}

// A Generation names a group of workers that form for a job, and the one that
// asks.
type Generation struct {
	Job  string
	Gen  int
	Self string // ID of this worker
	// Secret is what members know, and nobody else but the coordinator.
	Secret string
}
