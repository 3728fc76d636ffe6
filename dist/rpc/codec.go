package rpc

import (
	"fmt"

	"google.golang.org/grpc/mem"
)

// codec hands the bytes of a gRPC message to gRPC and back, without a format of
// its own.
type codec struct{}

// An outgoing is a message to send: memory that gRPC frees when it has left.
type outgoing struct{ data mem.BufferSlice }

// An incoming takes a message that has come. The memory is gRPC's, and valid
// during the call.
type incoming interface {
	take(data mem.BufferSlice) error
}

func (codec) Name() string { return "gespann" }

func (codec) Marshal(v any) (mem.BufferSlice, error) { return v.(*outgoing).data, nil }

func (codec) Unmarshal(data mem.BufferSlice, v any) error { return v.(incoming).take(data) }

// A whole is a message of its own.
type whole []byte

func (w *whole) take(data mem.BufferSlice) error {
	*w = data.Materialize()
	return nil
}

// A part takes the next piece of a long transfer.
type part struct{ rest []byte }

func (p *part) take(data mem.BufferSlice) error {
	n := data.Len()
	if n == 0 || n > len(p.rest) {
		return fmt.Errorf("got a piece of %d bytes, want 1 to %d", n, len(p.rest))
	}
	data.CopyTo(p.rest)
	p.rest = p.rest[n:]
	return nil
}
