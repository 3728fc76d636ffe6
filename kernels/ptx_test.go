package kernels_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gespann/gespann/kernels"
)

// TestFresh checks that the PTX was made from the sources beside it.
func TestFresh(t *testing.T) {
	sources, err := filepath.Glob("*.cu")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, s := range sources {
		want = append(want, strings.TrimSuffix(s, ".cu"))
	}
	var got []string
	all, err := kernels.Modules()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		got = append(got, m.Name)
		hash, err := kernels.SourceHash(os.DirFS("."), m.Name+".cu")
		if err != nil {
			t.Fatal(err)
		}
		if kernels.HashIn(m.Text) != hash {
			t.Errorf("ptx/%s.ptx was made from other sources: run `make kernels`, which needs nvcc", m.Name)
		}
		if !strings.HasPrefix(m.Text, kernels.Header(m.Name, hash)) {
			t.Errorf("ptx/%s.ptx has another header", m.Name)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("there are modules %v, want one for each source: %v", got, want)
	}
}

// TestSourceHash checks that the hash sees a file that is included by another
// that is.
func TestSourceHash(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hash := func() string {
		h, err := kernels.SourceHash(os.DirFS(dir), "a.cu")
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	write("a.cu", "#include \"b.cuh\"\n")
	write("b.cuh", "#include \"c.cuh\"\n#include \"b.cuh\"\n")
	write("c.cuh", "one")
	before := hash()
	write("c.cuh", "two")
	if hash() == before {
		t.Error("the hash is the same after a change of an included file")
	}
	if err := os.Remove(filepath.Join(dir, "c.cuh")); err != nil {
		t.Fatal(err)
	}
	if _, err := kernels.SourceHash(os.DirFS(dir), "a.cu"); err == nil {
		t.Error("got a hash without an included file")
	}
}

// TestFind checks that the emulator and the PTX have the same kernels.
func TestFind(t *testing.T) {
	d := start(t)
	defer d.Close()
	names, err := d.Kernels()
	if err != nil {
		t.Fatal(err)
	}
	all, err := kernels.Modules()
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, m := range all {
		count += len(m.Kernels)
	}
	if len(names) != count {
		t.Errorf("the emulator has %d kernels, the PTX %d", len(names), count)
	}
	for _, name := range names {
		m, err := kernels.Find(name)
		if err != nil {
			t.Error(err)
		}
		tensor := strings.Contains(name, "tf32") || strings.Contains(name, "bf16")
		if want := map[bool]int{false: 75, true: 80}[tensor]; m.SM != want {
			t.Errorf("%s is for sm_%d, want sm_%d", name, m.SM, want)
		}
	}
	if _, err := kernels.Find("nothing"); err == nil {
		t.Error("found a kernel that is not there")
	}
}
