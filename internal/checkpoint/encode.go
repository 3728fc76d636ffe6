package checkpoint

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/gespann/gespann/backend/ir"
)

const (
	metaKey = "__metadata__"
	sumKey  = "sha256"
	// sumPrefix starts every header, so that the checksum has a fixed place.
	sumPrefix = `{"` + metaKey + `":{"` + sumKey + `":"`
	sumSize   = 2 * sha256.Size // in hexadecimal digits
	// maxHeader is the limit of the safetensors format.
	maxHeader = 100_000_000
	// align is what the header is padded to, so that tensors can be mapped.
	align = 8
	// chunk is the number of values encoded at a time.
	chunk = 1 << 13
)

// noSum stands for the checksum while it is computed.
var noSum = strings.Repeat("0", sumSize)

// encode writes s to w and returns the number of bytes.
func (s *State) encode(w io.Writer) (int64, error) {
	hash := sha256.New()
	if _, err := s.write(hash, noSum); err != nil {
		return 0, err
	}
	return s.write(w, hex.EncodeToString(hash.Sum(nil)))
}

// size returns the number of bytes of the encoded state.
func (s *State) size() int64 {
	n, err := s.write(io.Discard, noSum)
	if err != nil {
		return 0
	}
	return n
}

// write writes s with the given checksum.
func (s *State) write(w io.Writer, sum string) (int64, error) {
	header, err := s.header(sum)
	if err != nil {
		return 0, err
	}
	out := bufio.NewWriter(w)
	binary.Write(out, binary.LittleEndian, uint64(len(header))) // errors stick in out
	out.Write(header)
	n := int64(8 + len(header))
	buf := make([]byte, 0, 4*chunk)
	for _, t := range s.Tensors {
		for part := range slices.Chunk(t.Data, chunk) {
			buf = buf[:0]
			for _, v := range part {
				buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(v))
			}
			out.Write(buf)
		}
		n += 4 * int64(len(t.Data))
	}
	return n, out.Flush()
}

// header returns the JSON header, padded with spaces.
func (s *State) header(sum string) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(sumPrefix + sum + `"`)
	for _, key := range slices.Sorted(maps.Keys(s.Meta)) {
		if key == sumKey {
			return nil, fmt.Errorf("metadata key %q is reserved", key)
		}
		fmt.Fprintf(&b, ",%s:%s", quote(key), quote(s.Meta[key]))
	}
	b.WriteString("}")
	seen := map[string]bool{metaKey: true}
	offset := int64(0)
	for _, t := range s.Tensors {
		if seen[t.Name] {
			return nil, fmt.Errorf("two tensors named %q", t.Name)
		}
		seen[t.Name] = true
		if n := ir.Size(t.Shape); n != len(t.Data) {
			return nil, fmt.Errorf("tensor %s: shape %v wants %d values, got %d", t.Name, t.Shape, n, len(t.Data))
		}
		end := offset + 4*int64(len(t.Data))
		shape, _ := json.Marshal(append([]int{}, t.Shape...)) // [] and not null for a scalar
		fmt.Fprintf(&b, `,%s:{"dtype":"F32","shape":%s,"data_offsets":[%d,%d]}`,
			quote(t.Name), shape, offset, end)
		offset = end
	}
	b.WriteString("}")
	for (8+b.Len())%align != 0 {
		b.WriteByte(' ')
	}
	if b.Len() > maxHeader {
		return nil, fmt.Errorf("header has %d bytes, the format allows %d", b.Len(), maxHeader)
	}
	return b.Bytes(), nil
}

// quote returns s as a JSON string.
func quote(s string) []byte {
	b, _ := json.Marshal(s) // strings never fail
	return b
}
