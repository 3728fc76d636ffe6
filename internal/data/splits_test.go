package data

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

// splitsOf describes rows of two bytes, and a class of the first.
func splitsOf(seed uint64, parts ...string) Splits {
	var all [3]Part
	for i, rows := range parts {
		p := Part{Rows: len(rows) / 2, X: Table{Shape: []int{2}, U8: []byte(rows)}, Y: Table{Shape: []int{}}}
		for j := range p.Rows {
			p.Y.I32 = append(p.Y.I32, int32(rows[2*j]))
		}
		all[i] = p
	}
	return NewSplits(seed, 0.25, 0.2, &all)
}

func TestSplitsCheck(t *testing.T) {
	run := splitsOf(1, "aabbcc", "dd", "eeff")
	for name, c := range map[string]struct {
		now  Splits
		want string // of the test rows; "": they are the run's
	}{
		"same":             {splitsOf(1, "aabbcc", "dd", "eeff"), ""},
		"other training":   {splitsOf(1, "aabbcx", "dd", "eeff"), ""},
		"other seed":       {splitsOf(2, "aabbee", "dd", "ccff"), "they were drawn with split_seed 1, validation_split 0.25, test_split 0.2; now with split_seed 2, "},
		"appended":         {splitsOf(1, "aabbccgg", "dd", "eeffhh"), "the run has 2, here are 3"},
		"none":             {splitsOf(1, "aabbccgg", "dd"), "the run has 2, here are 0"},
		"another order":    {splitsOf(1, "aabbff", "dd", "eecc"), "the data has the same rows in another order"},
		"order in a split": {splitsOf(1, "aabbcc", "dd", "ffee"), "the data has the same rows in another order"},
		"other content":    {splitsOf(1, "aabbcc", "dd", "eefx"), "they are as many, 2, with other content (sha256 "},
	} {
		err := c.now.Check(&run, Test)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: got %v, want none", name, err)
			}
			continue
		}
		var split *SplitError
		if !errors.As(err, &split) || !strings.HasPrefix(err.Error(), "the test rows are not those of the run: "+c.want) {
			t.Errorf("%s: got %v, want ... %s...", name, err, c.want)
		}
	}
	if err := run.Check(new(Splits), Train, Test); err != nil {
		t.Errorf("of a run that has not recorded its rows: got %v, want none", err)
	}
}

// TestSplitsOfTargets checks that the targets count, and how many bytes are whose.
func TestSplitsOfTargets(t *testing.T) {
	part := func(x, y string) *[3]Part {
		return &[3]Part{{Rows: 2, X: Table{Shape: []int{len(x) / 2}, U8: []byte(x)}, Y: Table{Shape: []int{len(y) / 2}, U8: []byte(y)}}}
	}
	a := NewSplits(1, 0, 0, part("abcd", "xy"))
	if b := NewSplits(1, 0, 0, part("abcd", "yx")); a.Parts == b.Parts || a.Rows == b.Rows {
		t.Error("with other targets the digests are the same")
	}
}

func TestHoldsOut(t *testing.T) {
	run := splitsOf(1, "aabbcc", "dd", "eeff")
	for name, c := range map[string]struct {
		now        Splits
		yes, known bool // of the test rows
	}{
		"same":           {splitsOf(1, "aabbcc", "dd", "eeff"), true, true},
		"all trained on": {splitsOf(1, "aabbccddeeff"), true, true},
		"val as test":    {splitsOf(1, "aabbcceeff", "", "dd"), true, true},
		"other split":    {splitsOf(2, "aabbee", "dd", "ccff"), false, true},
		"other data":     {splitsOf(1, "aabbccgg", "dd", "eehh"), false, false},
	} {
		if yes, known := c.now.HoldsOut(Test, &run); yes != c.yes || known != c.known {
			t.Errorf("%s: got %v, %v, want %v, %v", name, yes, known, c.yes, c.known)
		}
	}
	now := splitsOf(1, "aabbcc", "dd", "eeff")
	if yes, known := now.HoldsOut(Test, new(Splits)); yes || known {
		t.Errorf("of a run without a record: got %v, %v, want false, false", yes, known)
	}
}

func FuzzSplitsJSON(f *testing.F) {
	text, err := json.Marshal(splitsOf(7, "aabbcc", "", "eeff"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"split_seed":1,"training":{"rows":-1}}`))
	f.Add([]byte(`{"training":{"rows":3}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var s, again Splits
		if json.Unmarshal(text, &s) != nil {
			return
		}
		for i, p := range s.Parts {
			if p.Rows < 0 || (p.Rows > 0) != (p.Digest != "") {
				t.Errorf("%v: accepted %+v", Split(i), p)
			}
		}
		out, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(out, &again); err != nil || !reflect.DeepEqual(again, s) {
			t.Errorf("%s became %s: %v", text, out, err)
		}
	})
}
