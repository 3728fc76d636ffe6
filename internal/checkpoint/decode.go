package checkpoint

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
)

// ErrForeign is what does not even begin as a safetensors file.
var ErrForeign = errors.New("not a safetensors file, or damaged")

// Decode reads an encoded state. It allocates no more than a small multiple of
// len(b), whatever the header claims.
func Decode(b []byte) (*State, error) {
	if len(b) < 8 {
		return nil, fmt.Errorf("truncated: %d bytes, a header length has 8: %w", len(b), ErrForeign)
	}
	n := binary.LittleEndian.Uint64(b)
	if n > maxHeader {
		return nil, fmt.Errorf("header length %d, want at most %d: %w", n, maxHeader, ErrForeign)
	}
	if n > uint64(len(b)-8) {
		return nil, fmt.Errorf("truncated: header needs %d bytes, file has %d", 8+n, len(b))
	}
	header, body := b[8:8+n], b[8+n:]
	entries, meta, err := parseHeader(header)
	if err != nil {
		return nil, cmp.Or(verifySum(b, header), err)
	}
	size, err := layout(entries)
	if err != nil {
		return nil, err
	}
	if whole := 8 + int64(n) + size; whole > int64(len(b)) {
		return nil, fmt.Errorf("truncated: header says %d bytes, file has %d", whole, len(b))
	} else if whole < int64(len(b)) {
		return nil, fmt.Errorf("header says %d bytes, file has %d", whole, len(b))
	}
	if err := verifySum(b, header); err != nil {
		return nil, err
	}
	delete(meta, sumKey)
	s := &State{Meta: meta}
	for _, e := range entries {
		s.Tensors = append(s.Tensors, Tensor{e.name, e.Shape, floats(body[e.Offsets[0]:e.Offsets[1]])})
	}
	return s, nil
}

// floats decodes little-endian float32.
func floats(b []byte) []float32 {
	v := make([]float32, len(b)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return v
}

// verifySum compares the checksum in the header with that of the file, computed
// as if the checksum were all zeros.
func verifySum(b, header []byte) error {
	at := len(sumPrefix)
	if len(header) < at+sumSize || string(header[:at]) != sumPrefix {
		return errors.New("no checksum at the start of the header: not written by gespann, or damaged")
	}
	want := string(header[at : at+sumSize])
	hash := sha256.New()
	hash.Write(b[:8+at])
	hash.Write([]byte(noSum))
	hash.Write(b[8+at+sumSize:])
	if got := hex.EncodeToString(hash.Sum(nil)); got != want {
		return fmt.Errorf("damaged: checksum is %s, the header says %s", short(got), short(want))
	}
	return nil
}

// short returns the first digits of a checksum, for messages.
func short(sum string) string { return fmt.Sprintf("%.12q...", sum) }

// An entry describes one tensor in the header.
type entry struct {
	name    string
	Dtype   string   `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// parseHeader returns the tensors, in the header's order, and the metadata.
func parseHeader(header []byte) (entries []entry, meta map[string]string, err error) {
	meta = map[string]string{}
	seen := map[string]bool{}
	err = eachKey(header, func(name string, value json.RawMessage) error {
		if seen[name] {
			return fmt.Errorf("two entries named %q", name)
		}
		seen[name] = true
		if name == metaKey {
			return eachKey(value, func(key string, text json.RawMessage) error {
				if _, twice := meta[key]; twice {
					return fmt.Errorf("metadata: two values for %q", key)
				}
				var s *string
				if err := json.Unmarshal(text, &s); err != nil || s == nil {
					return fmt.Errorf("metadata %q: got %.20s, want a string", key, text)
				}
				meta[key] = *s
				return nil
			})
		}
		e := entry{name: name}
		dec := json.NewDecoder(bytes.NewReader(value))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&e); err != nil {
			return fmt.Errorf("tensor %q: %s", name, jsonText(err))
		}
		entries = append(entries, e)
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("header: %w", err)
	}
	return entries, meta, nil
}

// eachKey calls f with the members of a JSON object, in order.
func eachKey(object []byte, f func(key string, value json.RawMessage) error) error {
	dec := json.NewDecoder(bytes.NewReader(object))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return errors.New("not a JSON object")
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return errors.New(jsonText(err))
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return errors.New(jsonText(err))
		}
		if err := f(key.(string), value); err != nil { // keys of an object are strings
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return errors.New("the JSON object does not end")
	}
	if rest := bytes.TrimRight(object[dec.InputOffset():], " \n\t\r"); len(rest) > 0 {
		return fmt.Errorf("%d bytes after the JSON object", len(rest))
	}
	return nil
}

// jsonText returns err without the package's prefix.
func jsonText(err error) string { return strings.TrimPrefix(err.Error(), "json: ") }

// layout checks that the entries fill the body without gap or overlap, and
// returns its size.
func layout(entries []entry) (size int64, err error) {
	for _, e := range entries {
		if e.Dtype != "F32" {
			return 0, fmt.Errorf("tensor %q: dtype %q, want F32", e.name, e.Dtype)
		}
		if e.Shape == nil {
			return 0, fmt.Errorf("tensor %q has no shape", e.name)
		}
		bytes := int64(4)
		for _, d := range e.Shape {
			if d < 0 || d > 0 && bytes > math.MaxInt64/8/int64(d) {
				return 0, fmt.Errorf("tensor %q: impossible shape %v", e.name, e.Shape)
			}
			bytes *= int64(d)
		}
		if e.Offsets[0] != size || e.Offsets[1] < size || e.Offsets[1]-size != bytes {
			return 0, fmt.Errorf("tensor %q: shape %v at bytes %v, want %d bytes from %d",
				e.name, e.Shape, e.Offsets, bytes, size)
		}
		if size += bytes; size < 0 || size > math.MaxInt64/4 {
			return 0, fmt.Errorf("tensor %q: impossible offset %d", e.name, size)
		}
	}
	return size, nil
}
