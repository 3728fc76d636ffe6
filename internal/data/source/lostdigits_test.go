package source

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gespann/gespann/model/spec"
)

// TestLostDigits checks that features of more digits than float64 has are named when
// they are normalised, and refused when they are not.
func TestLostDigits(t *testing.T) {
	const (
		advice = "what is normalised has lost its last digits; subtract the least before it is saved, or leave it out if it only names something\n"
		ids    = "id,y\n9007199254740992,1\n9007199254740993,2\n9007199254740994,3\n"
		times  = "t,y\n1700000000000000.25,1\n1700000000000000.5,2\n1700000000000000.75,3\n"
	)
	for name, test := range map[string]struct{ text, normalize, err, log string }{
		"integers": {ids, "scale", "", `t.csv:3: column "id": integer 9007199254740993 becomes 9007199254740992 as float64: ` + advice},
		"as they are": {ids, "none", "t.csv:3: column \"id\": integer 9007199254740993 becomes 9007199254740992 as float32, " +
			"one of 2 such cells in 3 rows: line 4 \"9007199254740994\"\nhint: data.normalize: standard or scale is computed from the number itself; a number that only names something is no feature", ""},
		"fractions": {times, "scale", "", "t.csv: feature \"t\": float64 has numbers near 1.7e+15 in steps of 0.25, and the column is 0.5 wide: " +
			"normalised they are off by up to 0.5; subtract the least before it is saved\n"},
		"a mean": {"t,y\n1700000000000001,1\n1700000000000000,2\n1700000000000003,3\n", "standard", "", "t.csv: feature \"t\": " +
			"float64 has numbers near 1.7e+15 in steps of 0.25, and the column is 1.2 wide: normalised they are off by up to 0.2; subtract the least before it is saved\n"},
		"enough": {"t,y\n1700000000,1\n1700086400,2\n", "standard", "", ""},
		"exact":  {"t,y\n1700000000000001,1\n1700000000000000,2\n", "scale", "", ""},
		"targets": {"a,y\n1,9007199254740993\n2,5\n", "none", "",
			"t.csv:2: column \"y\": integer 9007199254740993 becomes 9007199254740992 as float32: targets are float32, as predictions are\n"},
	} {
		t.Run(name, func(t *testing.T) {
			d := csvSpec(write(t, "t.csv", test.text))
			d.Normalize = test.normalize
			wantLoad(t, d, "huber", filepath.Dir(d.CSV.Path), test.err, test.log)
		})
	}

	files := folder(t, map[string]string{
		"x.npy": npy("<i8", "(2, 1)", []int64{1 << 53, 1<<53 + 1}), "y.npy": npy("<u8", "(2,)", []uint64{1, 1<<63 + 1}),
	})
	d := spec.Data{Source: "npy", Normalize: "scale", NPY: spec.NPY{X: files + "/x.npy", Y: files + "/y.npy"}}
	wantLoad(t, d, "huber", files, "", "x.npy: element 1: integer 9007199254740993 becomes 9007199254740992 as float64: "+advice+
		"y.npy: element 1: integer 9223372036854775809 becomes 9223372036854775808 as float64: targets are float32, as predictions are\n")
	d.Normalize = "none"
	_, err := Load(t.Context(), d, Options{Loss: "huber"})
	if err == nil || !strings.Contains(fmt.Sprint(err), "x.npy: element 1: integer 9007199254740993 becomes 9007199254740992 as float64\nhint: ") {
		t.Errorf("got %v", err)
	}
}
