package main

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/gespann/gespann/backend/cpu"
)

// digests are those of the weights that example configs end with, by the kernels of the
// processor; those in assembly use the same fused multiply-adds in the same order.
var digests = []struct {
	config, epochs    string
	assembly, generic string
}{
	{"digits-mlp", "2", "3e861e1d8a40a055", "6b460532c2ae77e4"},
	{"digits-resnet", "1", "c2fdd3f12aa8a746", "204608225bc97524"},
}

// TestDigests trains example configs on one thread and on three, and compares the bits of
// the weights with those of earlier versions. A change that moves them says why.
func TestDigests(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("other processors round otherwise: their compilers fuse multiply and add")
	}
	for _, c := range digests {
		want := c.assembly
		if cpu.Kernels() == "generic" {
			want = c.generic
		}
		for _, threads := range []string{"1", "3"} {
			folder := t.TempDir()
			must(t, "train", "../../configs/"+c.config+".yaml", "--set", "train.dir="+folder,
				"--set", "train.epochs="+c.epochs, "--backend", "cpu", "--threads", threads)
			if got := digestOf(t, filepath.Join(folder, c.config, "model.safetensors")); got != want {
				t.Errorf("%s, %s kernels, %s threads: got weights %s, want %s", c.config, cpu.Kernels(), threads, got, want)
			}
		}
	}
}

// digestOf is the digest of the tensors of a safetensors file, without its header.
func digestOf(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b[8+binary.LittleEndian.Uint64(b):])
	return fmt.Sprintf("%x", sum[:8])
}
