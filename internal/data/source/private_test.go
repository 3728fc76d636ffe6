package source

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gespann/gespann/internal/infile"
	"github.com/gespann/gespann/model/spec"
)

// TestPrivate reads files with all kinds of faults, privately and not: only the messages to
// the reader's own terminal say what stands in them.
func TestPrivate(t *testing.T) {
	const classes, regression = "sparse_categorical_crossentropy", "mean_squared_error"
	csv := spec.CSV{Header: true}
	long := strings.Repeat("7", 25)
	for name, c := range map[string]struct {
		text string
		data spec.Data
		loss string
		want string // in private
		says string // not in private
	}{
		"text":          {"a,y\n1,0\nSECRET,1\n", spec.Data{CSV: csv}, classes, ":3: column number 1: (6 letters): not a number", "SECRET"},
		"two columns":   {"SECRET,b,y\n1,0,0\nPRIVATE,SECRET,1\n", spec.Data{CSV: csv}, classes, "2 columns have cells that do not fit", "PRIVATE"},
		"missing":       {"a,y\n1,0\nNA,1\n", spec.Data{CSV: csv}, classes, "(2 letters): not a number", `"NA"`},
		"comma":         {"a;y\n1;0\n1234,5;1\n", spec.Data{CSV: spec.CSV{Header: true, Delimiter: ";"}}, classes, "numbers have a decimal point", "1234"},
		"range":         {"a,y\n1,0\n9e99,1\n", spec.Data{CSV: csv}, classes, "(4 letters) is out of the range", "9e99"},
		"infinite":      {"a,y\n1,0\nInf,1\n", spec.Data{CSV: csv}, classes, "(3 letters), want a finite number", "Inf"},
		"inexact":       {"a,y\n1,0\n16777217,1\n", spec.Data{CSV: csv}, classes, "integer (8 letters) becomes (8 letters)", "16777217"},
		"ragged":        {"SECRET,y\n1,0\n3\n", spec.Data{CSV: csv}, classes, ":3: 1 fields, want 2", ""},
		"ragged, long":  {"a,y\n1,0\n3,4,SECRET\n", spec.Data{CSV: csv}, classes, ":3: 3 fields, want 2: (6 letters) is too many", "SECRET"},
		"a name twice":  {"SECRET,SECRET\n1,0\n", spec.Data{CSV: csv}, classes, ":1: column number 2 twice", "SECRET"},
		"no label":      {"SECRET,PRIVATE\n1,0\n", spec.Data{CSV: spec.CSV{Header: true, Label: "mine"}}, classes, `no column "mine", got 2 columns`, "SECRET, PRIVATE"},
		"near":          {"HIDDEN1,y\n1,0\n", spec.Data{CSV: spec.CSV{Header: true, Label: "HIDDEN"}}, classes, "did you mean number 1?", `did you mean "HIDDEN1"?`},
		"label":         {"a,y\n1,0\n2,SECRET\n", spec.Data{CSV: csv}, regression, ":3: column number 2: (6 letters): not a number", "SECRET"},
		"target":        {"a,y\n1,0\n2,-77\n", spec.Data{CSV: csv}, "binary_crossentropy", "", ""},
		"fraction":      {"a,y\n1,0\n2,7.25\n", spec.Data{CSV: csv}, classes, "label (4 letters) is a number", "7.25"},
		"two ways":      {"a,y\n1,7.0\n2,7\n", spec.Data{CSV: spec.CSV{Header: true, Task: "classification"}}, classes, "is the number that (3 letters) is", "7.0"},
		"byte":          {"a,y\n1,0\nSECR\xc9T,1\n", spec.Data{CSV: csv}, classes, ":3: byte (4 letters) is not UTF-8", "SECRÉT"},
		"test file":     {"a,y\n1,0\n2,1\n", spec.Data{CSV: spec.CSV{Header: true, Categorical: []string{"a"}, TestPath: "words"}}, classes, "column number 1: 1 of 2 rows: line 2 (6 letters)", "SECRET"},
		"test label":    {"a,y\n1,0\n2,1\n", spec.Data{CSV: spec.CSV{Header: true, TestPath: "words"}}, classes, "", "SECRET"},
		"no ids":        {"SECRET,y\n1,0\n", spec.Data{CSV: csv}, "ids", "but 1 columns are read as numbers", "SECRET"},
		"not normal":    {"SECRET,y\n1,0\n1e-300,1\n" + long + "e12,0\n", spec.Data{CSV: csv, Normalize: "scale"}, classes, "", ""},
		"marks of ours": {"a,y\n1,0\n\ue000x\ue001SECRET\ue002,1\n", spec.Data{CSV: csv}, classes, "(10 letters): not a number", `\ue001SECRET`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			d := c.data
			d.Source, d.CSV.Path = "csv", writeIn(t, dir, "t.csv", c.text)
			if d.CSV.TestPath != "" {
				d.CSV.TestPath = writeIn(t, dir, "words.csv", "a,y\nSECRET,1\n1,SECRET\n")
			}
			for _, private := range []bool{false, true} {
				opt := Options{Loss: c.loss, Private: private, Files: infile.Files{Confined: private, Roots: []string{dir}}}
				if c.loss == "ids" {
					opt.Loss, opt.IntFeatures = classes, true
				}
				var log strings.Builder
				opt.Log = func(format string, args ...any) { fmt.Fprintf(&log, format+"\n", args...) }
				_, err := Load(t.Context(), d, opt)
				said := log.String()
				if err != nil {
					said += err.Error()
				}
				if strings.ContainsAny(said, markBegin+markOr+markEnd) {
					t.Errorf("private %v: marks are left: %q", private, said)
				}
				if private && !strings.Contains(said, c.want) || !private && !strings.Contains(said, c.says) {
					t.Errorf("private %v: got %s, want %q or %q", private, said, c.want, c.says)
				}
				for _, secret := range []string{"SECR", "PRIV", c.says} {
					if private && secret != "" && strings.Contains(said, secret) {
						t.Errorf("private: got %s with %q in it", said, secret)
					}
				}
			}
		})
	}
}

// TestPrivateArrays is TestPrivate for arrays.
func TestPrivateArrays(t *testing.T) {
	dir := t.TempDir()
	x := writeIn(t, dir, "x.npy", npy("<f4", "(3, 1)", []float32{1, 2, 3}))
	for name, c := range map[string]struct{ file, want, says string }{
		"labels":   {npy("<i4", "(3,)", []int32{0, 1, -777}), "row 2: label out of range, want 0 to", "-777"},
		"few":      {npy("<i4", "(3,)", []int32{5, 6, -7777777}), "row 2: label out of range", "-7777777"},
		"no array": {"SECRET PRIVATE", "starts with (17 letters), want", "53 45 43"},
		"header":   {npyText("{SECRET}", nil), "got (7 letters), want a string", "SECRET"},
	} {
		t.Run(name, func(t *testing.T) {
			y := writeIn(t, dir, "y.npy", c.file)
			for _, private := range []bool{false, true} {
				_, err := Load(t.Context(), spec.Data{Source: "npy", NPY: spec.NPY{X: x, Y: y}},
					Options{Loss: "sparse_categorical_crossentropy", Private: private})
				want := map[bool]string{true: c.want, false: c.says}[private]
				if err == nil || !strings.Contains(err.Error(), want) || private && strings.Contains(err.Error(), c.says) {
					t.Errorf("private %v: got %v, want %s", private, err, want)
				}
			}
		})
	}
}

// TestConfined checks that every reader goes by the data roots, and that errors stay what
// they are.
func TestConfined(t *testing.T) {
	dir, away := t.TempDir(), t.TempDir()
	out := writeIn(t, away, "t", "a,y\n1,0\n")
	opt := Options{Private: true, Files: infile.Files{Confined: true, Roots: []string{dir}}}
	for name, d := range map[string]spec.Data{
		"csv":       {Source: "csv", CSV: spec.CSV{Path: out, Header: true}},
		"csv, test": {Source: "csv", CSV: spec.CSV{Path: writeIn(t, dir, "t.csv", "a,y\n1,0\n2,1\n"), TestPath: out, Header: true}},
		"npy":       {Source: "npy", NPY: spec.NPY{X: out, Y: out}},
		"npz":       {Source: "npy", NPY: spec.NPY{X: out + ".npz:x", Y: out}},
		"idx":       {Source: "idx", Dir: away},
		"mnist":     {Source: "mnist", Dir: away},
		"relative":  {Source: "csv", CSV: spec.CSV{Path: "../" + filepath.Base(away) + "/t", Header: true}, Root: dir},
		"root":      {Source: "csv", CSV: spec.CSV{Path: "t", Header: true}, Root: away},
		"none":      {Source: "csv", CSV: spec.CSV{Path: "t", Header: true}},
	} {
		if _, err := Load(t.Context(), d, opt); !errors.As(err, new(*infile.OutsideError)) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	_, err := Load(t.Context(), spec.Data{Source: "csv", CSV: spec.CSV{Path: dir + "/none"}}, opt)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: got %v", err)
	}
}
