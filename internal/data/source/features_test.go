package source

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/numtest"
	"github.com/gespann/gespann/model/spec"
)

// learnt loads a set and sends its Prep through JSON, as a run directory does.
func learnt(t *testing.T, d spec.Data, opt Options) data.Prep {
	t.Helper()
	text, err := json.Marshal(load(t, d, opt).Prep)
	if err != nil {
		t.Fatal(err)
	}
	var prep data.Prep
	if err := json.Unmarshal(text, &prep); err != nil {
		t.Fatal(err)
	}
	return prep
}

func peoplePrep(t *testing.T) data.Prep {
	t.Helper()
	d := csvSpec(write(t, "people.csv", people))
	d.CSV.Categorical, d.Normalize = []string{"city"}, "scale"
	return learnt(t, d, Options{Loss: "sparse_categorical_crossentropy"})
}

func TestReadFeaturesCSV(t *testing.T) {
	want := []float32{0, 0, 1, 1, 1, 1, 0, 0}
	for name, text := range map[string]string{
		"with label":    "age,city,height,class\n7,Bonn,2,?\n41,Aachen,1.5,?\n",
		"without label": "height,city,age\n2,Bonn,7\n1.5,Aachen,41\n",
		"gzip":          zipped("height,city,age\n2,Bonn,7\n1.5,Aachen,41\n"),
		"json objects":  `{"city": "Bonn", "height": 2, "age": 7, "x": []}` + "\n" + `{"city": "Aachen", "height": 1.5, "age": 41}`,
		"json arrays":   `[7, "Bonn", 2]` + "\n" + `[41, "Aachen", 1.5]` + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			x, err := ReadFeatures(strings.NewReader(text), "stdin", peoplePrep(t))
			if err != nil {
				t.Fatal(err)
			}
			got := append(row(x, 0), row(x, 1)...)
			numtest.Close(t, got, want, numtest.Tol{Abs: 1e-6, Why: "41·(1/34) - 7/34 is 1 within rounding, and such"})
			if x.Rows() != 2 {
				t.Errorf("%d rows, want 2", x.Rows())
			}
		})
	}
}

// TestReadFeaturesOfNoText checks that a file which is no text does not reach the
// terminal.
func TestReadFeaturesOfNoText(t *testing.T) {
	for name, text := range map[string]string{
		"zeros": strings.Repeat("\x00", 1<<20), "escapes": "\x1b[2J\xff,b\n1,2\n", "digits": strings.Repeat("8", 1<<20) + ",Bonn,2",
		"category": "age,city,height\n7," + strings.Repeat("\x1b", 1<<20) + ",2\n",
		"fields":   "age,city,height\n7,Bonn,2," + strings.Repeat("\x1b", 1<<20) + "\n",
	} {
		_, err := ReadFeatures(strings.NewReader(text), "stdin", peoplePrep(t))
		if err == nil {
			t.Fatalf("%s: no error", name)
		}
		if got := err.Error(); len(got) > 300 || strings.ContainsAny(got, "\x00\x1b") || !utf8.ValidString(got) {
			t.Errorf("%s: %d bytes: %.300q", name, len(got), got)
		}
	}
}

func TestReadFeaturesWithoutHeader(t *testing.T) {
	d := spec.Data{Source: "csv", CSV: spec.CSV{Path: write(t, "t.csv", "1,a,3\n2,b,4\n"), Label: "1"}}
	prep := learnt(t, d, Options{})
	for _, text := range []string{"5,6\n", "5,?,6\n"} {
		x, err := ReadFeatures(strings.NewReader(text), "stdin", prep)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if got := row(x, 0); !slices.Equal(got, []float32{5, 6}) {
			t.Errorf("%q: got %v, want [5 6]", text, got)
		}
	}
	_, err := ReadFeatures(strings.NewReader("5\n"), "stdin", prep)
	wantError(t, err, "-", "stdin: 1 columns, want 3 as in the training data")
}

func TestReadFeaturesImages(t *testing.T) {
	prep := learnt(t, spec.Data{Source: "digits", Normalize: "scale"}, Options{})
	pixels := make([]byte, 128)
	cells := make([]string, 64)
	for i := range pixels {
		pixels[i] = byte(i % 17)
	}
	for i := range cells {
		cells[i] = fmt.Sprint(i % 17)
	}
	line := strings.Join(cells, ",")
	files := map[string]string{
		"npy images":  npy("|u1", "(2, 8, 8)", pixels),
		"npy rows":    npy("|u1", "(2, 64)", pixels),
		"idx":         "\x00\x00\x08\x03\x00\x00\x00\x02\x00\x00\x00\x08\x00\x00\x00\x08" + string(pixels),
		"csv":         line + "\n" + line + "\n",
		"csv header":  "p" + strings.Join(cells[:17], ",p") + strings.Repeat(",", 47) + "\n" + line + "\n",
		"json":        "[" + line + "]\n",
		"nested json": "[[[" + line + "]]]\n",
	}
	for name, text := range files {
		t.Run(name, func(t *testing.T) {
			x, err := OpenFeatures(t.Context(), write(t, "x", text), prep)
			if err != nil {
				t.Fatal(err)
			}
			got := row(x, 0)
			for j, v := range got {
				if want := float32(j%17) / 16; v != want {
					t.Fatalf("element %d = %v, want %v", j, v, want)
				}
			}
			if !slices.Equal(x.Shape, []int{8, 8, 1}) {
				t.Errorf("shape %v, want [8 8 1]", x.Shape)
			}
		})
	}
	x, err := OpenFeatures(t.Context(), write(t, "x.npz", npz(t, 8, map[string]string{"a.npy": files["npy rows"]}))+":a", prep)
	if err != nil || x.Rows() != 2 {
		t.Errorf("npz: %v, %v, want 2 rows", x, err)
	}
}

func TestReadFeaturesIDs(t *testing.T) {
	dir := folder(t, map[string]string{
		"x.npy": npy("<i4", "(2, 3)", []int32{1, 2, 3, 4, 5, 6}), "y.npy": npy("|u1", "(2,)", []byte{0, 1}),
	})
	d := spec.Data{Source: "npy", NPY: spec.NPY{X: dir + "/x.npy", Y: dir + "/y.npy"}}
	prep := learnt(t, d, Options{IntFeatures: true})
	for name, text := range map[string]string{
		"npy": npy("<i8", "(1, 3)", []int64{7, 8, 9}), "bytes": npy("|u1", "(1, 3)", []byte{7, 8, 9}),
		"csv": "7,8,9\n", "json": "[7,8,9]",
	} {
		x, err := ReadFeatures(strings.NewReader(text), "stdin", prep)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := make([]int32, 3)
		if x.GatherInt(got, []uint32{0}); !slices.Equal(got, []int32{7, 8, 9}) {
			t.Errorf("%s: got %v, want [7 8 9]", name, got)
		}
	}
	for text, want := range map[string]string{
		"7,8.5,9\n":                              "stdin: row 0: 8.5, the model takes integer ids",
		"7,8,3e9\n":                              "stdin: row 0: 3e+09, the model takes integer ids",
		npy("<f4", "(1, 3)", []float32{7, 8, 9}): "stdin: <f4 elements, but the model starts with an embedding, which takes integer ids",
	} {
		_, err := ReadFeatures(strings.NewReader(text), "stdin", prep)
		wantError(t, err, "-", want)
	}
}

func TestReadFeaturesErrors(t *testing.T) {
	digits := learnt(t, spec.Data{Source: "digits"}, Options{})
	table := peoplePrep(t)
	tests := []struct {
		name, text string
		prep       data.Prep
		want       string
	}{
		{"empty", "", table, "stdin: empty file, want rows"},
		{"header only", "age,city,height\n", table, "stdin: a header and no rows"},
		{"column", "age,town,height\n1,Bonn,2\n", table, `stdin: features: no column "city", got age, town, height`},
		{"category", "age,city,height\n1,Rom,2\n", table, `stdin:2: column "city": category "Rom" does not occur in the training data`},
		{"few pixels", "1,2,3\n", digits, "stdin: 3 columns, the model takes 64, shape [8 8 1]"},
		{"shape", npy("<f4", "(2, 28, 28)", make([]float32, 2*28*28)), digits, "stdin: rows of 784 elements, shape [28 28]; the model takes 64, shape [8 8 1]"},
		{"zip", "PK\x03\x04", digits, "stdin: is a zip archive, want CSV, NPY, IDX or JSON lines\nhint: unpack it; only .gz and .npz are read as they are"},
		{"json", "[1,2", digits, "stdin: row 0: unexpected EOF"},
		{"json length", "[1,2]", digits, "stdin: row 0: 2 values, want 64"},
		{"json object", "{}", digits, "stdin: row 0: an object, but the model was not trained on named columns\nhint: write an array of numbers"},
		{"json key", `{"age": 3}`, table, `stdin: row 0: no key "city"`},
		{"json null", `[1, "Bonn", null]`, table, "stdin: row 0: want numbers"},
		{"json category", `[1, "Rom", 2]`, table, `stdin: row 0: "city": category "Rom" does not occur in the training data`},
		{"json text", `["x", "Bonn", 2]`, table, `stdin: row 0: value 0: "x": not a number`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := ReadFeatures(strings.NewReader(test.text), "stdin", test.prep)
			wantError(t, err, "-", test.want)
		})
	}
}

// TestLoadWithPrep evaluates on other data: categories, labels and scale come
// from the training.
func TestLoadWithPrep(t *testing.T) {
	prep := peoplePrep(t)
	d := csvSpec(write(t, "other.csv", "age,city,height,class\n24,Bonn,1.5,no\n"))
	d.CSV.Categorical, d.Normalize = []string{"city"}, "scale"
	set := load(t, d, Options{Prep: &prep})
	p := set.Parts[data.Train]
	if got := row(&p.X, 0); got[0] != 0.5 || got[1] != 0 || got[2] != 1 || got[3] != 0 {
		t.Errorf("x = %v, want [0.5 0 1 0]", got)
	}
	if p.Y.I32[0] != 0 || set.Classes != 2 {
		t.Errorf("y = %v of %d classes, want [0] of 2", p.Y.I32, set.Classes)
	}
	prep.Shape = []int{9}
	_, err := Load(t.Context(), d, Options{Prep: &prep})
	wantError(t, err, strings.TrimSuffix(d.CSV.Path, "/other.csv"),
		"other.csv: training rows have shape [4], the model was trained on [9]")
}

func FuzzReadFeatures(f *testing.F) {
	f.Add([]byte("age,city,height\n7,Bonn,2\n"), true)
	f.Add([]byte(`{"city": "Bonn", "height": 2, "age": 7}`), true)
	f.Add([]byte(`[7, ["Bonn", 2]]`), true)
	f.Add([]byte("1,2\n3,4\n"), false)
	f.Add([]byte("[[1],2]"), false)
	f.Add([]byte(npy("<f4", "(1, 2)", []float32{1, 2})), false)
	named := data.Prep{
		Source: "csv", Shape: []int{3}, Target: data.Classes, Classes: 2, Labels: []string{"a", "b"},
		CSV: &data.CSV{Header: true, Fields: []string{"age", "city", "y"}, Label: "y",
			Columns: []data.Column{{Name: "age"}, {Name: "city", Categories: []string{"Bonn", "Rom"}}}},
	}
	plain := data.Prep{Source: "npy", Shape: []int{2, 1}, Ints: true, Target: data.Classes}
	f.Fuzz(func(t *testing.T, b []byte, csv bool) {
		prep := plain
		if csv {
			prep = named
		}
		x, err := ReadFeatures(strings.NewReader(string(b)), "fuzz", prep)
		if err == nil && x.Len() != x.Rows()*x.RowSize() {
			t.Errorf("%d elements in %d rows of %d", x.Len(), x.Rows(), x.RowSize())
		}
	})
}
