package spec

import (
	"bytes"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestUnroll(t *testing.T) {
	s, err := Parse("x.yaml", []byte(`
data: {source: digits}
loss: huber
model:
  - dense: 4
  - repeat:
      times: 2
      layers:
        - dense: 4
        - repeat: {times: 2, layers: [dropout: 0.1]}
          name: drops
        - add: {}
          inputs: [input, drops]
    name: blocks
  - concatenate: {}
    inputs: [dense, blocks, input]
`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range s.Unroll() {
		got = append(got, fmt.Sprintf("%s(%s) %s", l.Name, strings.Join(l.Inputs, ", "), l.Path))
	}
	want := []string{
		"dense(input) model[0]",
		"dense_1_1(dense) model[1].repeat.layers[0]",
		"dropout_1_1(dense_1_1) model[1].repeat.layers[1].repeat.layers[0]",
		"dropout_1_2(dropout_1_1) model[1].repeat.layers[1].repeat.layers[0]",
		"add_1(dense, dropout_1_2) model[1].repeat.layers[2]",
		"dense_1_2(add_1) model[1].repeat.layers[0]",
		"dropout_2_1(dense_1_2) model[1].repeat.layers[1].repeat.layers[0]",
		"dropout_2_2(dropout_2_1) model[1].repeat.layers[1].repeat.layers[0]",
		"add_2(add_1, dropout_2_2) model[1].repeat.layers[2]",
		"concatenate(dense, add_2, input) model[2]",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Unroll =\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestNames gives layers without names free ones, also where the copies of a
// block take some.
func TestNames(t *testing.T) {
	s, err := Parse("x.yaml", []byte(`
data: {source: digits}
loss: huber
model:
  - repeat: {times: 3, layers: [dense: 4]}
  - dense: 4
  - dense: 4
  - dropout: 0.5
    name: dense_5
  - dense: 4
`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range s.Unroll() {
		got = append(got, l.Name)
	}
	want := []string{"dense_1", "dense_2", "dense_3", "dense_4", "dense_6", "dense_5", "dense_7"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("names = %v, want %v", got, want)
	}
}

func TestParseInterval(t *testing.T) {
	cases := map[string]Interval{
		"never": {}, "1 epoch": {Epochs: 1}, "2 epochs": {Epochs: 2}, "500 steps": {Steps: 500}, "1 step": {Steps: 1},
	}
	for text, want := range cases {
		if got, err := parseInterval(text); got != want || err != nil {
			t.Errorf("parseInterval(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "2", "epochs", "0 epochs", "-1 steps", "2  steps", "2 steps ", "1e3 steps", "99999999999999999999 steps"} {
		if got, err := parseInterval(text); err == nil {
			t.Errorf("parseInterval(%q) = %v, want an error", text, got)
		}
	}
}

// TestVariables checks that no two settings have the same variable, and that no
// setting is taken for a variable of Kubernetes.
func TestVariables(t *testing.T) {
	seen := map[string]string{}
	for _, s := range settings() {
		if other := seen[s.env()]; other != "" {
			t.Errorf("%s is both %s and %s", s.env(), other, s.key)
		}
		seen[s.env()] = s.key
		if foreign.MatchString(s.env()) {
			t.Errorf("%s is taken for a foreign variable", s.env())
		}
	}
}

func TestAddFlags(t *testing.T) {
	fs := pflag.NewFlagSet("x", pflag.ContinueOnError)
	AddFlags(fs, "backend", "threads")
	var got []string
	fs.VisitAll(func(f *pflag.Flag) { got = append(got, f.Name) })
	if want := []string{"backend", "threads"}; !reflect.DeepEqual(got, want) {
		t.Errorf("flags = %v, want %v", got, want)
	}
	s, err := Parse("x.yaml", []byte(base+tail), Options{Flags: fs, Set: []Override{{"train.epochs", "7"}}})
	if err != nil || s.Train.Epochs != 7 {
		t.Errorf("Parse with Set = %+v, %v", s, err)
	}
	all := pflag.NewFlagSet("x", pflag.ContinueOnError)
	AddFlags(all)
	if err := all.Parse([]string{"--set", "epochs"}); err == nil || !strings.Contains(err.Error(), `got "epochs", want key=value`) {
		t.Errorf("--set epochs: %v", err)
	}
	golden(t, filepath.Join("testdata", "flags.golden"), []byte(all.FlagUsages()))
}

// TestErrorf places an error that is found later, such as a shape.
func TestErrorf(t *testing.T) {
	s, err := Parse("x.yaml", []byte(base+tail), Options{})
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]string{
		"model[0]":                 "x.yaml:2:9: model[0]: no",
		"model[0].flatten.what":    "x.yaml:2:9: model[0].flatten.what: no",
		"data.validation_split":    "x.yaml:1:42: data.validation_split: no",
		"data.csv.path":            "x.yaml:1:1: data.csv.path: no",
		"backend.kind":             "x.yaml: backend.kind: no",
		"optimizer.adam.clipvalue": "x.yaml: optimizer.adam.clipvalue: no",
	}
	for path, want := range cases {
		if got := s.Errorf(path, "no").Error(); got != want {
			t.Errorf("Errorf(%s) = %q, want %q", path, got, want)
		}
	}
}

func TestErrors(t *testing.T) {
	var many Errors
	for i := range maxShown + 3 {
		many = append(many, &Error{File: "x.yaml", Line: i + 1, Msg: "bad"})
	}
	text := many.Error()
	if n := strings.Count(text, "\n") + 1; n != maxShown+1 || !strings.HasSuffix(text, "\nand 3 more") {
		t.Errorf("%d lines, ending in %q", n, text[len(text)-20:])
	}
	if got := len(many.Unwrap()); got != len(many) {
		t.Errorf("Unwrap gives %d errors, want %d", got, len(many))
	}
}

func TestDescribe(t *testing.T) {
	var b bytes.Buffer
	for _, kind := range []string{"", "dense", "max_pooling2d", "mean_absolute_error", "adamw", "relu", "he_normal"} {
		fmt.Fprintf(&b, "$ gespann layers %s\n", kind)
		if err := Describe(&b, kind); err != nil {
			t.Fatal(err)
		}
		b.WriteByte('\n')
	}
	golden(t, filepath.Join("testdata", "describe.golden"), b.Bytes())
	err := Describe(&b, "desne")
	if want := "unknown kind \"desne\"\nhint: did you mean \"dense\"?"; err == nil || err.Error() != want {
		t.Errorf("Describe(desne) = %v, want %s", err, want)
	}
}

func TestClosest(t *testing.T) {
	known := []string{"units", "activation", "use_bias", "adam", "adamw", "mnist", "f"}
	cases := map[string]string{
		"unit": "units", "untis": "units", "Units": "units", "activaton": "activation", "-": "", "bias": "",
		"adma": "adam", "adamW": "adamw", "nmist": "mnist", "": "", "x": "", "actuvatuin": "activation",
	}
	for word, want := range cases {
		if got := closest(word, known); got != want {
			t.Errorf("closest(%q) = %q, want %q", word, got, want)
		}
	}
}

// TestDocs checks that every key and kind is explained.
func TestDocs(t *testing.T) {
	for _, s := range settings() {
		if !strings.HasSuffix(s.doc, ".") && !strings.HasSuffix(s.doc, "...") {
			t.Errorf("%s: doc %q is no sentence", s.key, s.doc)
		}
	}
	for _, g := range groups() {
		for name, k := range g.kinds {
			if k.Doc == "" {
				t.Errorf("%s %s has no doc", g.one, name)
			}
			for _, f := range paramsOf(k) {
				if !strings.HasSuffix(f.doc, ".") {
					t.Errorf("%s.%s: doc %q is no sentence", name, f.key, f.doc)
				}
			}
		}
	}
}

// TestIDXTestSplit is a folder that may lack the files of the test part: only
// reading it can tell.
func TestIDXTestSplit(t *testing.T) {
	const text = "data: {source: idx, dir: d, test_split: 0.1}\nmodel: [flatten, dense: 2]\n" +
		"loss: sparse_categorical_crossentropy\n"
	s, err := Parse("x.yaml", []byte(text), Options{})
	if err != nil || s.Data.TestSplit != 0.1 {
		t.Errorf("got %v, %v, want a test_split of 0.1", s, err)
	}
}
