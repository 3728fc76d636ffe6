package data

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// streamed is a set with tables of all types, one of them longer than a piece.
func streamed() *Set {
	r := rand.New(rand.NewPCG(1, 2))
	s := &Set{Classes: 10, Source: "somewhere", Prep: Prep{
		Source: "csv", Shape: []int{3, 2}, Target: Classes, Classes: 10, Labels: slices.Repeat([]string{"é"}, 10),
		From: []float64{0, 1.0 / 3, -1e300, 1700000001, 5e-324, 6}, Width: []float64{1, 0.1, 2, 3, 4, 5e-324},
	}}
	x := Table{
		Shape: []int{3, 2}, Center: []float32{0, 7, 255, 1, 2, 3},
		Scale: []float32{1, 2, 3, 4, 5, float32(math.Inf(1))}, Shift: make([]float32, 6),
	}
	for i := range s.Parts {
		s.Parts[i].X, s.Parts[i].Y = x, Table{Shape: []int{}}
	}
	train, test := &s.Parts[Train], &s.Parts[Test]
	const rows = 60000
	train.Rows, train.X.F32, train.Y.U8 = rows, make([]float32, rows*6), make([]byte, rows)
	for i := range train.X.F32 {
		train.X.F32[i] = math.Float32frombits(r.Uint32() & 0xFF7FFFFF) // any but NaN
	}
	for i := range train.Y.U8 {
		train.Y.U8[i] = byte(r.IntN(10))
	}
	test.Rows, test.X.U8, test.Y.I32 = 2, []byte("twelve bytes"), []int32{1, -1 << 31}
	return s
}

// receive sends a set through JSON and a receiver, cut as cut says.
func receive(t testing.TB, s *Set, limit int64, cut func(piece []byte) int) (*Set, error) {
	t.Helper()
	text, err := json.Marshal(s.Layout())
	if err != nil {
		t.Fatal(err)
	}
	var l Layout
	if err := json.Unmarshal(text, &l); err != nil {
		t.Fatal(err)
	}
	r, err := NewReceiver(l, limit)
	if err != nil {
		return nil, err
	}
	for p := range s.Pieces() {
		if len(p) == 0 || len(p) > PieceBytes {
			t.Fatalf("a piece of %d bytes", len(p))
		}
		for len(p) > 0 {
			n := min(cut(p), len(p))
			if m, err := r.Write(p[:n]); err != nil || m != n {
				t.Fatalf("Write of %d bytes = %d, %v", n, m, err)
			}
			p = p[n:]
		}
	}
	return r.Set()
}

func TestStream(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for name, s := range map[string]*Set{"large": streamed(), "empty": {}, "only": streamed().Only(Test)} {
		for how, cut := range map[string]func([]byte) int{
			"whole": func(p []byte) int { return len(p) }, "cut": func([]byte) int { return 1 + r.IntN(9999) },
		} {
			got, err := receive(t, s, 1<<30, cut)
			if err != nil {
				t.Errorf("%s, %s: %v", name, how, err)
				continue
			}
			if !reflect.DeepEqual(got, s) && name == "large" {
				t.Errorf("%s, %s: got another set", name, how)
			}
			if got.Digest() != s.Digest() {
				t.Errorf("%s, %s: got another digest", name, how)
			}
		}
	}
}

// TestPiecesCopy checks that elements are not copied, and not one by one.
func TestPiecesCopy(t *testing.T) {
	s := streamed()
	total, own := 0, 0
	for p := range s.Pieces() {
		total += len(p)
		s.Parts[Train].Y.U8[0] ^= 1
		if len(p) == len(s.Parts[Train].Y.U8) && p[0] == s.Parts[Train].Y.U8[0] {
			own++
		}
	}
	l := s.Layout()
	if want, err := l.Bytes(1 << 30); err != nil || int64(total) != want || own != 1 {
		t.Errorf("got %d bytes with %d tables, want %d with 1 (%v)", total, own, want, err)
	}
	if bigEndian {
		return
	}
	if got := testing.AllocsPerRun(5, func() {
		for range s.Pieces() { //nolint:revive // counts
		}
	}); got > 40 {
		t.Errorf("%v allocations, want those of the prep", got)
	}
}

func TestDigest(t *testing.T) {
	const want = "fdbdc603193b9029394606daad48abf1" // computed by another program
	s := &Set{Classes: 2, Prep: Prep{Target: Classes}}
	s.Parts[Train] = Part{Rows: 2, X: Table{Shape: []int{1}, F32: []float32{1, 2}}, Y: Table{I32: []int32{0, 1}}}
	if got := s.Digest(); !strings.HasPrefix(got, want) {
		t.Errorf("Digest = %s, want %s...: has the form changed?", got, want)
	}
	same, other := streamed(), []func(*Set){
		func(s *Set) { s.Classes++ },
		func(s *Set) { s.Prep.Ints = true },
		func(s *Set) { s.Prep.Target = OneHot },
		func(s *Set) { s.Parts[Train].X.F32[359999] = 0.123 },
		func(s *Set) { s.Parts[Train].X.Shape = []int{2, 3} },
		func(s *Set) { s.Parts[Train].Y.U8[77] ^= 1 },
		func(s *Set) { s.Parts[Test].X.Scale = []float32{1} },
		func(s *Set) { s.Parts[Test].X.Center = nil },
		func(s *Set) { s.Parts[Test].X.Center = []float32{0, 7, 255, 1, 2, 4} },
		func(s *Set) { s.Parts[Test], s.Parts[Validation] = s.Parts[Validation], s.Parts[Test] },
		func(s *Set) { s.Parts[Train].Rows-- },
		func(s *Set) {
			y := &s.Parts[Train].Y
			for _, v := range y.U8 {
				y.I32 = append(y.I32, int32(v))
			}
			y.U8 = nil
		},
	}
	same.Source, same.Prep.Source, same.Prep.Labels = "elsewhere", "npy", nil
	same.Parts[Validation].X.F32 = []float32{} // no rows of any type
	if same.Digest() != streamed().Digest() {
		t.Error("the digest depends on what training does not see")
	}
	for i, change := range other {
		s := streamed()
		if change(s); s.Digest() == streamed().Digest() {
			t.Errorf("change %d is not in the digest", i)
		}
	}
}

func TestReverse(t *testing.T) {
	b := []byte{1, 2, 3, 4, 5, 6, 7, 8}
	reverse(block{b, 1})
	if reverse(block{b, 4}); !bytes.Equal(b, []byte{4, 3, 2, 1, 8, 7, 6, 5}) {
		t.Errorf("got %v", b)
	}
}

func TestReceiverErrors(t *testing.T) {
	table := func(typ string, shape ...int) TableLayout { return TableLayout{Type: typ, Shape: shape} }
	part := func(rows int, x TableLayout) [3]PartLayout { return [3]PartLayout{{}, {Rows: rows, X: x}} }
	for _, c := range []struct {
		layout Layout
		want   string
	}{
		{Layout{Prep: -1}, "-1 bytes of prep"},
		{Layout{Prep: 1 << 20}, "got 1048576 bytes of data, want at most 1000"},
		{Layout{Classes: 1 << 40}, "classes"},
		{Layout{Parts: part(-1, table("u8"))}, "validation rows: got -1"},
		{Layout{Parts: part(1<<33, table("u8"))}, "validation rows: got 8589934592"},
		{Layout{Parts: part(1, table("f64"))}, `validation x: type: got "f64"`},
		{Layout{Parts: part(1, table("u8", 0))}, "want dims"},
		{Layout{Parts: part(1, table("u8", 2, -3))}, "want dims"},
		{Layout{Parts: part(1, table("u8", 1<<31, 1<<31, 1<<31))}, "want at most 2147483647 elements"},
		{Layout{Parts: part(1, table("u8", make([]int, 17)...))}, "got 17 dims, want at most 16"},
		{Layout{Parts: part(math.MaxUint32, table("f32", math.MaxInt32))}, "want fewer"},
		{Layout{Parts: part(math.MaxUint32, table("u8", math.MaxInt32))}, "bytes of data, want at most 1000"},
		{Layout{Parts: part(1001, table("u8"))}, "got 1001 bytes of data"},
		{Layout{Parts: part(1, TableLayout{Type: "u8", Shape: []int{4}, Scale: 3, Shift: 3})}, "want both 0, 1 or 4"},
		{Layout{Parts: part(1, TableLayout{Type: "u8", Shape: []int{4}, Scale: 1})}, "scale and shift of 1 and 0 numbers"},
		{Layout{Parts: part(1, TableLayout{Type: "u8", Shape: []int{4}, Scale: 1, Shift: -1})}, "want both 0, 1 or 4"},
		{Layout{Parts: part(1, TableLayout{Type: "u8", Shape: []int{4}, Center: 1, Scale: 4, Shift: 4})}, "center of 1 numbers, want 0 or 4"},
		{Layout{Parts: part(1, TableLayout{Type: "u8", Shape: []int{4}, Center: -1})}, "center of -1 numbers, want 0 or 0"},
	} {
		if _, err := NewReceiver(c.layout, 1000); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %s", c.layout, err, c.want)
		}
	}
	// Memory is not taken because of a layout alone.
	huge := Layout{Parts: part(1<<31, table("f32", 1<<20))}
	h, err := NewReceiver(huge, math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	h.Write(make([]byte, 3))
	if got := len(h.set.Parts[Validation].X.F32); 4*got > firstBytes {
		t.Errorf("3 bytes take %d", 4*got)
	}
	r, err := NewReceiver(Layout{Prep: 2}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Write([]byte("{}{")); err == nil {
		t.Error("3 bytes of 2, want an error")
	}
	r.Write([]byte("{"))
	if _, err := r.Set(); err == nil {
		t.Error("1 byte of 2, want an error")
	}
	r.Write([]byte("}"))
	if _, err := r.Set(); err == nil || !strings.Contains(err.Error(), "prep: shape") {
		t.Errorf("got %v, want an error of the prep", err)
	}
}

// FuzzReceiver checks that no layout and no bytes make a receiver fail, and that
// what it takes in comes out of a set again.
func FuzzReceiver(f *testing.F) {
	for _, s := range []*Set{streamed().Only(Test), {}} {
		text, _ := json.Marshal(s.Layout())
		f.Add(text, slices.Concat(slices.Collect(s.Pieces())...))
	}
	f.Fuzz(func(t *testing.T, layout, content []byte) {
		var l Layout
		if json.Unmarshal(layout, &l) != nil {
			return
		}
		const limit = 1 << 16
		r, err := NewReceiver(l, limit)
		if err != nil {
			return
		}
		if _, err := r.Write(content); err != nil {
			return
		}
		s, err := r.Set()
		if err != nil {
			return
		}
		again, err := receive(t, s, 2*limit, func(p []byte) int { return len(p) })
		if err != nil || again.Digest() != s.Digest() {
			t.Errorf("the set does not come back: %v", err)
		}
	})
}
