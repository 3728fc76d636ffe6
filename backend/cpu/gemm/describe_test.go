package gemm

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gespann/gespann/backend/cpu/pool"
	"github.com/gespann/gespann/backend/ir"
)

var update = flag.Bool("update", false, "rewrite the golden file")

// sized is a path of these sizes, which plans but cannot run.
func sized(name string, lanes int, panels ...[2]int) *path {
	of := func(p [2]int) panel { return panel{width: p[1], tall: make(kernels, p[0]+1)} }
	p := &path{name: name, panel: of(panels[0]), packs: true, eachWidth: lanes, block: lanes, lanes: lanes,
		lift: transforms{lanes: lanes}}
	for _, narrow := range panels[1:] {
		p.narrow = append(p.narrow, of(narrow))
	}
	return p
}

// geometries are the sizes of all paths, on any machine.
func geometries() []*path {
	return []*path{
		sized("avx512", 16, [2]int{14, 32}, [2]int{14, 8}, [2]int{14, 16}),
		sized("avx2", 8, [2]int{6, 16}, [2]int{12, 8}),
		generic(),
	}
}

// TestGeometries checks that what TestDescribe plans for is what this machine runs.
func TestGeometries(t *testing.T) {
	shape := func(p *path) string {
		text := fmt.Sprint(p.name, p.packs, p.eachWidth, p.block, p.lanes, p.lift.lanes, len(p.each))
		for _, x := range append([]panel{p.panel}, p.narrow...) {
			text += fmt.Sprintf(" %dx%d", len(x.tall)-1, x.width)
		}
		return text
	}
	for _, p := range paths() {
		found := false
		for _, g := range geometries() {
			if g.name == p.name {
				found = true
				g.each = p.each
				if got, want := shape(g), shape(p); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			}
		}
		if !found {
			t.Errorf("no geometry of %s", p.name)
		}
	}
}

// described are products and convolutions of every way.
func described(p *pool.Pool, path *path) string {
	var b strings.Builder
	for _, x := range []struct {
		m, n, k int
		ta, tb  bool
	}{
		{128, 512, 784, false, false}, {128, 784, 512, false, true}, {784, 512, 128, true, false},
		{1, 512, 512, false, false}, {128, 10, 512, false, false}, {3, 40, 5, true, true},
		{8, 4096, 4096, false, false}, {256, 1024, 1024, false, false}, {32, 64, 50000, true, false},
	} {
		fmt.Fprintf(&b, "matmul      %s\n", newMatMul(p, path, x.m, x.n, x.k, x.ta, x.tb).Describe())
	}
	win := func(k, s, d, pad int) ir.Window {
		return ir.Window{KH: k, KW: k, SH: s, SW: s, DH: d, DW: d, PT: pad, PL: pad, PB: pad, PR: pad}
	}
	for _, x := range []struct {
		name  string
		shape ConvShape
	}{
		{"pointwise", ConvShape{B: 32, H: 14, W: 14, C: 64, O: 128, Win: win(1, 1, 1, 0)}},
		{"first", ConvShape{B: 128, H: 28, W: 28, C: 1, O: 32, Win: win(3, 1, 1, 0)}},
		{"3x3", ConvShape{B: 128, H: 26, W: 26, C: 32, O: 64, Win: win(3, 1, 1, 1)}},
		{"strides", ConvShape{B: 16, H: 32, W: 32, C: 16, O: 40, Win: win(3, 2, 1, 1)}},
		{"small", ConvShape{B: 64, H: 4, W: 4, C: 64, O: 64, Win: win(5, 1, 1, 2)}},
		{"dilated", ConvShape{B: 2, H: 20, W: 20, C: 8, O: 12, Win: win(3, 1, 2, 2)}},
		{"grouped", ConvShape{B: 2, H: 20, W: 20, C: 8, O: 12, Groups: 2, Win: win(3, 1, 1, 1)}},
		{"each", ConvShape{B: 8, H: 20, W: 20, C: 48, O: 48, Groups: 48, Win: win(3, 1, 1, 1)}},
	} {
		c := newConv2D(p, path, x.shape)
		fmt.Fprintf(&b, "%-9s y  %s\n%-9s dx %s\n%-9s dw %s\n", x.name, c.DescribeForward(),
			x.name, c.DescribeGradInput(), x.name, c.DescribeGradWeight())
	}
	return b.String()
}

// TestDescribe compares descriptions with a text, the same on every machine.
func TestDescribe(t *testing.T) {
	p := pool.New(2)
	t.Cleanup(p.Close)
	var got strings.Builder
	for _, g := range geometries() {
		fmt.Fprintf(&got, "%s\n%s\n", g.name, described(p, g))
	}
	file := filepath.Join("testdata", "describe.txt")
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("%s (go test -update rewrites it): got\n%s\nwant\n%s", file, &got, want)
	}
}
