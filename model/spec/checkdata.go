package spec

import (
	"fmt"
	"slices"
	"strings"
)

// data checks that the settings of data fit its source.
func (d *decoder) data() {
	x := &d.spec.Data
	if x.Source == "" {
		return // missing, which is reported already
	}
	need := func(path, value string) {
		if value == "" && !d.meant["data."+path] {
			d.report("data."+path, "", "missing, wanted by source %s", x.Source)
		}
	}
	useless := func(section, sources string) {
		for _, path := range d.givenBelow("data." + section) {
			d.report(path, "", "has no effect: source is %s, not %s", x.Source, sources)
		}
	}
	switch x.Source {
	case "csv":
		need("csv.path", x.CSV.Path)
	case "npy":
		need("npy.x", x.NPY.X)
		need("npy.y", x.NPY.Y)
	case "idx":
		need("dir", x.Dir)
	}
	switch {
	case x.NPY.TestX != "" && x.NPY.TestY == "":
		d.report("data.npy.test_y", "", "missing, wanted with test_x")
	case x.NPY.TestY != "" && x.NPY.TestX == "":
		d.report("data.npy.test_x", "", "missing, wanted with test_y")
	}
	if x.Source != "csv" {
		useless("csv", "csv")
	}
	if x.Source != "npy" {
		useless("npy", "npy")
	}
	if x.Dir != "" && !slices.Contains([]string{"mnist", "fashion_mnist", "idx"}, x.Source) {
		d.report("data.dir", "", "has no effect: source is %s, not mnist, fashion_mnist or idx", x.Source)
	}
	if test := d.testPart(); test != "" && x.TestSplit > 0 {
		d.report("data.test_split", "", "has no effect: %s has a test part", test)
	}
	d.csv()
	d.labels()
}

// testPart says what is sure to bring rows for the test, or "". A folder of source
// idx may or may not.
func (d *decoder) testPart() string {
	x := &d.spec.Data
	switch {
	case x.Source == "mnist" || x.Source == "fashion_mnist":
		return "source " + x.Source
	case x.CSV.TestPath != "":
		return "data.csv.test_path"
	case x.NPY.TestX != "":
		return "data.npy.test_x"
	default:
		return ""
	}
}

// twice reports the columns of a list that are named a second time.
func (d *decoder) twice(path string, columns []string) {
	for i, name := range columns {
		if first := slices.Index(columns, name); first < i {
			d.report(fmt.Sprintf("%s[%d]", path, i), "", "%q is %s[%d] already", clip(name), path, first)
		}
	}
}

// csv checks the settings of CSV files.
func (d *decoder) csv() {
	x := &d.spec.Data
	if x.CSV.Delimiter == `\t` { // as flags, variables and 'quoted' text of YAML have it
		x.CSV.Delimiter = "\t"
	}
	if n := len([]rune(x.CSV.Delimiter)); n != 1 || strings.ContainsAny(x.CSV.Delimiter, "\"\r\n\ufffd") {
		d.report("data.csv.delimiter", "", "got %q, want one character that is no quote or line break, or \\t", clip(x.CSV.Delimiter))
	}
	d.twice("data.csv.features", x.CSV.Features)
	d.twice("data.csv.categorical", x.CSV.Categorical)
	if slices.Contains(x.CSV.Features, x.CSV.Label) && x.CSV.Label != "" {
		d.report("data.csv.features", "", "has the label %q", clip(x.CSV.Label))
	}
	for i, name := range x.CSV.Categorical {
		if len(x.CSV.Features) > 0 && !slices.Contains(x.CSV.Features, name) {
			d.report(fmt.Sprintf("data.csv.categorical[%d]", i), "", "%q is not one of data.csv.features", clip(name))
		}
	}
}

// labels checks that the form of the labels fits the loss.
func (d *decoder) labels() {
	x, loss := &d.spec.Data, d.spec.Loss.Kind
	classes := slices.Contains([]string{"digits", "mnist", "fashion_mnist", "idx"}, x.Source) ||
		x.Source == "csv" && x.CSV.Task != "regression"
	switch {
	case x.OneHot && loss == "sparse_categorical_crossentropy":
		d.report("data.one_hot", "use categorical_crossentropy, or one_hot: false",
			"got true, but sparse_categorical_crossentropy wants integer labels")
	case !x.OneHot && classes && loss == "categorical_crossentropy":
		d.report("loss", "use sparse_categorical_crossentropy, or data.one_hot: true",
			"categorical_crossentropy wants one-hot rows, but labels are integers")
	case x.OneHot && x.Source == "csv" && x.CSV.Task == "regression":
		d.report("data.one_hot", "", "has no effect: data.csv.task is regression")
	case x.CSV.Task == "regression" && strings.HasSuffix(loss, "categorical_crossentropy"):
		d.report("data.csv.task", "", "got regression, but %s wants classes", loss)
	}
}
