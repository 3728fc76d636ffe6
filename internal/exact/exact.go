// Package exact has numbers, and statistics of training, in a form that JSON keeps to the
// bit: for checkpoints and for messages between machines.
package exact

import (
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

// From returns a copy of s.
func From(s backend.Stats) Stats {
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

// Finite reports whether n is neither NaN nor infinite.
func (n Number) Finite() bool { return !math.IsNaN(float64(n)) && !math.IsInf(float64(n), 0) }
