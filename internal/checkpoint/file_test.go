package checkpoint

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sealed returns a file with the given text after the metadata of its header, and
// a checksum that is right.
func sealed(tensors string, body []byte) []byte {
	build := func(sum string) []byte {
		header := sumPrefix + sum + `"}` + tensors + "}"
		b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
		return append(append(b, header...), body...)
	}
	sum := sha256.Sum256(build(noSum))
	return build(hex.EncodeToString(sum[:]))
}

func TestWriteReplaces(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.safetensors")
	for _, step := range []string{"1", "2"} {
		if err := Write(path, &State{Meta: map[string]string{"step": step}}); err != nil {
			t.Fatal(err)
		}
		s, err := Read(path)
		if err != nil || s.Meta["step"] != step {
			t.Fatalf("got %v, %v, want step %s", s, err, step)
		}
	}
	onlyFile(t, dir, "a.safetensors")
}

// TestWriteFails checks that a failed write keeps the old file and no other.
func TestWriteFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.safetensors")
	if err := Write(path, sample()); err != nil {
		t.Fatal(err)
	}
	bad := &State{Tensors: []Tensor{{"w", []int{3}, []float32{1, 2}}}}
	err := Write(path, bad)
	if want := "checkpoint " + path + ": tensor w: shape [3] wants 3 values, got 2"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err := Read(path); err != nil {
		t.Errorf("the old file: %v", err)
	}
	onlyFile(t, dir, "a.safetensors")
}

func TestReadErrors(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.safetensors")
	_, err := Read(path)
	if want := "checkpoint " + path + ": no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if err := os.WriteFile(path, encoded(t, sample())[:300], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path); err == nil || !strings.HasPrefix(err.Error(), "checkpoint "+path+": truncated: ") {
		t.Errorf("got %v, want truncated", err)
	}
}

func TestNoFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file", "a.safetensors")
	if err := os.WriteFile(filepath.Dir(path), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	err := Write(path, sample())
	if want := "checkpoint " + path + ": not a directory"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func onlyFile(t *testing.T, dir, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != name {
		t.Errorf("got files %v, want only %s", entries, name)
	}
}

// FuzzDecode checks that hostile files give an error and never a panic, and that
// what decodes encodes to the same state. Half of the inputs get a checksum that
// is right, so that the checks behind it are reached.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`,"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}`), true)
	f.Add([]byte(`,"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}`), true)
	f.Add(sealed(``, nil), false)
	f.Fuzz(func(t *testing.T, b []byte, seal bool) {
		if seal {
			b = sealed(string(b), make([]byte, 8))
		}
		s, err := Decode(b)
		if err != nil {
			return
		}
		total := 0
		for _, tensor := range s.Tensors {
			total += 4 * len(tensor.Data)
		}
		if total > len(b) {
			t.Fatalf("%d bytes of tensors from %d", total, len(b))
		}
		again, err := Decode(encoded(t, s))
		if err != nil || len(again.Tensors) != len(s.Tensors) || len(again.Meta) != len(s.Meta) {
			t.Fatalf("got %v, %v, want %v", again, err, s)
		}
	})
}
