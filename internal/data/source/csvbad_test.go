package source

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/gespann/gespann/model/spec"
)

// TestBadCells checks what is said of cells that are no numbers: all columns at once,
// how many, the first lines, and a hint that does not make it worse.
func TestBadCells(t *testing.T) {
	many := "a,b,y\n"
	for i := range 120 {
		many += [...]string{"NA", "1", "2"}[i%3] + "," + [...]string{"Bonn", "Rom"}[i%2] + ",1\n"
	}
	wide := strings.Repeat("c,", 13)
	for i := range 13 {
		wide = strings.Replace(wide, "c,", fmt.Sprintf("c%d,", i), 1)
	}
	wide += "y\n" + strings.Repeat("x,", 13) + "1\n" + strings.Repeat("1,", 13) + "1\n" + strings.Repeat("1,", 13) + "1\n"
	tests := []struct {
		name, text string
		csv        spec.CSV
		want       string
	}{
		{"NA", "a,y\n1,2\nNA,3\n", spec.CSV{}, `t.csv:3: column "a": "NA": not a number` + missingHint},
		{"several", many, spec.CSV{}, "t.csv: 2 columns have cells that do not fit:" +
			"\n  column \"a\": 40 of 120 rows: line 2 \"NA\", line 5 \"NA\", line 8 \"NA\", ..." +
			"\n  column \"b\": 120 of 120 rows: line 2 \"Bonn\", line 3 \"Rom\", line 4 \"Bonn\", ..." +
			"\nhint: columns of text are listed in data.csv.categorical: [b]" + missingHint},
		{"many columns", wide, spec.CSV{}, "t.csv: 13 columns have cells that do not fit:" + func() (s string) {
			for i := range 10 {
				s += fmt.Sprintf("\n  column \"c%d\": 1 of 3 rows: line 2 \"x\"", i)
			}
			return s
		}() + "\n  and 3 more columns\nhint: correct \"x\", or leave the column out of data.csv.features"},
		{"decimal comma", "a;y\n1;2\n\"20404,97\";3\n1,5;4\n", spec.CSV{Delimiter: ";"},
			"t.csv:3: column \"a\": \"20404,97\": not a number, one of 2 such cells in 3 rows: line 4 \"1,5\"" +
				"\nhint: numbers have a decimal point: write 20404.97 for 20404,97"},
		{"thousands and comma", "a,y\n\"1.234,5\",2\n", spec.CSV{},
			"t.csv:2: column \"a\": \"1.234,5\": not a number\nhint: numbers have a decimal point: write 1234.5 for 1.234,5"},
		{"thousands", "a,y\n\"1,234,567\",2\n", spec.CSV{},
			"t.csv:2: column \"a\": \"1,234,567\": not a number\nhint: numbers have a decimal point, and nothing between thousands: write 1,234,567 as one number"},
		{"thousands or comma", "a,y\n\"1,234\",2\n", spec.CSV{},
			"t.csv:2: column \"a\": \"1,234\": not a number\nhint: numbers have a decimal point, and nothing between thousands: write 1,234 as one number"},
		{"decimal comma in the label", "a;y\n1;20404,97\n2;3,5\n", spec.CSV{Delimiter: ";"},
			"t.csv:2: column \"y\": \"20404,97\": not a number, one of 2 such cells in 2 rows: line 3 \"3,5\"" +
				"\nhint: numbers have a decimal point: write 20404.97 for 20404,97"},
		{"wrong delimiter", "a;b;y\n1;2;3\n", spec.CSV{},
			"t.csv: the first line is one field with delimiter \",\", but holds 2 of \";\"\nhint: set data.csv.delimiter: \";\""},
		{"tabs", "a\tb\ty\n1\t2\t3\n", spec.CSV{},
			"t.csv: the first line is one field with delimiter \",\", but holds 2 of \"\\t\"\nhint: set data.csv.delimiter: \"\\t\""},
		{"wrong delimiter and decimal commas", "1,5;2,5;3\n2,5;3,5;4\n", spec.CSV{Task: "classification", Label: "2"},
			"t.csv:1: column \"1\": \"5;2\": not a number, one of 2 such cells in 2 rows: line 2 \"5;3\"" +
				"\nhint: is \";\" the delimiter? Then set data.csv.delimiter: \";\""},
		{"JSON lines", "{\"a\": 1, \"y\": 2}\n{\"a\": 2, \"y\": 3}\n", spec.CSV{Label: "y"},
			"t.csv: begins as JSON does, want CSV\nhint: in Python: pandas.read_json(\"x.json\", lines=True).to_csv(\"x.csv\", index=False)"},
		{"JSON columns", "{\"a\": {\"0\": 1}, \"y\": {\"0\": 3}}\n", spec.CSV{Label: "y"},
			"t.csv: begins as JSON does, want CSV\nhint: in Python: pandas.read_json(\"x.json\").to_csv(\"x.csv\", index=False)"},
		{"JSON", "[{\"a\": 1, \"y\": 2}]\n", spec.CSV{Label: "y"},
			"t.csv: begins as JSON does, want CSV\nhint: in Python: pandas.read_json(\"x.json\").to_csv(\"x.csv\", index=False)"},
		{"few of text", "a,y\n1,2\n3,4\n5,6\nx,7\n", spec.CSV{},
			"t.csv:5: column \"a\": \"x\": not a number\nhint: correct \"x\", or leave the column out of data.csv.features"},
		{"units", "a,y\n12 km,2\n3,4\n5,6\n", spec.CSV{},
			"t.csv:2: column \"a\": \"12 km\": not a number\nhint: correct \"12 km\", or leave the column out of data.csv.features"},
		{"later error", "a,y\nNA,2\n3\n", spec.CSV{}, `t.csv:2: column "a": "NA": not a number` + missingHint},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.csv.Path = write(t, "t.csv", test.text)
			test.csv.Header = test.text[0] != '1'
			_, err := Load(context.Background(), spec.Data{Source: "csv", CSV: test.csv}, Options{Loss: "huber"})
			wantError(t, err, strings.TrimSuffix(test.csv.Path, "/t.csv"), test.want)
		})
	}
}

// TestDelimiterHint checks that a message about other rows says of the training what is
// so, and what gave another delimiter.
func TestDelimiterHint(t *testing.T) {
	for name, c := range map[string]struct {
		now, setBy, text, want string
	}{
		"variable": {";", "GESPANN_DATA_CSV_DELIMITER", "age,city,height\n1,Bonn,2\n",
			"with delimiter \";\", but holds 2 of \",\"\nhint: that delimiter is of GESPANN_DATA_CSV_DELIMITER, " +
				"the training data was read with \",\": read this file with --set data.csv.delimiter=,"},
		"resumed": {";", "", "age\tcity\theight\n1\tBonn\t2\n",
			"hint: that delimiter is of data.csv.delimiter \";\", the training data was read with \",\": " +
				"read this file with --set data.csv.delimiter='\\t'"},
		"as in training": {",", "--set data.csv.delimiter", "age;city;height\n1;Bonn;2\n",
			"hint: the training data was read with \",\": write this file alike, or read it with --set data.csv.delimiter=';'"},
	} {
		t.Run(name, func(t *testing.T) {
			prep := peoplePrep(t)
			prep.CSV.Trained, prep.CSV.SetBy, prep.CSV.Delimiter = ",", c.setBy, c.now
			_, err := ReadFeatures(strings.NewReader(c.text), "stdin", prep)
			if err == nil || !strings.HasSuffix(err.Error(), c.want) {
				t.Errorf("predict: got %v\nwant %s", err, c.want)
			}
			prep.CSV.Trained, prep.CSV.Delimiter = "", ","
			file := spec.CSV{Path: write(t, "t.csv", c.text), Header: true, Delimiter: c.now}
			_, err = Load(t.Context(), spec.Data{Source: "csv", CSV: file}, Options{Loss: "huber", Prep: &prep, SetBy: c.setBy})
			if err == nil || !strings.HasSuffix(err.Error(), c.want) {
				t.Errorf("evaluate: got %v\nwant %s", err, c.want)
			}
			_, err = Load(t.Context(), spec.Data{Source: "csv", CSV: file}, Options{Loss: "huber", SetBy: c.setBy})
			if want := " in place of " + c.setBy; c.setBy != "" && (err == nil || !strings.HasSuffix(err.Error(), want)) {
				t.Errorf("train: got %v\nwant ...%s", err, want)
			}
		})
	}
}

// TestBadCellsOfNewRows checks the hints for rows to predict.
func TestBadCellsOfNewRows(t *testing.T) {
	for text, want := range map[string]string{
		"age,city,height\n1,Bonn,tall\n": `stdin:2: column "height": "tall": not a number`,
		"age,city,height\n1,Rom,2\n1,Bonn,2\n1,Paris,2\n,,\n": "stdin: 3 columns have cells that do not fit:" +
			"\n  column \"age\": 1 of 4 rows: line 5 \"\"" +
			"\n  column \"city\": 3 of 4 rows: line 2 \"Rom\", line 4 \"Paris\", line 5 \"\"" +
			"\n  column \"height\": 1 of 4 rows: line 5 \"\"" + missingHint,
		"age,city,height\n1,Rom,2\n1,Bonn,2\n1,Paris,2\n": `stdin:2: column "city": category "Rom" does not occur in the training data, one of 2 such cells in 3 rows: line 4 "Paris"`,
		"age,city,height\nNA,Bonn,1\n":                    `stdin:2: column "age": "NA": not a number` + missingHint,
		"age;city;height\n1;Bonn;2\n":                     "stdin: the first line is one field with delimiter \",\", but holds 2 of \";\"\nhint: the training data was read with \",\": write this file alike, or read it with --set data.csv.delimiter=';'",
		"age,city,height\n\"1;5\",Bonn,2\n":               "stdin:2: column \"age\": \"1;5\": not a number\nhint: is \";\" the delimiter? The training data was read with \",\": write this file alike, or read it with --set data.csv.delimiter=';'",
		"age,city,height\n1,Bonn,\"2,5\"\n":               "stdin:2: column \"height\": \"2,5\": not a number\nhint: numbers have a decimal point: write 2.5 for 2,5",
	} {
		_, err := ReadFeatures(strings.NewReader(text), "stdin", peoplePrep(t))
		wantError(t, err, "-", want)
	}
}

// TestTargetRange checks targets of a CSV file, with their line.
func TestTargetRange(t *testing.T) {
	dir := folder(t, map[string]string{
		"t.csv": "a,y\n1,0\n2,0.25\n3,-7\n", "good.csv": "a,y\n1,0\n2,0.25\n", "bad.csv": "a,y\n1,1\n2,2.5\n",
	})
	d := csvSpec(dir + "/t.csv")
	d.CSV.Task = "regression"
	opt := Options{Loss: "binary_crossentropy"}
	_, err := Load(t.Context(), d, opt)
	wantError(t, err, dir, `t.csv:4: column "y": target -7, want 0 to 1 for loss binary_crossentropy`)

	d.CSV.Path, d.CSV.TestPath = dir+"/good.csv", dir+"/bad.csv"
	_, err = Load(t.Context(), d, opt)
	wantError(t, err, dir, `bad.csv:3: column "y": target 2.5, want 0 to 1 for loss binary_crossentropy`)

	// As at evaluate --data: in the form of the training.
	d.CSV.TestPath = ""
	prep := learnt(t, d, opt)
	d.CSV.Path, opt.Prep = dir+"/bad.csv", &prep
	_, err = Load(t.Context(), d, opt)
	wantError(t, err, dir, `bad.csv:3: column "y": target 2.5, want 0 to 1 for loss binary_crossentropy`)
	load(t, d, Options{Loss: "mean_squared_error", Prep: &prep})

	files := folder(t, map[string]string{
		"x.npy": npy("<f4", "(2, 1)", []float32{1, 2}), "y.npy": npy("<f4", "(2,)", []float32{0, 1}),
		"z.npy": npy("<f8", "(2,)", []float64{0, 9}),
	})
	n := spec.Data{Source: "npy", NPY: spec.NPY{
		X: files + "/x.npy", Y: files + "/y.npy", TestX: files + "/x.npy", TestY: files + "/z.npy",
	}}
	_, err = Load(t.Context(), n, Options{Loss: "binary_crossentropy"})
	wantError(t, err, files, "z.npy: row 1: target 9, want 0 to 1 for loss binary_crossentropy")
}
