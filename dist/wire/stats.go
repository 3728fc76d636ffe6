package wire

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/gespann/gespann/backend"
)

// Stats are backend.Stats in a form that JSON keeps to the bit.
type Stats struct {
	Rows    int64               `json:"rows"`
	Loss    Number              `json:"loss"`
	Metrics map[string][]Number `json:"metrics,omitempty"`
}

// FromStats returns a copy of s.
func FromStats(s backend.Stats) Stats {
	out := Stats{Rows: s.Rows, Loss: Number(s.Loss)}
	for name, sums := range s.Metrics {
		if out.Metrics == nil {
			out.Metrics = map[string][]Number{}
		}
		for _, v := range sums {
			out.Metrics[name] = append(out.Metrics[name], Number(v))
		}
	}
	return out
}

// Stats returns a copy of s.
func (s Stats) Stats() backend.Stats {
	out := backend.Stats{Rows: s.Rows, Loss: float64(s.Loss), Metrics: map[string][]float64{}}
	for name, sums := range s.Metrics {
		for _, v := range sums {
			out.Metrics[name] = append(out.Metrics[name], float64(v))
		}
	}
	return out
}

// A Number is a float64 that JSON keeps to the bit, NaN and infinities included.
type Number float64

// MarshalText returns the shortest decimal that parses to n.
func (n Number) MarshalText() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(n), 'g', -1, 64), nil
}

// UnmarshalText parses what MarshalText returns.
func (n *Number) UnmarshalText(text []byte) error {
	v, err := strconv.ParseFloat(string(text), 64)
	*n = Number(v)
	return err
}

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
