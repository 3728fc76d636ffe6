package wire

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/internal/exact"
)

// Stats and Number are numbers that JSON keeps to the bit.
type (
	Stats  = exact.Stats
	Number = exact.Number
)

// FromStats returns a copy of s.
func FromStats(s backend.Stats) Stats { return exact.From(s) }

// Floats are float32 in JSON: base64 of their little-endian bytes.
type Floats []float32

// MarshalText returns the base64.
func (f Floats) MarshalText() ([]byte, error) {
	raw := make([]byte, 0, 4*len(f))
	for _, v := range f {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	return base64.StdEncoding.AppendEncode(nil, raw), nil
}

// UnmarshalText parses what MarshalText returns.
func (f *Floats) UnmarshalText(text []byte) error {
	raw, err := base64.StdEncoding.AppendDecode(nil, text)
	if err != nil {
		return err
	}
	if len(raw)%4 != 0 {
		return fmt.Errorf("got %d bytes of float32", len(raw))
	}
	*f = make(Floats, len(raw)/4)
	for i := range *f {
		(*f)[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return nil
}

// NotFinite is backend.NotFiniteError as a message.
type NotFinite struct {
	Step  int64  `json:"step"`
	Loss  Number `json:"loss"`
	Layer string `json:"layer"`
	Value string `json:"value"`
}

// FromNotFinite returns the message for err, or nil when it is another error.
func FromNotFinite(err error) *NotFinite {
	var e *backend.NotFiniteError
	if !errors.As(err, &e) {
		return nil
	}
	return &NotFinite{Step: e.Step, Loss: Number(e.Loss), Layer: e.Layer, Value: e.Value}
}

// Err returns the error that the message was made of.
func (n *NotFinite) Err() error {
	return &backend.NotFiniteError{Step: n.Step, Loss: float32(n.Loss), Layer: n.Layer, Value: n.Value}
}
