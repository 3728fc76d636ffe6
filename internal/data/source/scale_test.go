package source

import (
	"context"
	"math"
	"slices"
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
			numtest.Close(t, got, want, numtest.Tol{Abs: 1e-6, Rel: 1e-6, Why: "scale and shift are rounded to float32; values reach 4"})
		})
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
		if !slices.Equal(set.Parts[split].X.Scale, train.Scale) || !slices.Equal(set.Parts[split].X.Shift, train.Shift) {
			t.Errorf("%s: other scale than the training rows", data.Split(split))
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
