package data

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"math/bits"
	"unsafe"
)

// PieceBytes is how long the pieces of a set are at most.
const PieceBytes = 1 << 20

// A set as bytes is its Prep in JSON, and then for each part and of that for
// features and targets: center, scale, shift, elements. Numbers are
// little-endian.

// Pieces yields the set as bytes, in pieces of at most PieceBytes. They are the
// set's own memory: not to be changed, nor the set while they are in use.
func (s *Set) Pieces() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		blocks := append([]block{{s.prepText(), 1}}, s.blocks()...)
		for _, b := range blocks {
			for len(b.bytes) > 0 {
				n := min(PieceBytes, len(b.bytes))
				if !yield(b.little(n)) {
					return
				}
				b.bytes = b.bytes[n:]
			}
		}
	}
}

// Digest returns a SHA-256, in hexadecimal, of all that a model and its training
// see of the set: shapes, normalisation, elements, classes, and whether features
// are ids. It is the same on every machine, and other for other data.
func (s *Set) Digest() string {
	h := sha256.New()
	ids := 0
	if s.Prep.Ints {
		ids = 1
	}
	head := appendInts([]byte("gespann data 2 "+s.Prep.Target+"\n"), s.Classes, ids)
	for i := range s.Parts {
		p := &s.Parts[i]
		head = appendInts(head, p.Rows)
		for _, t := range []*Table{&p.X, &p.Y} {
			if t.Len() > 0 { // no elements have no type
				head = append(head, t.layout().Type...)
			}
			head = appendInts(append(head, 0), t.Len(), len(t.Center), len(t.Scale), len(t.Shift), len(t.Shape))
			head = appendInts(head, t.Shape...)
		}
	}
	h.Write(head)
	for _, b := range s.blocks() {
		for len(b.bytes) > 0 {
			n := min(PieceBytes, len(b.bytes))
			h.Write(b.little(n))
			b.bytes = b.bytes[n:]
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

func appendInts(b []byte, values ...int) []byte {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	return b
}

// prepText returns the Prep in JSON.
func (s *Set) prepText() []byte {
	text, err := json.Marshal(&s.Prep)
	if err != nil {
		panic(fmt.Sprintf("data: invariant: prep: %v", err)) // text and finite numbers only
	}
	return text
}

// A block is the memory of numbers of one size.
type block struct {
	bytes []byte
	size  int // of a number, in bytes
}

// blocks returns the memory of all tables, in order.
func (s *Set) blocks() []block {
	var all []block
	for i := range s.Parts {
		for _, t := range []*Table{&s.Parts[i].X, &s.Parts[i].Y} {
			all = append(all, bytesOf(t.Center), bytesOf(t.Scale), bytesOf(t.Shift),
				bytesOf(t.U8), bytesOf(t.F32), bytesOf(t.I32))
		}
	}
	return all
}

// bytesOf returns the memory of v.
func bytesOf[T byte | int32 | float32](v []T) block {
	size := int(unsafe.Sizeof(*new(T)))
	return block{unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), size*len(v)), size}
}

// bigEndian says how this machine has its numbers.
var bigEndian = binary.NativeEndian.Uint16([]byte{0, 1}) == 1

// little returns the first n bytes, little-endian: the memory itself where
// numbers are so.
func (b block) little(n int) []byte {
	if !bigEndian {
		return b.bytes[:n]
	}
	out := append([]byte(nil), b.bytes[:n]...)
	reverse(block{out, b.size})
	return out
}

// reverse reverses the bytes of every number.
func reverse(b block) {
	if b.size != 4 {
		return
	}
	for v := b.bytes; len(v) >= 4; v = v[4:] {
		binary.LittleEndian.PutUint32(v, bits.ReverseBytes32(binary.LittleEndian.Uint32(v)))
	}
}
