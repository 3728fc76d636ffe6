// Package collective sums float32 vectors over the workers of a group, each of
// which then has the sum.
//
//	Ring      for speed: pieces of the vector travel around a ring
//	Nested    for workers that share machines: within each, between them, and back; cost.go
//	          says what takes less time, and Connect takes that
//	Tree      for equal bits whatever the number of workers: the order of the
//	          additions is that of a tree over the shards of a step
//	Bucketed  one of these two that sums the front of a vector while its end is computed
//
// What is sent by whom in which round is data (schedule.go), apart from its
// execution. On the links travel elements only, little-endian, without a frame:
// all members make the same calls with vectors of the same lengths.
//
// Memory and links: a link may read what was sent until the other side has
// received it. A member begins a sum only when it has received all of the one before.
// So once a sum is complete, for which all others must have begun it, all that was
// sent in earlier sums has been received. Sums of long vectors therefore send the
// vector's own memory and end with a short sum, whose own memory is used in turn.
package collective

import (
	"errors"
	"fmt"
)

// ErrClosed is returned by sums of a group that was closed.
var ErrClosed = errors.New("collective: group is closed")

// A PeerError says that a group cannot go on because of a member.
type PeerError struct {
	Peer string // ID
	Err  error
}

// Error names the member.
func (e *PeerError) Error() string { return fmt.Sprintf("collective: worker %s: %v", e.Peer, e.Err) }

// Unwrap returns what went wrong with the link.
func (e *PeerError) Unwrap() error { return e.Err }

// Options are equal for all members of a group, except Loops.
type Options struct {
	// BF16 sends elements of sums that need not be exact as bfloat16. Partial sums are
	// then rounded whenever they are sent, and so is the result.
	BF16  bool
	Loops Loops
}

// Traffic is the bytes of elements that a member has sent and received.
type Traffic struct{ Sent, Received int64 }
