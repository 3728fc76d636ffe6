package data

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestGather compares with the formula, element by element and bit by bit.
func TestGather(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{1, 2, 7, 64, 1031} {
		const n = 9
		bytes, ints, floats := make([]byte, n*size), make([]int32, n*size), make([]float32, n*size)
		for i := range bytes {
			bytes[i], ints[i], floats[i] = byte(random.Uint32()), random.Int32N(1e6)-5e5, random.Float32()*9-4
		}
		for name, scales := range map[string]int{"none": 0, "one": 1, "columns": size} {
			center, scale, shift := make([]float32, scales), make([]float32, scales), make([]float32, scales)
			for j := range scale {
				center[j], scale[j], shift[j] = float32(random.IntN(256)), random.Float32(), random.Float32()-0.5
			}
			for kind, table := range map[string]Table{
				"u8": {U8: bytes}, "i32": {I32: ints}, "f32": {F32: floats}, "centered u8": {U8: bytes, Center: center},
				"centered i32": {I32: ints, Center: center}, "centered f32": {F32: floats, Center: center},
			} {
				table.Shape, table.Scale, table.Shift = []int{size}, scale, shift
				rows := []uint32{8, 0, 3, 3}
				got := make([]float32, len(rows)*size)
				table.Gather(got, rows)
				for i, row := range rows {
					for j := range size {
						at := int(row)*size + j
						value := map[string]float32{"u8": float32(bytes[at]), "i32": float32(ints[at]), "f32": floats[at]}[strings.TrimPrefix(kind, "centered ")]
						want := value
						if scales > 0 {
							if table.Center != nil {
								value -= center[j%scales]
							}
							product := value * scale[j%scales]
							want = product + shift[j%scales]
						}
						if g := got[i*size+j]; g != want {
							t.Fatalf("%s, scale %s, size %d: row %d, column %d = %v, want %v", kind, name, size, row, j, g, want)
						}
					}
				}
			}
		}
	}
}

func TestOnly(t *testing.T) {
	set := &Set{Source: "s"}
	for i := range set.Parts {
		set.Parts[i] = Part{X: Table{Shape: []int{2}, U8: []byte{1, 2}}, Y: Table{Shape: []int{}, I32: []int32{1}}, Rows: 1}
	}
	only := set.Only(Test)
	if only.Source != "s" || !reflect.DeepEqual(only.Parts[Test], set.Parts[Test]) {
		t.Errorf("got %+v, want the test part of %+v", only, set)
	}
	empty := Part{X: Table{Shape: []int{2}}, Y: Table{Shape: []int{}}}
	for _, split := range []Split{Train, Validation} {
		if !reflect.DeepEqual(only.Parts[split], empty) || set.Parts[split].Rows != 1 {
			t.Errorf("%v: got %+v, want %+v", split, only.Parts[split], empty)
		}
	}
	rest := set.Untrained()
	if !reflect.DeepEqual(rest.Parts, [3]Part{empty, set.Parts[Validation], set.Parts[Test]}) {
		t.Errorf("untrained: got %+v", rest.Parts)
	}
	set.Parts[Train].Rows, set.Parts[Train].X.U8 = 2, []byte{1, 2, 3, 4}
	if got := set.AsTest(Train); !reflect.DeepEqual(got.Parts, [3]Part{empty, empty, set.Parts[Train]}) {
		t.Errorf("training rows as test: got %+v", got.Parts)
	}
}

func TestGatherInt(t *testing.T) {
	for name, table := range map[string]Table{
		"i32": {Shape: []int{2}, I32: []int32{1, 2, 3, 4, 5, 6}},
		"u8":  {Shape: []int{2}, U8: []byte{1, 2, 3, 4, 5, 6}},
	} {
		got := make([]int32, 4)
		table.GatherInt(got, []uint32{2, 0})
		if want := []int32{5, 6, 1, 2}; !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
		if lo, hi := table.MinMaxInt(); lo != 1 || hi != 6 {
			t.Errorf("%s: MinMaxInt = %d, %d, want 1, 6", name, lo, hi)
		}
	}
}

func TestGatherDoesNotAllocate(t *testing.T) {
	table := Table{Shape: []int{28, 28, 1}, U8: make([]byte, 10*784), Scale: []float32{1.0 / 255}, Shift: []float32{0}}
	labels := Table{Shape: []int{}, I32: make([]int32, 10)}
	rows, x, y := []uint32{1, 2, 3}, make([]float32, 3*784), make([]int32, 3)
	if n := testing.AllocsPerRun(10, func() { table.Gather(x, rows); labels.GatherInt(y, rows) }); n != 0 {
		t.Errorf("%v allocations per batch, want 0", n)
	}
}

func TestCheckLabels(t *testing.T) {
	tests := []struct {
		table Table
		want  string
	}{
		{Table{I32: []int32{0, 9, 3}}, ""},
		{Table{I32: []int32{0, 10, 3}}, "row 1: label 10, want 0 to 9"},
		{Table{I32: []int32{0, 9, -1}}, "row 2: label -1, want 0 to 9"},
		{Table{U8: []byte{200}}, "row 0: label 200, want 0 to 9"},
		{Table{}, ""},
	}
	for _, test := range tests {
		got := ""
		if err := test.table.CheckLabels(10); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("CheckLabels(%v) = %q, want %q", test.table, got, test.want)
		}
	}
}

// TestPrepRoundTrip sends numbers and any text through JSON.
func TestPrepRoundTrip(t *testing.T) {
	const hostile = "\"quoted\" \\ <&> \u2028\u2029\ufeff\x00\x7f\u0085\ufffd\U0010ffff\n\té"
	want := Prep{
		Source: "csv", Shape: []int{3}, Target: OneHot, Classes: 2, Labels: []string{"no", "yes"},
		CSV: &CSV{
			Encoding: "latin-1", Delimiter: ";", Header: true, Fields: []string{"a", hostile, "y"}, Label: "y",
			Columns: []Column{{Name: "a"}, {Name: hostile, Categories: []string{"", "007", "7", hostile}}},
		},
		Bytes: true, From: []float64{1.0 / 3, 1700000001.123456789, 5e-324}, Width: []float64{0.1, 1, 1e300},
		Scale: []float32{1.0 / 3, 1, 1}, Shift: []float32{-1e-7, 0, 0},
	}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Prep
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if !strings.Contains(string(text), `"target":"one_hot"`) {
		t.Errorf("text = %s", text)
	}
}

func BenchmarkGather(b *testing.B) {
	table := Table{Shape: []int{784}, U8: make([]byte, 1000*784), Scale: []float32{1.0 / 255}, Shift: []float32{0}}
	rows, dst := make([]uint32, 128), make([]float32, 128*784)
	NewPerm(1000, 1, 0).Fill(rows, 0)
	b.SetBytes(int64(len(dst)))
	for b.Loop() {
		table.Gather(dst, rows)
	}
}
