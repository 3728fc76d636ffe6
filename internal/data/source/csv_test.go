package source

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/model/spec"
)

const people = `age,city,height,class
30,Bonn,1.5,yes
41,Aachen,1.75,no
7,Bonn,2,yes
`

func csvSpec(path string) spec.Data {
	return spec.Data{Source: "csv", CSV: spec.CSV{Path: path, Header: true, Delimiter: ","}}
}

func TestCSV(t *testing.T) {
	variants := map[string]string{
		"plain":       people,
		"BOM":         "\ufeff" + people,
		"CRLF":        strings.ReplaceAll(people, "\n", "\r\n"),
		"quotes":      strings.ReplaceAll(strings.ReplaceAll(people, "Bonn", `"Bonn"`), "age,", `"age",`),
		"blanks":      strings.ReplaceAll(people, ",", " , "),
		"no last end": strings.TrimSpace(people),
		"empty lines": strings.ReplaceAll(people, "\n", "\n\n"),
		"gzip":        zipped(people),
	}
	for name, text := range variants {
		t.Run(name, func(t *testing.T) {
			d := csvSpec(write(t, "people.csv", text))
			d.CSV.Categorical = []string{"city"}
			set := load(t, d, Options{Loss: "sparse_categorical_crossentropy"})
			p := set.Parts[data.Train]
			want := []float32{30, 0, 1, 1.5, 41, 1, 0, 1.75, 7, 0, 1, 2}
			if !slices.Equal(p.X.F32, want) || !slices.Equal(p.X.Shape, []int{4}) {
				t.Errorf("x = %v %v, want %v", p.X.Shape, p.X.F32, want)
			}
			if want := []int32{1, 0, 1}; !slices.Equal(p.Y.I32, want) || !slices.Equal(set.Prep.Labels, []string{"no", "yes"}) {
				t.Errorf("y = %v of %q, want %v of no, yes", p.Y.I32, set.Prep.Labels, want)
			}
		})
	}
}

func TestCSVForms(t *testing.T) {
	tests := []struct {
		name, text string
		csv        spec.CSV
		opt        Options
		x, y       string // Table.F32 or I32, printed
		labels     string
	}{
		{"no header", "1,2,b\n3,4,a\n", spec.CSV{}, Options{}, "[1 2 3 4]", "[1 0]", "[a b]"},
		{"label by number", "1,2,b\n3,4,a\n", spec.CSV{Label: "0", Categorical: []string{"2"}}, Options{}, "[2 0 1 4 1 0]", "[1 3]", "[]"},
		{"delimiter", "x;y\n1,5;2\n", spec.CSV{Header: true, Delimiter: ";", Categorical: []string{"x"}}, Options{}, "[1]", "[2]", "[]"},
		{"tab", "x\ty\n1\t2\n", spec.CSV{Header: true, Delimiter: "\t"}, Options{}, "[1]", "[2]", "[]"},
		{"feature order", "a,b,c,y\n1,2,3,4\n", spec.CSV{Header: true, Features: []string{"c", "a"}}, Options{}, "[3 1]", "[4]", "[]"},
		{"regression", "a,y\n1,0.5\n2,7\n", spec.CSV{Header: true, Task: "regression"}, Options{Loss: "huber"}, "[1 2]", "[0.5 7]", "[]"},
		{"auto numbers", "a,y\n1,3\n2,7\n", spec.CSV{Header: true, Task: "auto"}, Options{Loss: "mean_squared_error"}, "[1 2]", "[3 7]", "[]"},
		{"auto classes", "a,y\n1,10\n2,9\n3,10\n", spec.CSV{Header: true, Task: "auto"}, Options{Loss: "sparse_categorical_crossentropy"}, "[1 2 3]", "[1 0 1]", "[9 10]"},
		{"classes as text", "a,y\n1,10\n2,9\n3,x\n", spec.CSV{Header: true, Task: "classification"}, Options{}, "[1 2 3]", "[0 1 2]", "[10 9 x]"},
		{"binary", "a,y\n1,no\n2,yes\n", spec.CSV{Header: true}, Options{Loss: "binary_crossentropy"}, "[1 2]", "[0 1]", "[no yes]"},
		{"ids", "a,b,y\nu,p,0\nv,q,1\nu,r,0\n", spec.CSV{Header: true, Categorical: []string{"a", "b"}}, Options{IntFeatures: true}, "[0 2 1 3 0 4]", "[0 1 0]", "[]"},
		{"quoted lines", "a,y\n\"1\",\"two\nlines\"\n", spec.CSV{Header: true}, Options{}, "[1]", "[0]", "[two\nlines]"},
		{"unnamed column", ",a,y\n0,5,1\n", spec.CSV{Header: true, Features: []string{"a"}}, Options{}, "[5]", "[1]", "[]"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.csv.Path = write(t, "t.csv", test.text)
			set := load(t, spec.Data{Source: "csv", CSV: test.csv}, test.opt)
			p := set.Parts[data.Train]
			if got := values(&p.X); got != test.x {
				t.Errorf("x = %s, want %s", got, test.x)
			}
			if got := values(&p.Y); got != test.y {
				t.Errorf("y = %s, want %s", got, test.y)
			}
			if got := fmt.Sprint(set.Prep.Labels); got != test.labels {
				t.Errorf("labels = %s, want %s", got, test.labels)
			}
		})
	}
}

func values(t *data.Table) string {
	if t.I32 != nil {
		return fmt.Sprint(t.I32)
	}
	return fmt.Sprint(t.F32)
}

// missingHint ends the message about cells without a value.
const missingHint = "\nhint: missing values are not read: fill them in, or remove those rows or columns"

func TestCSVErrors(t *testing.T) {
	header := spec.CSV{Header: true}
	with := func(change func(*spec.CSV)) spec.CSV {
		c := header
		change(&c)
		return c
	}
	many := strings.Builder{}
	many.WriteString("id,y\n")
	for i := range maxCategories + 1 {
		fmt.Fprintf(&many, "u%d,0\n", i)
	}
	const ce = "sparse_categorical_crossentropy"
	tests := []struct {
		name, text string
		csv        spec.CSV
		opt        Options
		want       string
	}{
		{"empty", "", header, Options{}, "t.csv: empty file, want rows"},
		{"only line ends", "\n\n\n", header, Options{}, "t.csv: empty file, want rows"},
		{"header only", "a,b,y\n", header, Options{}, "t.csv: a header and no rows"},
		{"short row", "a,b,y\n1,2,3\n1,2\n", header, Options{}, `t.csv:3: 2 fields, want 3: nothing for column "y"`},
		{"long row", "a,b,y\n1,2,3,4\n", header, Options{}, `t.csv:2: 4 fields, want 3: "4" is too many`},
		{"text", "a,b,y\n1,2,3\n4,five,6\n", header, Options{}, "t.csv:3: column \"b\": \"five\": not a number\nhint: columns of text are listed in data.csv.categorical: [b]"},
		{"header as row", "a,b,y\n1,2,3\n", spec.CSV{}, Options{}, "t.csv: 2 columns have cells that do not fit:\n  column \"0\": 1 of 2 rows: line 1 \"a\"\n  column \"1\": 1 of 2 rows: line 1 \"b\"\nhint: the first line seems to name the columns: set data.csv.header: true"},
		{"empty cell", "a,b,y\n1,,3\n", header, Options{}, "t.csv:2: column \"b\": empty cell, want a number" + missingHint},
		{"empty category", "a,b,y\n1,,3\n", with(func(c *spec.CSV) { c.Categorical = []string{"b"} }), Options{}, "t.csv:2: column \"b\": empty cell, want a category" + missingHint},
		{"no label", "a,b,y\n1,2,\n", header, Options{Loss: ce}, "t.csv:2: column \"y\": empty cell, want a label" + missingHint},
		{"NaN", "a,b,y\n1,nan,3\n", header, Options{}, "t.csv:2: column \"b\": nan, want a finite number" + missingHint},
		{"Inf", "a,b,y\n-Inf,2,3\n", header, Options{}, `t.csv:2: column "a": -Inf, want a finite number`},
		{"range", "a,b,y\n1e99,2,3\n", header, Options{}, `t.csv:2: column "a": 1e99 is out of the range of float32`},
		{"text target", "a,y\n1,2\n1,high\n", header, Options{Loss: "huber"}, `t.csv:3: column "y": "high": not a number`},
		{"quote", "a,y\n1,\"2\n", header, Options{}, `t.csv:2:6: extraneous or missing " in quoted-field`},
		{"bare quote", "a,y\n1,2\"3\n", header, Options{}, `t.csv:2:4: bare " in non-quoted-field`},
		{"label column", "age,size,klass\n1,2,3\n", with(func(c *spec.CSV) { c.Label = "class" }), Options{}, "t.csv: data.csv.label: no column \"class\", got age, size, klass\nhint: did you mean \"klass\"?"},
		{"label case", "age,size,Class\n1,2,3\n", with(func(c *spec.CSV) { c.Label = "class" }), Options{}, "t.csv: data.csv.label: no column \"class\", got age, size, Class\nhint: did you mean \"Class\"?"},
		{"feature column", "a,b,y\n1,2,3\n", with(func(c *spec.CSV) { c.Features = []string{"a", "z"} }), Options{}, `t.csv: data.csv.features: no column "z", got a, b, y`},
		{"label as feature", "a,b,y\n1,2,3\n", with(func(c *spec.CSV) { c.Features = []string{"a", "y"} }), Options{}, `t.csv: data.csv.features: "y" is the label`},
		{"categorical column", "a,b,y\n1,2,3\n", with(func(c *spec.CSV) { c.Features, c.Categorical = []string{"a"}, []string{"b"} }), Options{}, `t.csv: data.csv.categorical: "b" is not a feature`},
		{"one column", "y\n1\n", header, Options{}, "t.csv: no feature columns besides the label\nhint: check data.csv.delimiter"},
		{"column twice", "a,a,y\n1,2,3\n", header, Options{}, `t.csv:1: column "a" twice`},
		{"delimiter", people, with(func(c *spec.CSV) { c.Delimiter = "::" }), Options{}, `data.csv.delimiter: got "::", want one character that is no quote or line break`},
		{"wrong delimiter", people, with(func(c *spec.CSV) { c.Delimiter = ";" }), Options{}, "t.csv: the first line is one field with delimiter \";\", but holds 3 of \",\"\nhint: set data.csv.delimiter: \",\""},
		{"categories", many.String(), with(func(c *spec.CSV) { c.Categorical = []string{"id"} }), Options{}, `t.csv:4098: column "id": more than 4096 categories, too many to encode one-hot`},
		{"embedding of numbers", "a,b,y\n1,2,3\n", with(func(c *spec.CSV) { c.Categorical = []string{"a"} }), Options{IntFeatures: true}, "t.csv: the model starts with an embedding, which takes integer ids, but b are read as numbers\nhint: list every feature in data.csv.categorical"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.csv.Path = write(t, "t.csv", test.text)
			_, err := Load(context.Background(), spec.Data{Source: "csv", CSV: test.csv}, test.opt)
			wantError(t, err, strings.TrimSuffix(test.csv.Path, "/t.csv"), test.want)
		})
	}
}

// TestCSVNumbersAsNames checks that a row which may have been lost is mentioned.
func TestCSVNumbersAsNames(t *testing.T) {
	for text, want := range map[string]string{
		"1,2.5,3\n4,5,6\n": "t.csv:1: the first line is taken for names, and all are numbers; if it is a row, set data.csv.header: false",
		"a,2,3\n4,5,6\n":   "",
	} {
		said := ""
		d := csvSpec(write(t, "t.csv", text))
		load(t, d, Options{Loss: "huber", Log: func(format string, args ...any) { said += fmt.Sprintf(format, args...) }})
		if got := strings.TrimPrefix(said, filepath.Dir(d.CSV.Path)+"/"); got != want {
			t.Errorf("%q: said %q, want %q", text, got, want)
		}
	}
}

func TestCSVTestFile(t *testing.T) {
	tests := []struct{ name, test, want string }{
		{"good", "class,height,age,city,more\nno,1.5,20,Bonn,!\n", ""},
		{"category", "age,city,height,class\n1,Bonn,1,no\n1,Rom,1,no\n", `test.csv:3: column "city": category "Rom" does not occur in train.csv`},
		{"label", "age,city,height,class\n1,Bonn,1,maybe\n", `test.csv:2: column "class": label "maybe" does not occur in train.csv`},
		{"column", "age,city,size,class\n1,Bonn,1,no\n", `test.csv: features: no column "height", got age, city, size, class`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := folder(t, map[string]string{"train.csv": people, "test.csv": test.test})
			d := csvSpec(dir + "/train.csv")
			d.CSV.TestPath, d.CSV.Categorical, d.CSV.Label = dir+"/test.csv", []string{"city"}, "class"
			set, err := Load(context.Background(), d, Options{})
			if test.want != "" {
				wantError(t, err, dir, test.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			p := set.Parts[data.Test]
			if got, want := fmt.Sprint(p.X.F32, p.Y.I32), "[20 0 1 1.5] [0]"; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

func TestCSVCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	path := write(t, "t.csv", "a,y\n"+strings.Repeat("1,2\n", 5000))
	if _, err := Load(ctx, csvSpec(path), Options{}); err != context.Canceled {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

func FuzzCSV(f *testing.F) {
	f.Add([]byte(people), ",", true)
	f.Add([]byte("\ufeffa;b\r\n\"1\";\"x\"\"y\"\r\n"), ";", true)
	f.Add([]byte("1,2\n3\n"), ",", false)
	f.Add([]byte(",,\n\"\n"), "\t", true)
	f.Add([]byte(zipped(people)), ",", true)
	f.Fuzz(func(t *testing.T, b []byte, delim string, header bool) {
		// A field of one byte costs a name, a column, and places in two maps.
		withinMemory(t, b, 1000, func() { fuzzCSV(t, b, csvFormat{delimiter: delim, header: header}, false) })
		fuzzCSV(t, b, csvFormat{delimiter: delim, header: header}, true)
	})
}

func fuzzCSV(t *testing.T, b []byte, format csvFormat, categorical bool) {
	in, err := newStream(bytes.NewReader(b), "fuzz")
	if err != nil {
		return
	}
	var lay *layout
	rows, err := decodeCSV(context.Background(), in, format, func(fields []string) (_ *layout, err error) {
		d := spec.CSV{}
		if categorical {
			d.Categorical = fields[:len(fields)-1]
		}
		lay, err = newLayout(fields, d, Options{})
		return lay, err
	})
	if err != nil {
		return
	}
	lay.settle(rows)
	p := lay.part(rows)
	if p.X.Rows() != p.Rows || p.Y.Rows() != p.Rows || p.Rows == 0 {
		t.Errorf("%d rows of x, %d of y, want %d", p.X.Rows(), p.Y.Rows(), p.Rows)
	}
}

// TestCSVLongLine is a small file that unpacks to a line without end.
func TestCSVLongLine(t *testing.T) {
	path := write(t, "long.csv", zipped("a,b\n1,2\n"+strings.Repeat("1", maxLine+1<<20)))
	_, err := Load(context.Background(), csvSpec(path), Options{})
	wantError(t, err, filepath.Dir(path), fmt.Sprintf("long.csv: a line of more than %d bytes, want rows of CSV", maxLine))
}
