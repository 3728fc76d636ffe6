package source

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gespann/gespann/model/spec"
)

// TestWords checks what is said of labels and categories that may be none: as an error,
// or else in the log.
func TestWords(t *testing.T) {
	const (
		sparse, binary = "sparse_categorical_crossentropy", "binary_crossentropy"
		filled         = "\nhint: missing values are not read: fill them in, or remove those rows"
		regression     = "\nhint: data.csv.task: regression reads labels as numbers, with a loss that takes them; " +
			"classification takes each for a class"
		oneWay = "\nhint: write a number in one way"
	)
	category := spec.CSV{Categorical: []string{"a"}}
	tests := []struct {
		name, text, loss string
		csv              spec.CSV
		err, log         string
	}{
		{"NA in text", "a,y\n1,no\n2,NA\n3,NA\n", sparse, spec.CSV{}, "",
			"t.csv:3: column \"y\": \"NA\" is a class like any other, of 2 of 3 rows: if it means that there is no label, remove those rows\n"},
		{"NaN among numbers", "a,y\n1,0\n2,NaN\n3,1\n", sparse, spec.CSV{},
			"t.csv:3: column \"y\": \"NaN\", of 1 of 3 rows, among labels that are numbers" + filled, ""},
		{"null among numbers", "a,y\n1,null\n2,0\n", binary, spec.CSV{Task: "classification"},
			"t.csv:2: column \"y\": \"null\", of 1 of 2 rows, among labels that are numbers" + filled, ""},
		{"category", "a,y\nred,0\nnan,1\n", sparse, category, "",
			"t.csv:3: column \"a\": \"nan\" is a category like any other, of 1 of 2 rows: if it means that there is no value, fill it in or remove those rows\n"},
		{"fractions", "a,y\n1,0\n2,0.7\n", binary, spec.CSV{}, "t.csv:3: column \"y\": label 0.7 is a number, not a class" + regression, ""},
		{"fractions, sparse", "a,y\n1,0.2\n2,0.7\n3,1\n", sparse, spec.CSV{}, "t.csv:2: column \"y\": label 0.2 is a number, not a class" + regression, ""},
		{"fractions as numbers", "a,y\n1,0.2\n2,0.7\n", binary, spec.CSV{Task: "regression"}, "", ""},
		{"fractions as classes", "a,y\n1,0.5\n2,1.5\n", sparse, spec.CSV{Task: "classification"}, "", ""},
		{"one number twice", "a,y\n1,1\n2,0\n3,1.0\n", sparse, spec.CSV{},
			"t.csv:4: column \"y\": \"1.0\" is the number that \"1\" is, but would be another class" + oneWay, ""},
		{"one category twice", "a,y\n1,1\n1e0,0\n", sparse, category,
			"t.csv:3: column \"a\": \"1e0\" is the number that \"1\" is, but would be another category" + oneWay, ""},
		{"codes", "a,y\n01,1\n1,0\n001,0\n", sparse, category, "",
			"t.csv:3: column \"a\": \"1\" is another category than \"01\", though the same number\n"},
		{"as they should be", "a,y\nx,0\ny,1\n", sparse, category, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := csvSpec(write(t, "t.csv", test.text))
			dir := filepath.Dir(d.CSV.Path)
			d.CSV.Task, d.CSV.Categorical = test.csv.Task, test.csv.Categorical
			wantLoad(t, d, test.loss, dir, test.err, test.log)
		})
	}
}

// wantLoad compares the error and the log of a training's data, less its folder.
func wantLoad(t *testing.T, d spec.Data, loss, dir, wantErr, wantLog string) {
	t.Helper()
	said := ""
	_, err := Load(t.Context(), d, Options{Loss: loss, Log: func(format string, args ...any) { said += fmt.Sprintf(format, args...) + "\n" }})
	if wantErr != "" {
		wantError(t, err, dir, wantErr)
	} else if err != nil {
		t.Error(err)
	}
	if said = strings.ReplaceAll(said, dir+string(filepath.Separator), ""); said != wantLog {
		t.Errorf("log\n%q, want\n%q", said, wantLog)
	}
}

// TestIndex checks that the nameless column of pandas and R is noted, and no other.
func TestIndex(t *testing.T) {
	const noted = "t.csv:1: the first column has no name and counts the rows, as an index does, but is read as a feature: " +
		"list the others in data.csv.features, or write the file without it, in pandas with index=False, in R with row.names = FALSE\n"
	for name, test := range map[string]struct{ text, log string }{
		"pandas": {",a,y\n0,5,1.5\n1,6,2\n2,5,1\n", noted}, "R": {"\"\",\"a\",\"y\"\n\"1\",5,1\n\"2\",6,2\n", noted},
		"read again": {"Unnamed: 0,a,y\n0,5,1\n1,6,2\n", noted},
		"numbers":    {",a,y\n0,5,1\n2,6,2\n", ""}, "named": {"t,a,y\n0,5,1\n1,6,2\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := csvSpec(write(t, "t.csv", test.text))
			wantLoad(t, d, "huber", filepath.Dir(d.CSV.Path), "", test.log)
			d.CSV.Features = []string{"a"}
			wantLoad(t, d, "huber", filepath.Dir(d.CSV.Path), "", "")
		})
	}
}
