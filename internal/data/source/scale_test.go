package source

import (
	"context"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/numtest"
	"github.com/gespann/gespann/model/spec"
)

func TestNormalize(t *testing.T) {
	const table = "a,b,c,k,y\n1,5,1e6,u,0\n2,5,2e6,v,0\n3,5,6e6,u,1\n"
	deviation := math.Sqrt(2.0 / 3)
	wide := math.Sqrt((4 + 1 + 9) / 3.0)
	tests := []struct {
		normalize string
		want      []float64
	}{
		{"none", []float64{1, 5, 1e6, 1, 0, 2, 5, 2e6, 0, 1, 3, 5, 6e6, 1, 0}},
		{"scale", []float64{0, 0, 0, 1, 0, .5, 0, .2, 0, 1, 1, 0, 1, 1, 0}},
		{"standard", []float64{
			-1 / deviation, 0, -2 / wide, 1, 0,
			0, 0, -1 / wide, 0, 1,
			1 / deviation, 0, 3 / wide, 1, 0,
		}},
	}
	for _, test := range tests {
		t.Run(test.normalize, func(t *testing.T) {
			d := csvSpec(write(t, "t.csv", table))
			d.Normalize, d.CSV.Categorical = test.normalize, []string{"k"}
			x := load(t, d, Options{}).Parts[data.Train].X
			var got []float32
			for i := range x.Rows() {
				got = append(got, row(&x, i)...)
			}
			want := make([]float32, len(test.want))
			for i, v := range test.want {
				want[i] = float32(v)
			}
			numtest.Close(t, got, want, numtest.Tol{Abs: 1e-6, Rel: 1e-6, Why: "promised"})
		})
	}
}

// numbersFarFrom0 are columns that float32 cannot tell the rows of: Unix times,
// pressures in Pa, and a value far away from all others.
func numbersFarFrom0(rows int) []float64 {
	r := rand.New(rand.NewPCG(3, 4))
	v := make([]float64, 0, 3*rows)
	for i := range rows {
		far := 1.7e9
		if i == 0 {
			far = 0
		}
		v = append(v, 1700000000+math.Round(40*r.Float64()), 101325+0.25*math.Round(4*r.NormFloat64()), far+float64(i%7))
	}
	return v
}

// normalised computes (v − mean)/deviation or (v − least)/range in 200 bits.
func normalised(v []float64, size int, kind string) []float32 {
	exact := func(f float64) *big.Float { return new(big.Float).SetPrec(200).SetFloat64(f) }
	out := make([]float32, len(v))
	for j := range size {
		n, sum, squares := exact(float64(len(v)/size)), exact(0), exact(0)
		lo, hi := v[j], v[j]
		for i := j; i < len(v); i += size {
			sum.Add(sum, exact(v[i]))
			lo, hi = min(lo, v[i]), max(hi, v[i])
		}
		from := new(big.Float).Quo(sum, n)
		for i := j; i < len(v); i += size {
			d := new(big.Float).Sub(exact(v[i]), from)
			squares.Add(squares, d.Mul(d, d))
		}
		width := new(big.Float).Sqrt(squares.Quo(squares, n))
		if kind == "scale" {
			from, width = exact(lo), new(big.Float).Sub(exact(hi), exact(lo))
		}
		for i := j; i < len(v); i += size {
			d := new(big.Float).Sub(exact(v[i]), from)
			out[i], _ = d.Quo(d, width).Float32()
		}
	}
	return out
}

// TestNormalizeIsExact compares what a model sees of numbers far from 0 with exact
// arithmetic, from every format.
func TestNormalizeIsExact(t *testing.T) {
	const rows = 3000
	values := numbersFarFrom0(rows)
	ints := make([]int64, len(values))
	whole := make([]float64, len(values))
	bytes, pixels := make([]byte, len(values)), make([]float64, len(values))
	var table strings.Builder
	table.WriteString("time,pressure,far,y\n")
	for i, v := range values {
		ints[i], whole[i] = int64(4*v), math.Trunc(4*v)
		bytes[i] = [3]byte{200 + byte(i/3%2), byte(min(i/3, 1)), 255 - byte(max(0, i/3-rows+2))}[i%3]
		pixels[i] = float64(bytes[i])
		end := ","
		if i%3 == 2 {
			end = ",1\n"
		}
		table.WriteString(strconv.FormatFloat(v, 'f', -1, 64) + end)
	}
	dir := folder(t, map[string]string{
		"t.csv": table.String(), "y.npy": npy("<f4", "(3000,)", make([]float32, rows)),
		"f8.npy": npy("<f8", "(3000, 3)", values), "i8.npy": npy(">i8", "(3000, 3)", ints), "u1.npy": npy("|u1", "(3000, 3)", bytes),
	})
	for _, test := range []struct {
		file string
		from []float64
	}{{"t.csv", values}, {"f8.npy", values}, {"i8.npy", whole}, {"u1.npy", pixels}} {
		for _, kind := range []string{"standard", "scale"} {
			if test.file == "u1.npy" && kind == "scale" {
				continue // by 255
			}
			d := spec.Data{Source: "npy", Normalize: kind, NPY: spec.NPY{X: dir + "/" + test.file, Y: dir + "/y.npy"}}
			if test.file == "t.csv" {
				d = csvSpec(dir + "/t.csv")
				d.Normalize = kind
			}
			set := load(t, d, Options{Loss: "mean_squared_error"})
			x := &set.Parts[data.Train].X
			if (test.file == "u1.npy") != (x.U8 != nil) {
				t.Errorf("%s: %d bytes, want bytes to stay bytes", test.file, len(x.U8))
			}
			want := normalised(test.from, 3, kind)
			promised := numtest.Tol{Abs: 1e-6, Rel: 1e-6, Why: "promised: 1e-6·max(1, |value|)"}
			numtest.Close(t, all(x), want, promised)

			// New data meets the model in the same form.
			prep := learnt(t, d, Options{Loss: "mean_squared_error"})
			again, err := OpenFeatures(t.Context(), dir+"/"+test.file, prep)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(all(again), all(x)) {
				t.Errorf("%s, %s: the same rows look different to predict", test.file, kind)
			}
		}
	}
}

// all gathers all rows of features.
func all(x *data.Table) []float32 {
	var out []float32
	for i := range x.Rows() {
		out = append(out, row(x, i)...)
	}
	return out
}

// TestOneValue checks that a column of one value becomes 0, however its sum is rounded.
func TestOneValue(t *testing.T) {
	values := make([]float64, 1000)
	for i := range values {
		values[i] = 0.1
	}
	dir := folder(t, map[string]string{"x.npy": npy("<f8", "(1000,)", values), "y.npy": npy("<f4", "(1000,)", make([]float32, 1000))})
	for _, kind := range []string{"standard", "scale"} {
		d := spec.Data{Source: "npy", Normalize: kind, NPY: spec.NPY{X: dir + "/x.npy", Y: dir + "/y.npy"}}
		set := load(t, d, Options{Loss: "mean_squared_error"})
		if got := all(&set.Parts[data.Train].X); slices.ContainsFunc(got, func(v float32) bool { return v != 0 }) {
			t.Errorf("%s: got %v..., want 0", kind, got[:3])
		}
	}
}

// TestLongIntegers checks that integers which float32 would round are no features as
// they are, and that targets are read, with a word.
func TestLongIntegers(t *testing.T) {
	const table = "a,b,y\n1,16777216,33554433\n2,16777217,5\n3,123456789,6\n"
	d := csvSpec(write(t, "t.csv", table))
	dir := filepath.Dir(d.CSV.Path)
	_, err := Load(t.Context(), d, Options{Loss: "huber"})
	const hint = "\nhint: data.normalize: standard or scale is computed from the number itself; "
	wantError(t, err, dir, "t.csv:3: column \"b\": integer 16777217 becomes 16777216 as float32, one of 2 such cells in 3 rows: "+
		"line 4 \"123456789\""+hint+"a number that only names something is no feature")
	d.Normalize = "standard"
	said := ""
	log := func(format string, args ...any) { said += fmt.Sprintf(format, args...) }
	load(t, d, Options{Loss: "huber", Log: log})
	if want := `t.csv:2: column "y": integer 33554433 becomes 33554432 as float32: targets are float32, as predictions are`; !strings.HasSuffix(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}

	files := folder(t, map[string]string{
		"x.npy": npy("<i4", "(2, 2)", []int32{1, 2, 16777217, 3}), "y.npy": npy("<i8", "(2,)", []int64{1, 1<<40 + 1}),
		"far.npy": npy("<i8", "(2, 1)", []int64{1 << 40, 1<<40 + 1}),
	})
	n := spec.Data{Source: "npy", NPY: spec.NPY{X: files + "/x.npy", Y: files + "/y.npy"}}
	_, err = Load(t.Context(), n, Options{Loss: "huber"})
	wantError(t, err, files, "x.npy: element 2: integer 16777217 becomes 16777216 as float32"+hint+
		"or, if rounding does no harm, save x.astype(numpy.float32)")
	_, err = Load(t.Context(), n, Options{Loss: "huber", IntFeatures: true})
	if err != nil {
		t.Errorf("ids of 25 bits: %v", err)
	}
	n.NPY.X = files + "/far.npy"
	_, err = Load(t.Context(), n, Options{Loss: "huber", IntFeatures: true})
	wantError(t, err, files, "far.npy: element 0 is 1099511627776, want at most 32 bits")
	n.Normalize = "scale"
	said = ""
	set := load(t, n, Options{Loss: "huber", Log: log})
	if got := all(&set.Parts[data.Train].X); !slices.Equal(got, []float32{0, 1}) {
		t.Errorf("got %v, want [0 1]", got)
	}
	if want := "y.npy: element 1: integer 1099511627777 becomes 1099511627776 as float32: targets are float32, as predictions are"; !strings.HasSuffix(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}
}

// TestRoundedTargets checks that targets which lose digits are named, of whatever type.
func TestRoundedTargets(t *testing.T) {
	files := folder(t, map[string]string{
		"x.npy": npy("<f4", "(2, 1)", []float32{1, 2}), "i4.npy": npy("<i4", "(2,)", []int32{1, 1<<24 + 1}),
		"i8.npy": npy("<i8", "(2,)", []int64{1, 1<<24 + 1}), "wide.npy": npy("<i8", "(2, 1)", []int64{1, 1<<40 + 1}),
		"rows.npy": npy("<i4", "(2, 2)", []int32{1, 1<<24 + 1, 2, 3}),
	})
	for _, name := range []string{"i4.npy", "i8.npy", "wide.npy", "rows.npy"} {
		said := ""
		d := spec.Data{Source: "npy", NPY: spec.NPY{X: files + "/x.npy", Y: files + "/" + name}}
		load(t, d, Options{Loss: "huber", Log: func(format string, args ...any) { said += fmt.Sprintf(format, args...) }})
		if !strings.Contains(said, name+": element 1: integer ") || !strings.HasSuffix(said, ": targets are float32, as predictions are") {
			t.Errorf("%s: said %q", name, said)
		}
	}
}

// TestNormalizeFitsTrainingRows checks that rows set aside teach nothing.
func TestNormalizeFitsTrainingRows(t *testing.T) {
	x, y := make([]float32, 100), make([]byte, 100)
	for i := range x {
		x[i] = float32(i * i)
	}
	dir := folder(t, map[string]string{"x.npy": npy("<f4", "(100,)", x), "y.npy": npy("|u1", "(100,)", y)})
	d := spec.Data{
		Source: "npy", Normalize: "standard", ValidationSplit: 0.25, TestSplit: 0.2,
		NPY: spec.NPY{X: dir + "/x.npy", Y: dir + "/y.npy"},
	}
	set := load(t, d, Options{})
	train := &set.Parts[data.Train].X
	var sum, squares float64
	for i := range train.Rows() {
		v := float64(row(train, i)[0])
		sum, squares = sum+v, squares+v*v
	}
	n := float64(train.Rows())
	numtest.Close(t, []float32{float32(sum / n), float32(squares / n)}, []float32{0, 1},
		numtest.Tol{Abs: 1e-6, Why: "60 rows of at most 4, each off by 2^-23"})
	for split := range set.Parts {
		x := &set.Parts[split].X
		for i := range x.Rows() { // the rows are squares
			v := float64(row(x, i)[0])*set.Prep.Width[0] + set.Prep.From[0]
			root := math.Round(math.Sqrt(max(0, v)))
			numtest.Close(t, []float32{float32(v)}, []float32{float32(root * root)},
				numtest.Tol{Abs: 3000 * 0x1p-22, Rel: 0x1p-22, Why: "a float32 of up to 3 times 3000, undone"})
		}
	}
}

func TestNormalizeIDs(t *testing.T) {
	d := csvSpec(write(t, "t.csv", "a,y\nu,0\nv,1\n"))
	d.Normalize, d.CSV.Categorical = "standard", []string{"a"}
	_, err := Load(context.Background(), d, Options{IntFeatures: true})
	wantError(t, err, d.CSV.Path[:len(d.CSV.Path)-len("/t.csv")],
		"t.csv: data.normalize: standard does not apply to integer ids for an embedding")
}

func TestSplit(t *testing.T) {
	d := spec.Data{Source: "digits", TestSplit: 0.2, ValidationSplit: 0.125, SplitSeed: 1}
	whole := load(t, spec.Data{Source: "digits"}, Options{}).Parts[data.Train]
	first, again := load(t, d, Options{}), load(t, d, Options{})
	d.SplitSeed = 2
	other := load(t, d, Options{})
	key := func(p *data.Part, i int) string {
		return string(p.X.U8[i*64:(i+1)*64]) + string(rune('0'+p.Y.I32[i]))
	}
	count := map[string]int{}
	for i := range whole.Rows {
		count[key(&whole, i)]++
	}
	for split := range first.Parts {
		p := &first.Parts[split]
		for i := range p.Rows {
			count[key(p, i)]--
		}
		if !slices.Equal(p.X.U8, again.Parts[split].X.U8) || !slices.Equal(p.Y.I32, again.Parts[split].Y.I32) {
			t.Errorf("%s: the same seed splits otherwise", data.Split(split))
		}
		if slices.Equal(p.X.U8, other.Parts[split].X.U8) {
			t.Errorf("%s: another seed splits the same", data.Split(split))
		}
	}
	for _, c := range count {
		if c != 0 {
			t.Fatal("the parts together are not the whole")
		}
	}
}

func TestSplitErrors(t *testing.T) {
	d := csvSpec(write(t, "t.csv", "a,y\n1,0\n2,1\n3,0\n"))
	dir := d.CSV.Path[:len(d.CSV.Path)-len("/t.csv")]
	d.ValidationSplit = 0.1
	_, err := Load(context.Background(), d, Options{})
	wantError(t, err, dir, "t.csv: data.validation_split: got 0.1, which of 3 rows sets 0 aside and leaves 3, want at least 1 each")
	d.ValidationSplit, d.TestSplit = 0, 0.9
	_, err = Load(context.Background(), d, Options{})
	wantError(t, err, dir, "t.csv: data.test_split: got 0.9, which of 3 rows sets 3 aside and leaves 0, want at least 1 each")
}

func TestUnusedSettings(t *testing.T) {
	for want, d := range map[string]spec.Data{
		"data.dir: does not apply to source digits":                                {Source: "digits", Dir: "/x"},
		"data.csv.path: does not apply to source npy":                              {Source: "npy", CSV: spec.CSV{Path: "x"}},
		"data.npy: does not apply to source csv":                                   {Source: "csv", NPY: spec.NPY{X: "x"}},
		"data.csv.path: got nothing, want a file":                                  {Source: "csv"},
		`data.npy: x and y must name files, got x "" and y ""`:                     {Source: "npy"},
		`data.npy: test_x and test_y go together, got "c" and ""`:                  {Source: "npy", NPY: spec.NPY{X: "a", Y: "b", TestX: "c"}},
		"data.dir: source idx needs the folder of its files":                       {Source: "idx"},
		`data.source: got "x", want digits, mnist, fashion_mnist, idx, csv or npy`: {Source: "x"},
		"open nowhere.csv: no such file or directory":                              {Source: "csv", CSV: spec.CSV{Path: "nowhere.csv"}},
	} {
		_, err := Load(context.Background(), d, Options{})
		wantError(t, err, "-", want)
	}
}
