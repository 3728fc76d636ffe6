package checkpoint

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/gespann/gespann/backend/ir"
)

// sample returns a state with every kind of value and name.
func sample() *State {
	return &State{
		Tensors: []Tensor{
			{"dense.kernel", []int{2, 3}, []float32{1, -2, 3.5, float32(math.Inf(1)), math.SmallestNonzeroFloat32, 0}},
			{"dense.bias", []int{3}, []float32{0.1, 0.2, 0.3}},
			{"step", []int{}, []float32{7}},
			{"größe \"q\"\n", []int{1, 1}, []float32{-1}},
		},
		Meta: map[string]string{"spec": "data: {source: digits}\n", "step": "900", "": "empty <key> & ü"},
	}
}

func encoded(t *testing.T, s *State) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.safetensors")
	if err := Write(path, s); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(b)) != s.size() {
		t.Errorf("size() = %d, file has %d bytes", s.size(), len(b))
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	for name, s := range map[string]*State{
		"sample": sample(),
		"empty":  {Meta: map[string]string{}},
		"large":  {Meta: map[string]string{}, Tensors: []Tensor{{"w", []int{chunk + 1}, make([]float32, chunk+1)}}},
	} {
		got, err := Decode(encoded(t, s))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !reflect.DeepEqual(got, s) {
			t.Errorf("%s: got %v, want %v", name, got, s)
		}
	}
}

// TestNaNBits checks that values travel as bits.
func TestNaNBits(t *testing.T) {
	const bits = 0x7fc12345
	s := &State{Tensors: []Tensor{{"w", []int{1}, []float32{math.Float32frombits(bits)}}}}
	got, err := Decode(encoded(t, s))
	if err != nil {
		t.Fatal(err)
	}
	if b := math.Float32bits(got.Tensors[0].Data[0]); b != bits {
		t.Errorf("got bits %#x, want %#x", b, bits)
	}
}

// TestTruncated cuts a file at every byte.
func TestTruncated(t *testing.T) {
	b := encoded(t, sample())
	for n := range b {
		if _, err := Decode(b[:n:n]); err == nil {
			t.Fatalf("no error with %d of %d bytes", n, len(b))
		} else if !strings.HasPrefix(err.Error(), "truncated: ") {
			t.Fatalf("with %d of %d bytes: %v, want truncated: ...", n, len(b), err)
		}
	}
	if _, err := Decode(append(b, 0)); err == nil {
		t.Error("no error with one byte too many")
	}
}

// TestFlippedBits flips every bit of a file.
func TestFlippedBits(t *testing.T) {
	b := encoded(t, sample())
	for i := range 8 * len(b) {
		b[i/8] ^= 1 << (i % 8)
		if _, err := Decode(b); err == nil {
			t.Fatalf("no error with bit %d of byte %d flipped", i%8, i/8)
		}
		b[i/8] ^= 1 << (i % 8)
	}
	if _, err := Decode(b); err != nil {
		t.Errorf("the file that was flipped back: %v", err)
	}
}

func TestHostileHeaders(t *testing.T) {
	for name, c := range map[string]struct{ tensors, want string }{
		"duplicate":   {`,"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}`, `two entries named "a"`},
		"metadata":    {`,"__metadata__":{}`, `two entries named "__metadata__"`},
		"dtype":       {`,"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}`, `dtype "F16", want F32`},
		"overlap":     {`,"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}`, `want 4 bytes from 4`},
		"gap":         {`,"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}`, `want 4 bytes from 0`},
		"backwards":   {`,"a":{"dtype":"F32","shape":[1],"data_offsets":[0,-4]}`, `want 4 bytes from 0`},
		"shape":       {`,"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}`, `want 8 bytes from 0`},
		"negative":    {`,"a":{"dtype":"F32","shape":[-1,-1],"data_offsets":[0,4]}`, `impossible shape [-1 -1]`},
		"overflow":    {`,"a":{"dtype":"F32","shape":[2147483647,2147483647,4],"data_offsets":[0,4]}`, `impossible shape`},
		"no shape":    {`,"a":{"dtype":"F32","data_offsets":[0,4]}`, `no shape`},
		"huge":        {`,"a":{"dtype":"F32","shape":[1073741824],"data_offsets":[0,4294967296]}`, `truncated: header says`},
		"unknown key": {`,"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}`, `unknown field "x"`},
		"not object":  {`,"a":3`, `cannot unmarshal number`},
		"nonsense":    {`,"a"`, `header:`},
		"unused rest": {``, `header says`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Decode(sealed(c.tensors, make([]byte, 8)))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want ... %s ...", err, c.want)
			}
		})
	}
}

func TestHeaderLength(t *testing.T) {
	b := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, '{', '}'}
	if _, err := Decode(b); err == nil || !strings.Contains(err.Error(), "header length") {
		t.Errorf("got %v, want header length ...", err)
	}
}

func TestValues(t *testing.T) {
	s := &State{Tensors: []Tensor{
		{"b", []int{2}, []float32{1, 2}},
		{"a", []int{1}, []float32{3}},
	}}
	vars := []ir.Var{
		{Name: "a", Shape: []int{1}},
		{Name: "b", Shape: []int{2}},
		{Name: "optimizer.m.a", Shape: []int{1}, Role: ir.OptState},
	}
	if _, err := s.Values(vars); !errors.Is(err, ErrOtherModel) {
		t.Errorf("without the optimizer's variables: got %v, want %v", err, ErrOtherModel)
	}
	s.Tensors = append(s.Tensors, Tensor{"optimizer.v.b", []int{2}, []float32{5, 6}})
	got, err := s.Weights(vars) // of a model with another optimizer
	s.Tensors = s.Tensors[:2]
	if want := [][]float32{{3}, {1, 2}, {0}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for want, vars := range map[string][]ir.Var{
		"variable b has shape [2], the model wants [2 1]":        {{Name: "a", Shape: []int{1}}, {Name: "b", Shape: []int{2, 1}}},
		"no variable c, the model wants it with shape [5]":       {{Name: "a", Shape: []int{1}}, {Name: "c", Shape: []int{5}}},
		"variable b with shape [2] is not in the model":          {{Name: "a", Shape: []int{1}}},
		"from another model: variable a has shape [1], the mode": {{Name: "a", Shape: []int{4}}},
	} {
		if _, err := s.Values(vars); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want ... %s ...", err, want)
		}
	}
}
