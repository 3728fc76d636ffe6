package data

import (
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gespann/gespann/internal/numtest"
)

// exact is what every normalised number is compared with.
var exact = numtest.Tol{Abs: 1e-6, Rel: 1e-6, Why: "promised to be within 1e-6 of float64"}

// gathered returns all rows of a table as a model sees them.
func gathered(t *Table) []float32 {
	rows := make([]uint32, t.Rows())
	for i := range rows {
		rows[i] = uint32(i)
	}
	out := make([]float32, t.Len())
	t.Gather(out, rows)
	return out
}

// TestNormalizeBytes compares every byte with float64, for means and deviations
// that bytes can have and for some that they cannot.
func TestNormalizeBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var from, width []float64
	for range 2000 { // integers vary by at least √(d(1−d)), d from an integer
		mean := r.Float64() * 255
		d := mean - math.Floor(mean)
		from = append(from, mean)
		width = append(width, math.Sqrt(d*(1-d))*math.Exp(4*r.Float64()*r.Float64())+1e-9)
	}
	for _, f := range []float64{0, 1e-3, 0.4999, 0.5, 128, 254.9999, 255, -3.7, 1e4, 1.7e9, -1e25} {
		for _, w := range []float64{255, 16, 1, 0.1, 1e-3, 1e-9} {
			from, width = append(from, f), append(width, w)
		}
	}
	n := len(from)
	p := Prep{Shape: []int{n}, Bytes: true, From: from, Width: width}
	bytes := make([]byte, 256*n)
	var want []float32
	for v := range 256 {
		for j := range n {
			bytes[v*n+j] = byte(v)
			want = append(want, float32((float64(v)-from[j])/width[j]))
		}
	}
	table := Table{Shape: []int{n}, U8: bytes}
	if err := p.Normalize(&table); err != nil || table.U8 == nil || table.Center == nil {
		t.Fatalf("%v, %d bytes, %d centers, want bytes with centers", err, len(table.U8), len(table.Center))
	}
	numtest.Close(t, gathered(&table), want, exact)

	floats := Table{Shape: []int{n}, F32: make([]float32, len(bytes))}
	for i, v := range bytes {
		floats.F32[i] = float32(v)
	}
	if err := p.Normalize(&floats); err != nil || !reflect.DeepEqual(floats, table) {
		t.Errorf("floats that are bytes become another table (%v)", err)
	}
}

// TestNormalizeWithoutCenter checks that bytes with a mean near 0, as pixels have,
// need no center, and are scaled as ever.
func TestNormalizeWithoutCenter(t *testing.T) {
	p := Prep{Shape: []int{2}, From: []float64{0}, Width: []float64{255}}
	table := Table{Shape: []int{2}, U8: []byte{0, 1, 17, 255}}
	if err := p.Normalize(&table); err != nil || table.Center != nil {
		t.Fatalf("%v, center %v, want none", err, table.Center)
	}
	for i, got := range gathered(&table) {
		if want := float32(table.U8[i]) * (1 / float32(255)); got != want {
			t.Errorf("byte %d becomes %v, want %v", table.U8[i], got, want)
		}
	}
	p.From, p.Width = []float64{33.3, 77}, []float64{78.5, 19.3}
	if err := p.Normalize(&table); err != nil || table.Center != nil || len(table.Scale) != 2 {
		t.Errorf("%v, center %v, scale %v, want no center and 2 of scale", err, table.Center, table.Scale)
	}
}

// TestNormalizeNumbers has numbers that float32 cannot tell from one another.
func TestNormalizeNumbers(t *testing.T) {
	p := Prep{
		Shape: []int{3}, From: []float64{1700000030, 101325.5, 1 << 53}, Width: []float64{17.5, 0.25, 3},
	}
	values := []float64{1700000000, 101325.25, 1<<53 + 4, 1700000031, 101326, 1<<53 - 1}
	var want []float32
	for i, v := range values {
		want = append(want, float32((v-p.From[i%3])/p.Width[i%3]))
	}
	table := Table{Shape: []int{3, 1}, F64: slices.Clone(values)}
	if err := p.Normalize(&table); err != nil || table.F64 != nil || !slices.Equal(table.Shape, p.Shape) {
		t.Fatalf("%v, %+v, want floats of shape %v", err, table, p.Shape)
	}
	numtest.Close(t, gathered(&table), want, exact)

	ints := Table{Shape: []int{1}, I32: []int32{math.MaxInt32, math.MinInt32}}
	one := Prep{Shape: []int{1}, From: []float64{math.MaxInt32 - 1}, Width: []float64{2}}
	if err := one.Normalize(&ints); err != nil || ints.I32 != nil {
		t.Fatalf("%v, %+v, want floats", err, ints)
	}
	numtest.Close(t, ints.F32, []float32{0.5, -(1 << 31) + 0.5}, exact)

	ids := Table{Shape: []int{1}, I32: []int32{7}}
	if err := (&Prep{Shape: []int{1}, Ints: true}).Normalize(&ids); err != nil || !slices.Equal(ids.I32, []int32{7}) {
		t.Errorf("%v, %+v, want the ids as they were", err, ids)
	}
}

func TestNormalizeErrors(t *testing.T) {
	p := Prep{Shape: []int{2}, From: []float64{0, 0}, Width: []float64{1, 1e-30}}
	for name, table := range map[string]Table{
		"f64": {F64: []float64{1, 2, 3, 1e20}}, "f32": {F32: []float32{1, 2, 3, 1e20}},
	} {
		table.Shape = p.Shape
		const want = "row 1: column 1: 1e+20 becomes +Inf when it is normalised, want a finite number"
		if err := p.Normalize(&table); err == nil || !strings.HasPrefix(strings.Replace(err.Error(), "1.0000000200408773e+20", "1e+20", 1), want) {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
	wide := Prep{Shape: []int{1}, From: []float64{0.5}, Width: []float64{1e-44}}
	if err := wide.Normalize(&Table{Shape: []int{1}, U8: []byte{9}}); err == nil {
		t.Error("a byte beyond float32: no error")
	}
}

// TestEncode has numbers and categories beside each other.
func TestEncode(t *testing.T) {
	p := Prep{
		Shape: []int{5}, From: []float64{1.7e9, 0, 0, 0, 2}, Width: []float64{10, 1, 1, 1, 4},
		CSV: &CSV{Columns: []Column{{Name: "a"}, {Name: "b", Categories: []string{"u", "v", "w"}}, {Name: "c"}}},
	}
	table := Table{Shape: []int{3}, F64: []float64{1.7e9 + 5, 2, 2, 1.7e9, 0, 4}}
	if err := p.Encode(&table); err != nil {
		t.Fatal(err)
	}
	if want := []float32{0.5, 0, 0, 1, 0, 0, 1, 0, 0, 0.5}; !slices.Equal(table.F32, want) || table.RowSize() != 5 {
		t.Errorf("got %v of shape %v, want %v", table.F32, table.Shape, want)
	}
	table = Table{Shape: []int{3}, F64: []float64{1, 2, 2, 1, 0, 1e300}}
	const want = `row 1: column "c": 1e+300 becomes +Inf when it is normalised, want a finite number`
	if err := p.Encode(&table); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestRunOfBefore reads the prep.json of a run whose version computed
// value·scale + shift in float32, and gives rows the same bits as that.
func TestRunOfBefore(t *testing.T) {
	text, err := os.ReadFile("testdata/prep-float32.json")
	if err != nil {
		t.Fatal(err)
	}
	p, err := ParsePrep(text)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.CSV.Columns[1].Categories; !slices.Equal(got, []string{`Bad "X"`, "Bonn", "Köln"}) {
		t.Errorf("categories %q", got)
	}
	table := Table{Shape: []int{3}, F64: []float64{1700000009, 2, 2, 1700000201, 0, 5}}
	if err := p.Encode(&table); err != nil {
		t.Fatal(err)
	}
	scale, shift := []float32{0.00956832, 0.24749634}, []float32{-16266144, -1.0662967}
	var want []float32
	for i, v := range []float32{1700000009, 2, 1700000201, 5} {
		product := v * scale[i%2]
		want = append(want, product+shift[i%2])
	}
	want = []float32{want[0], 0, 0, 1, want[1], want[2], 1, 0, 0, want[3]}
	if !slices.Equal(table.F32, want) {
		t.Errorf("got %v, want %v", table.F32, want)
	}
	bytes := Table{Shape: []int{5}, U8: []byte{1, 2, 3, 4, 5}}
	if err := p.Normalize(&bytes); err != nil || bytes.U8 == nil || bytes.Center != nil || !slices.Equal(bytes.Scale, p.Scale) {
		t.Errorf("%v, %+v, want bytes with the scale of the run", err, bytes)
	}
}
