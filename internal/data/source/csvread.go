package source

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/infile"
	"github.com/gespann/gespann/internal/shell"
	"github.com/gespann/gespann/model/spec"
)

// csvRows are the cells that a layout takes, row by row.
type csvRows struct {
	rows    int
	cells   []float64 // of each column a number; of a categorical one that in its dict
	classes []int32   // labels; or
	targets []float32
	lost    []lostInteger
	// nameless: the header has no name for the first column, but in pandas' words.
	nameless bool
	rounded  string // the first of targets that is an integer float32 does not have, in words
}

// A lostInteger is the first of a field that float64 does not have, in words.
type lostInteger struct {
	field int
	text  string
}

// readCSVFile reads a file by the layout that lay makes of its field names.
func readCSVFile(
	ctx context.Context, files infile.Files, path string, format csvFormat, lay func(fields []string) (*layout, error),
) (*csvRows, error) {
	in, err := open(ctx, files, path)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	in.asText()
	return decodeCSV(ctx, in, format, lay)
}

// A csvFormat says how the text is cut into fields.
type csvFormat struct {
	encoding  string
	delimiter string
	header    bool
	known     bool   // from a training, not from settings
	trained   string // delimiter of the training file; "": it was no CSV file
	setBy     string // the flag or variable that gives the delimiter; "": none
}

// csvFormatOf returns the format of a training file, or of others that are to be
// read like it.
func csvFormatOf(d spec.CSV, opt Options) csvFormat {
	f := csvFormat{encoding: d.Encoding, delimiter: d.Delimiter, header: d.Header, known: opt.Prep != nil, setBy: opt.SetBy}
	if f.known && opt.Prep.CSV != nil {
		f.trained = cmp.Or(opt.Prep.CSV.Trained, opt.Prep.CSV.Delimiter, ",")
	}
	return f
}

// knownFormat returns the format of a training.
func knownFormat(c *data.CSV) csvFormat {
	return csvFormat{
		encoding: c.Encoding, delimiter: c.Delimiter, header: c.Header, known: true,
		trained: cmp.Or(c.Trained, c.Delimiter, ","), setBy: c.SetBy,
	}
}

// delimiterHint says how a file is read that seems to have another delimiter.
func (f csvFormat) delimiterHint(is rune) string {
	written := string(is)
	if is == '\t' {
		written = `\t`
	}
	flag := "--set data.csv.delimiter=" + shell.Word(written)
	if !f.known && f.setBy != "" { // which the file does not override
		return fmt.Sprintf("set it by %s in place of %s", flag, f.setBy)
	}
	if !f.known {
		return fmt.Sprintf("set data.csv.delimiter: %q", string(is))
	}
	now := cmp.Or(f.delimiter, ",")
	if f.trained == "" {
		return fmt.Sprintf("rows for this model have the delimiter %q: write this file alike", now)
	}
	if f.trained == now {
		return fmt.Sprintf("the training data was read with %q: write this file alike, or read it with %s", now, flag)
	}
	if f.setBy != "" {
		now = f.setBy
	} else {
		now = fmt.Sprintf("data.csv.delimiter %q", now)
	}
	return fmt.Sprintf("that delimiter is of %s, the training data was read with %q: read this file with %s", now, f.trained, flag)
}

// decodeCSV reads records one by one. Errors start with the name, the line and
// the column.
func decodeCSV(
	ctx context.Context, in *input, format csvFormat, lay func([]string) (*layout, error),
) (*csvRows, error) {
	buffered, ok := in.Reader.(*bufio.Reader)
	if !ok {
		panic("source: invariant: input is not buffered")
	}
	utf8, err := text(buffered, format.encoding, "CSV", true)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in.name, err)
	}
	start, _ := utf8.Peek(formatBytes) // a real error comes again
	if err := notJSON(start); err != nil {
		return nil, fmt.Errorf("%s: %w", in.name, err)
	}
	return decodeText(ctx, utf8, in.name, format, lay)
}

// decodeText is decodeCSV of text in UTF-8.
func decodeText(
	ctx context.Context, in io.Reader, name string, format csvFormat, lay func([]string) (*layout, error),
) (*csvRows, error) {
	comma, err := delimiter(format.delimiter)
	if err != nil {
		return nil, err
	}
	c := &csvReader{name: name, format: format, csv: csv.NewReader(&lineReader{r: in})}
	c.csv.Comma, c.csv.ReuseRecord, c.csv.FieldsPerRecord = comma, true, -1
	first, err := c.next()
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: empty file, want rows", name)
	}
	if err != nil {
		return nil, err
	}
	if c.fields, err = fieldNames(first, format.header); err != nil {
		return nil, fmt.Errorf("%s:1: %w", name, err)
	}
	name0 := strings.TrimSpace(first[0])
	c.out.nameless = format.header && (name0 == "" || name0 == "Unnamed: 0")
	if c.lay, err = lay(c.fields); err != nil {
		if other := otherDelimiter(first, comma, format); other != nil {
			err = other
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := c.rows(ctx, first); err != nil {
		return nil, err
	}
	if c.out.rows == 0 {
		return nil, fmt.Errorf("%s: a header and no rows", name)
	}
	return &c.out, nil
}

// rows adds all records; the first is one unless it is the header.
func (c *csvReader) rows(ctx context.Context, record []string) (err error) {
	if c.format.header {
		record, err = c.next()
	}
	for ; err == nil; record, err = c.next() {
		if err = c.add(record); err != nil {
			break
		}
		if c.out.rows%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if bad := c.badCells(); bad != nil {
		return bad // it is further up in the file
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// notJSON returns an error when a text begins as JSON does.
func notJSON(start []byte) error {
	start = bytes.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, start)
	options := "" // of an array of rows, or of an object of columns
	if _, value, ok := bytes.Cut(start, []byte("\":")); ok && start[0] == '{' && !bytes.ContainsAny(value[:min(1, len(value))], "{[") {
		options = ", lines=True" // an object of cells is one row
	}
	for _, json := range []string{"{\"", "[{", "[[", "[\""} {
		if bytes.HasPrefix(start, []byte(json)) {
			return errors.New("begins as JSON does, want CSV" +
				"\nhint: in Python: pandas.read_json(\"x.json\"" + options + ").to_csv(\"x.csv\", index=False)")
		}
	}
	return nil
}

// otherDelimiter returns an error when the first line is one field that holds what
// may well be the delimiter.
func otherDelimiter(first []string, comma rune, format csvFormat) error {
	is, n := likelyDelimiter(first[0])
	if len(first) != 1 || n == 0 || is == comma {
		return nil
	}
	return fmt.Errorf("the first line is one field with delimiter %q, but holds %d of %q\nhint: %s",
		string(comma), n, string(is), format.delimiterHint(is))
}

// likelyDelimiter returns which delimiter a text has most of, and how many.
func likelyDelimiter(s string) (is rune, n int) {
	for _, r := range ";\t|," {
		if k := strings.Count(s, string(r)); k > n {
			is, n = r, k
		}
	}
	return is, n
}

// fieldNames returns the names in the header, or 0, 1, ... without one.
func fieldNames(first []string, header bool) ([]string, error) {
	names := make([]string, len(first))
	seen := make(map[string]bool, len(first))
	for i, f := range first {
		names[i] = strconv.Itoa(i)
		if f = strings.TrimSpace(f); header && f != "" {
			names[i] = strings.Clone(f)
		}
		if seen[names[i]] {
			return nil, fmt.Errorf("column %s twice", columnName(i, names[i]))
		}
		seen[names[i]] = true
	}
	return names, nil
}

type csvReader struct {
	name   string
	format csvFormat
	csv    *csv.Reader
	fields []string
	lay    *layout
	out    csvRows
	bad    []*badColumn // columns with cells that are no numbers
	// firstLine is where the first row is.
	firstLine int
}

// next returns a record, which the next call overwrites.
func (c *csvReader) next() ([]string, error) {
	record, err := c.csv.Read()
	var parse *csv.ParseError
	var letters *textError
	switch {
	case errors.As(err, &parse):
		return nil, fmt.Errorf("%s:%d:%d: %w", c.name, parse.Line, parse.Column, parse.Err)
	case errors.As(err, &letters):
		return nil, fmt.Errorf("%s:%d: %s", c.name, letters.line, letters.msg)
	case err != nil && !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	return record, err
}

func (c *csvReader) add(record []string) error {
	if len(record) != len(c.fields) {
		return c.ragged(record)
	}
	if c.out.rows == 0 {
		c.firstLine, _ = c.csv.FieldPos(0)
	}
	for _, col := range c.lay.columns {
		cell := strings.TrimSpace(record[col.field])
		if col.dict != nil {
			if err := c.category(col, cell); err != nil {
				return err
			}
			continue
		}
		v, err := c.lay.number(cell)
		if err != nil {
			c.note(col.field, cell, err)
		}
		if math.Abs(v) >= 1<<53 {
			c.long(col, cell, v)
		}
		c.out.cells = append(c.out.cells, v)
	}
	c.out.rows++
	return c.label(record)
}

// long remembers an integer of a feature that float64 does not have.
func (c *csvReader) long(col csvColumn, cell string, v float64) {
	seen := func(l lostInteger) bool { return l.field == col.field }
	if isInteger(cell) && !has64(cell, v) && !slices.ContainsFunc(c.out.lost, seen) {
		text := c.at(col.field, fmt.Errorf("integer %s becomes %s as float64", clip(cell), clip(fmt.Sprintf("%.0f", v)))).Error()
		c.out.lost = append(c.out.lost, lostInteger{col.field, text})
	}
}

// number reads a feature.
func (lay *layout) number(cell string) (float64, error) {
	v, err := number(cell)
	if err == nil && lay.exact && isInteger(cell) && !has32(cell, v) {
		err = &inexactError{v, strings.Clone(cell)}
	}
	return v, err
}

func (c *csvReader) category(col csvColumn, cell string) error {
	id, ok := int32(0), false
	if cell == "" {
		c.note(col.field, cell, errNoCategory)
	} else if id, ok = col.dict.learn(cell, func() int { return c.line(col.field) }); !ok {
		c.note(col.field, cell, &unknownError{"category", cell, c.lay.origin})
	}
	if !c.lay.ids && len(col.dict.words) > maxCategories {
		return c.at(col.field,
			fmt.Errorf("more than %d categories, too many to encode one-hot", maxCategories))
	}
	c.out.cells = append(c.out.cells, float64(id))
	return nil
}

func (c *csvReader) label(record []string) error {
	lay := c.lay
	if lay.label < 0 {
		return nil
	}
	cell := strings.TrimSpace(record[lay.label])
	v, err := number(cell)
	if lay.auto && cell != "" {
		lay.auto = false
		if errors.Is(err, errNotNumber) {
			lay.classes = newDict(nil)
		}
	}
	switch {
	case cell == "":
		c.note(lay.label, cell, errNoLabel)
		return nil
	case lay.classes == nil && err != nil:
		c.note(lay.label, cell, err)
		return nil
	case lay.classes == nil:
		c.out.targets = append(c.out.targets, float32(v))
		if c.out.rounded == "" && isInteger(cell) && !has32(cell, v) {
			c.out.rounded = c.at(lay.label, &inexactError{v, cell}).Error()
		}
		if err := inRange(float32(v), lay.loss); err != nil {
			return c.at(lay.label, err)
		}
		return nil
	}
	id, ok := lay.classes.learn(cell, func() int { return c.line(lay.label) })
	if !ok {
		c.note(lay.label, cell, &unknownError{"label", cell, lay.origin})
		return nil
	}
	if len(lay.classes.words) > maxClasses {
		return c.at(lay.label,
			fmt.Errorf("more than %d classes\nhint: set data.csv.task: regression", maxClasses))
	}
	c.out.classes = append(c.out.classes, id)
	return nil
}

func (c *csvReader) line(field int) int {
	line, _ := c.csv.FieldPos(field)
	return line
}

// at names the line and column of a cell of the current record.
func (c *csvReader) at(field int, err error) error {
	return fmt.Errorf("%s:%d: column %s: %w", c.name, c.line(field), c.column(field), err)
}

// column names a column.
func (c *csvReader) column(field int) string { return columnName(field, c.fields[field]) }

func (c *csvReader) ragged(record []string) error {
	line, _ := c.csv.FieldPos(0)
	if len(record) < len(c.fields) {
		return fmt.Errorf("%s:%d: %d fields, want %d: nothing for column %s", c.name, line,
			len(record), len(c.fields), c.column(len(record)))
	}
	return fmt.Errorf("%s:%d: %d fields, want %d: %s is too many", c.name, line, len(record),
		len(c.fields), quote(record[len(c.fields)]))
}

var (
	errNotNumber = errors.New("not a number")
	errEmpty     = errors.New("empty cell, want a number")
	// Of columns of categories, and of the label.
	errNoCategory = errors.New("empty cell, want a category")
	errNoLabel    = errors.New("empty cell, want a label")
)

// number reads a number that a float32 can be near to. As text it may have more
// digits: they count until it has been normalised.
func number(cell string) (float64, error) {
	v, err := strconv.ParseFloat(cell, 64)
	switch {
	case cell == "":
		return 0, errEmpty
	case errors.Is(err, strconv.ErrRange), err == nil && !math.IsInf(v, 0) && math.IsInf(float64(float32(v)), 0):
		return 0, fmt.Errorf("%s is out of the range of float32", clip(cell))
	case err != nil:
		return 0, fmt.Errorf("%s: %w", quote(cell), errNotNumber)
	case math.IsNaN(v) || math.IsInf(v, 0):
		return 0, fmt.Errorf("%s, want a finite number", clip(cell))
	}
	return v, nil
}
