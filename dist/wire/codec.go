package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"unsafe"
)

// A frame as bytes, numbers little-endian:
//
//	offset  bytes
//	0       1      version of this form
//	1       1      what goes with the message: nothing, floats or bytes
//	2       2      kind of the message: its row in kinds
//	4       4      n, length of the message, at most MaxMessage
//	8       8      m, length of what goes with it
//	16      n      the message, a JSON object
//	16+n    m      float32, or bytes
const (
	// HeadSize is where the message begins.
	HeadSize = 16
	// MaxMessage is how long a message may be in JSON. In memory it is at most
	// some fifty times as large.
	MaxMessage = 1 << 20

	version = 1
)

// What goes with a message.
const (
	nothing = iota
	floats
	raw
)

// A Head is the beginning of a frame: all but what goes with the message.
type Head struct {
	Message Message
	Size    int64 // bytes of what goes with it
	payload byte
}

// AppendHead appends the beginning of f, up to what goes with its message.
func AppendHead(dst []byte, f Frame) ([]byte, error) {
	if f.Message == nil {
		return dst, errors.New("frame without a message")
	}
	kind, ok := numbers[f.Kind()]
	if !ok {
		return dst, fmt.Errorf("message %q: no such kind", f.Kind())
	}
	text, err := json.Marshal(f.Message)
	if err != nil {
		return dst, fmt.Errorf("message %q: %w", f.Kind(), err)
	}
	if len(text) > MaxMessage {
		return dst, fmt.Errorf("message %q: got %d bytes, want at most %d", f.Kind(), len(text), MaxMessage)
	}
	payload := byte(nothing)
	switch {
	case f.Floats != nil && f.Bytes != nil:
		return dst, fmt.Errorf("message %q: got floats and bytes, want one of them", f.Kind())
	case f.Floats != nil:
		payload = floats
	case f.Bytes != nil:
		payload = raw
	}
	dst = append(dst, version, payload)
	dst = binary.LittleEndian.AppendUint16(dst, kind)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(text)))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(len(f.Payload())))
	return append(dst, text...), nil
}

// ParseHead parses what AppendHead appends, and returns the rest of b. The message
// is one that from may send, and valid (see Validate), and at most limit bytes go
// with it. All that is checked before memory is taken for it.
func ParseHead(b []byte, from Source, limit int64) (h Head, rest []byte, err error) {
	if len(b) < HeadSize {
		return h, nil, fmt.Errorf("frame: got %d bytes, want at least %d", len(b), HeadSize)
	}
	if b[0] != version {
		return h, nil, fmt.Errorf("frame: got version %d, want %d", b[0], version)
	}
	kind := binary.LittleEndian.Uint16(b[2:])
	if int(kind) >= len(kinds) {
		return h, nil, fmt.Errorf("frame: got kind %d, want less than %d", kind, len(kinds))
	}
	h.Message, h.payload = kinds[kind].empty(), b[1]
	if kinds[kind].from&from == 0 {
		return h, nil, fmt.Errorf("message %q: not one that this side may send", h.Message.Kind())
	}
	length, size := binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint64(b[8:])
	if length > MaxMessage || int(length) > len(b)-HeadSize {
		return h, nil, fmt.Errorf("message %q: got %d bytes, want at most %d", h.Message.Kind(),
			length, min(MaxMessage, len(b)-HeadSize))
	}
	if h.Size, err = payloadSize(h.payload, size, limit); err != nil {
		return h, nil, fmt.Errorf("message %q: %w", h.Message.Kind(), err)
	}
	text, rest := b[HeadSize:HeadSize+length], b[HeadSize+length:]
	if err := strict(text, h.Message); err != nil {
		return h, nil, fmt.Errorf("message %q: %w", h.Message.Kind(), err)
	}
	return h, rest, nil
}

// ErrTooLarge says that more goes with a message than the receiver allows.
var ErrTooLarge = errors.New("frame is larger than allowed")

// payloadSize checks the size of what goes with a message.
func payloadSize(payload byte, size uint64, limit int64) (int64, error) {
	limit = min(limit, math.MaxInt)
	switch {
	case payload > raw:
		return 0, fmt.Errorf("got payload %d, want at most %d", payload, raw)
	case payload == nothing && size != 0:
		return 0, fmt.Errorf("got %d bytes of nothing", size)
	case payload == floats && size%4 != 0:
		return 0, fmt.Errorf("got %d bytes of float32", size)
	case size > 0 && (limit < 0 || size > uint64(limit)):
		return 0, fmt.Errorf("%w: got %d bytes of tensors or data, want at most %d", ErrTooLarge, size, limit)
	}
	return int64(size), nil
}

// strict decodes one JSON object without unknown fields, and validates it.
func strict(text []byte, m Message) error {
	if len(text) == 0 || text[0] != '{' {
		return errors.New("got no JSON object")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(m); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("got more than one JSON object")
	}
	return Validate(m)
}

// Frame returns a frame for what goes with the message, and the frame's memory
// for it, of Size bytes, zero: fill it in.
func (h Head) Frame() (f Frame, memory []byte) {
	f.Message = h.Message
	switch h.payload {
	case floats:
		f.Floats = floatsOf(int(h.Size / 4))
	case raw:
		f.Bytes = make([]byte, h.Size)
	}
	return f, f.Payload()
}

// Payload returns the memory of what goes with the message, as it travels.
func (f Frame) Payload() []byte {
	if f.Floats != nil {
		return AsBytes(f.Floats)
	}
	return f.Bytes
}

// AsBytes returns the memory of f, which is how floats travel: little-endian.
func AsBytes(f []float32) []byte {
	if bigEndian {
		panic("wire: invariant: a little-endian machine")
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(f))), 4*len(f))
}

// bigEndian says how this machine has its numbers. None with a backend that
// matters has them so.
var bigEndian = binary.NativeEndian.Uint16([]byte{0, 1}) == 1

// Encode returns f as bytes.
func Encode(f Frame) ([]byte, error) {
	b, err := AppendHead(nil, f)
	if err != nil {
		return nil, err
	}
	return append(b, f.Payload()...), nil
}

// Decode parses what Encode returns, as ParseHead does. The frame has its own
// memory.
func Decode(b []byte, from Source, limit int64) (Frame, error) {
	h, rest, err := ParseHead(b, from, limit)
	if err != nil {
		return Frame{}, err
	}
	if int64(len(rest)) != h.Size {
		return Frame{}, fmt.Errorf("message %q: got %d bytes with it, want %d", h.Message.Kind(), len(rest), h.Size)
	}
	f, memory := h.Frame()
	copy(memory, rest)
	return f, nil
}
