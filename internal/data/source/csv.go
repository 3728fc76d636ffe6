package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/model/spec"
)

// maxCategories bounds the width that a categorical column gets one-hot.
const maxCategories = 4096

// A layout says what to take from the fields of a record.
type layout struct {
	columns []csvColumn
	label   int    // field; -1 none
	classes *dict  // of class labels; nil: labels are numbers
	auto    bool   // the first label decides whether there are classes
	ids     bool   // features are integer ids
	loss    string // whose targets labels that are numbers must be
	known   bool   // from a training, not from settings
	// exact: features are not normalised, so that float32 must hold integers as they
	// are written.
	exact  bool
	origin string
}

// A csvColumn is one feature.
type csvColumn struct {
	name  string
	field int
	dict  *dict // of a categorical column; nil: numbers
}

// readCSV reads the training file, and the test file in the same form. With
// opt.Prep, both take the form of the training that made it.
func readCSV(ctx context.Context, all spec.Data, opt Options) (*raw, error) {
	d := all.CSV
	if d.Path == "" {
		return nil, errors.New("data.csv.path: got nothing, want a file")
	}
	form := &data.CSV{Encoding: d.Encoding, Delimiter: d.Delimiter, Header: d.Header, Label: d.Label}
	var lay *layout
	learn := func(fields []string) (_ *layout, err error) {
		form.Fields = slices.Clone(fields)
		if opt.Prep != nil && opt.Prep.CSV != nil {
			lay, err = knownLayout(opt.Prep, fields, true)
		} else {
			lay, err = newLayout(fields, d, opt)
		}
		if err != nil {
			return nil, err
		}
		if opt.Prep == nil {
			if d.Header && opt.Log != nil && !slices.ContainsFunc(fields, notNumber) {
				opt.Log("%s:1: the first line is taken for names, and all are numbers; if it is a row, "+
					"set data.csv.header: false", d.Path)
			}
			lay.exact = !normalizes(all)
			lay.auto = lay.auto && (all.OneHot || !isRegression(opt.Loss)) // which takes numbers
		}
		lay.loss = opt.Loss
		return lay, nil
	}
	r := &raw{source: d.Path}
	var rows [3]*csvRows
	var err error
	if rows[data.Train], err = readCSVFile(ctx, opt.Files, d.Path, csvFormatOf(d, opt), learn); err != nil {
		return nil, err
	}
	if err := lay.checkWords(rows[data.Train], form.Fields, d, opt); err != nil {
		return nil, err
	}
	if opt.Prep == nil {
		lay.noteIndex(rows[data.Train], d, opt)
	}
	lay.settle(rows[data.Train])
	form.Label = form.Fields[lay.label]
	for _, c := range lay.columns {
		column := data.Column{Name: c.name}
		if c.dict != nil {
			column.Categories = c.dict.words
		}
		form.Columns = append(form.Columns, column)
	}
	if d.TestPath != "" {
		again := func(fields []string) (*layout, error) { return lay.on(fields, form) }
		if rows[data.Test], err = readCSVFile(ctx, opt.Files, d.TestPath, csvFormatOf(d, opt), again); err != nil {
			return nil, err
		}
	}
	r.csv, r.isClass = form, true
	if lay.classes != nil {
		r.labels, r.classes = lay.classes.words, len(lay.classes.words)
	}
	for split, part := range rows {
		if part == nil {
			continue
		}
		r.parts[split] = lay.part(part)
		if opt.Log == nil {
			continue
		}
		if part.rounded != "" {
			opt.Log("%s: targets are float32, as predictions are", part.rounded)
		}
		for _, l := range part.lost {
			opt.Log("%s: %s", l.text, lostWords)
		}
	}
	return r, nil
}

// lostWords says what to do about integers beyond 2^53.
const lostWords = "what is normalised has lost its last digits; subtract the least before it is saved, " +
	"or leave it out if it only names something"

func notNumber(cell string) bool {
	_, err := number(cell)
	return err != nil
}

// newLayout works out the columns of a training file.
func newLayout(fields []string, d spec.CSV, opt Options) (*layout, error) {
	lay := &layout{label: len(fields) - 1, ids: opt.IntFeatures, origin: d.Path}
	if d.Label != "" {
		var err error
		if lay.label, err = fieldOf(fields, d.Label, "data.csv.label"); err != nil {
			return nil, err
		}
	}
	switch {
	case d.Task == "classification",
		d.Task != "regression" && strings.HasSuffix(opt.Loss, "_crossentropy"):
		lay.classes = newDict(nil)
	case d.Task != "regression":
		lay.auto = true
	}
	features := d.Features
	if len(features) == 0 {
		features = slices.Delete(slices.Clone(fields), lay.label, lay.label+1)
	}
	for _, name := range features {
		field, err := fieldOf(fields, name, "data.csv.features")
		if err != nil {
			return nil, err
		}
		if field == lay.label {
			return nil, fmt.Errorf("data.csv.features: %q is the label", name)
		}
		lay.columns = append(lay.columns, csvColumn{name: name, field: field})
	}
	if len(lay.columns) == 0 {
		return nil, errors.New("no feature columns besides the label\nhint: check data.csv.delimiter")
	}
	return lay, lay.markCategorical(fields, d.Categorical)
}

func (lay *layout) markCategorical(fields, categorical []string) error {
	for _, name := range categorical {
		if _, err := fieldOf(fields, name, "data.csv.categorical"); err != nil {
			return err
		}
		i := slices.IndexFunc(lay.columns, func(c csvColumn) bool { return c.name == name })
		if i < 0 {
			return fmt.Errorf("data.csv.categorical: %q is not a feature", name)
		}
		lay.columns[i].dict = newDict(nil)
	}
	if !lay.ids {
		return nil
	}
	var numeric []string
	for _, c := range lay.columns {
		if c.dict == nil {
			numeric = append(numeric, c.name)
		}
	}
	if len(numeric) > 0 {
		return fmt.Errorf("the model starts with an embedding, which takes integer ids, "+
			"but %s are read as numbers\nhint: list every feature in data.csv.categorical", listed(numeric))
	}
	return nil
}

// knownLayout is the layout of a training, on a file with other fields. Without
// needLabel the label may be missing.
func knownLayout(prep *data.Prep, fields []string, needLabel bool) (*layout, error) {
	lay := &layout{label: -1, ids: prep.Ints, known: true, exact: !prep.Normalizes(), origin: "the training data"}
	for _, c := range prep.CSV.Columns {
		column := csvColumn{name: c.Name}
		if c.Categories != nil {
			column.dict = newDict(c.Categories)
		}
		lay.columns = append(lay.columns, column)
	}
	if prep.Target != data.Numbers {
		lay.classes = newDict(prep.Labels)
	}
	if needLabel {
		lay.label = 0
	}
	return lay.on(fields, prep.CSV)
}

// on returns the layout for another file of the same form. A file without a
// header may lack the label column when lay does not take it.
func (lay *layout) on(fields []string, form *data.CSV) (*layout, error) {
	if !form.Header {
		names := form.Fields
		if lay.label < 0 && len(fields) == len(names)-1 {
			label := slices.Index(names, form.Label)
			names = slices.Delete(slices.Clone(names), label, label+1)
		}
		if len(fields) != len(names) {
			return nil, fmt.Errorf("%d columns, want %d as in the training data", len(fields), len(names))
		}
		fields = names
	}
	other := *lay
	other.columns = slices.Clone(lay.columns)
	for i := range other.columns {
		var err error
		if other.columns[i].field, err = fieldOf(fields, other.columns[i].name, "features"); err != nil {
			return nil, err
		}
	}
	if lay.label >= 0 {
		var err error
		if other.label, err = fieldOf(fields, form.Label, "label"); err != nil {
			return nil, err
		}
	}
	return &other, nil
}

// fieldOf returns the position of a column, or an error that says what there is.
func fieldOf(fields []string, name, what string) (int, error) {
	if i := slices.Index(fields, name); i >= 0 {
		return i, nil
	}
	err := fmt.Errorf("%s: no column %s, got %s", what, inQuotes(name), listed(fields))
	for i, f := range fields {
		if strings.EqualFold(strings.TrimSpace(f), strings.TrimSpace(name)) || near(f, name) {
			return 0, fmt.Errorf("%w\nhint: did you mean %s?", err, columnName(i, f))
		}
	}
	return 0, err
}

// near reports whether two words differ by one insertion, deletion, or change.
func near(a, b string) bool {
	x, y := []rune(a), []rune(b)
	if len(x) > len(y) {
		x, y = y, x
	}
	if len(y) < 3 || len(y)-len(x) > 1 {
		return false
	}
	i := 0
	for i < len(x) && x[i] == y[i] {
		i++
	}
	if i < len(x) && len(x) == len(y) {
		return slices.Equal(x[i+1:], y[i+1:])
	}
	return i == len(y) || slices.Equal(x[i:], y[i+1:])
}

// listed names up to 20 columns.
func listed(names []string) string {
	const most = 20
	more, count := "", fmt.Sprintf("%d columns", len(names))
	if len(names) > most {
		more = fmt.Sprintf(" and %d more", len(names)-most)
		names = names[:most]
	}
	shown := make([]string, len(names))
	for i, name := range names {
		shown[i] = short(name)
	}
	return mark(count, strings.Join(shown, ", ")+more)
}

// delimiter returns the one character of a delimiter; none is a comma.
func delimiter(s string) (rune, error) {
	if s == "" {
		return ',', nil
	}
	r, size := utf8.DecodeRuneInString(s)
	if size != len(s) || r == utf8.RuneError || strings.ContainsRune("\"\r\n", r) {
		return 0, fmt.Errorf("data.csv.delimiter: got %q, "+
			"want one character that is no quote or line break", s)
	}
	return r, nil
}
