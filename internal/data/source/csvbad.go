package source

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"slices"
	"strings"
)

// Bounds of what a message about bad cells shows.
const (
	badShown    = 3  // cells of a column
	badColumns  = 10 // columns
	badExamples = 3  // names in a hint
)

// A badKind is what a cell that should be a number looks like.
type badKind uint8

const (
	badText    badKind = iota // anything else
	badMissing                // NA and its like
	badComma                  // 20404,97 or 1,234
	badDelim                  // holds what may be the delimiter
	badInexact                // an integer that float32 does not have
	badRange                  // beyond float32, or infinite
	badUnknown                // not a category or label of the training
	numBadKinds
)

// A badColumn collects the cells of a column that are not what it holds.
type badColumn struct {
	field int
	count int
	first [badShown]badCell
	kinds [numBadKinds]int
	cell  [numBadKinds]string // an example of each
}

type badCell struct {
	line int
	text string
	err  error
}

// An inexactError says that float32 does not have an integer.
type inexactError struct {
	v    float64
	cell string // as it is written; "": v is exact
}

func (e *inexactError) Error() string {
	return fmt.Sprintf("integer %s becomes %s as float32", clip(cmp.Or(e.cell, fmt.Sprintf("%.0f", e.v))), clip(fmt.Sprintf("%.0f", float32(e.v))))
}

// An unknownError says that a category or label was not in the training data.
type unknownError struct{ what, cell, origin string }

func (e *unknownError) Error() string {
	return fmt.Sprintf("%s %s does not occur in %s", e.what, quote(e.cell), e.origin)
}

// isInteger reports whether a number is written as an integer.
func isInteger(cell string) bool { return strings.Trim(cell, "+-0123456789") == "" }

// has32 reports whether float32 has the integer of a cell, whose float64 is v.
func has32(cell string, v float64) bool { return float64(float32(v)) == v && has64(cell, v) }

// has64 reports whether v is the integer of a cell, of which it is the float64.
func has64(cell string, v float64) bool {
	if math.Abs(v) < 1<<53 {
		return true
	}
	n, ok := new(big.Int).SetString(strings.TrimPrefix(cell, "+"), 10)
	if !ok {
		return true // it will be said otherwise
	}
	is, _ := big.NewFloat(v).Int(nil)
	return n.Cmp(is) == 0
}

// note remembers a cell that is not what its column holds.
func (c *csvReader) note(field int, cell string, err error) {
	i := slices.IndexFunc(c.bad, func(b *badColumn) bool { return b.field == field })
	if i < 0 {
		i = len(c.bad)
		c.bad = append(c.bad, &badColumn{field: field})
	}
	b := c.bad[i]
	kind := badKindOf(cell, err, c.csv.Comma)
	if b.kinds[kind] == 0 {
		b.cell[kind] = strings.Clone(cell)
	}
	b.kinds[kind]++
	if b.count < badShown {
		line, _ := c.csv.FieldPos(field)
		var unknown *unknownError
		if cell = strings.Clone(cell); errors.As(err, &unknown) { // the reader's record changes
			err = &unknownError{unknown.what, cell, unknown.origin}
		}
		b.first[b.count] = badCell{line, cell, err}
	}
	b.count++
}

// Numbers as text tables have them: with a decimal comma, or with commas, dots or
// apostrophes between thousands.
var (
	decimalComma = regexp.MustCompile(`^[+-]?(\d{1,3}(\.\d{3})+|\d+),\d+$`)
	thousands    = regexp.MustCompile(`^[+-]?\d{1,3}([,'’]\d{3})+(\.\d*)?$`)
)

// missing are the cells that mean that there is no value.
var missing = []string{
	"", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "missing", "unknown", "-", "--", "?", ".",
}

func badKindOf(cell string, err error, comma rune) badKind {
	var inexact *inexactError
	var unknown *unknownError
	is, n := likelyDelimiter(cell)
	switch {
	case errors.As(err, &inexact):
		return badInexact
	case errors.As(err, &unknown):
		return badUnknown
	case slices.Contains(missing, strings.ToLower(cell)):
		return badMissing
	case !errors.Is(err, errNotNumber):
		return badRange
	case decimalComma.MatchString(cell), thousands.MatchString(cell):
		return badComma
	case n > 0 && is != comma && is != ',':
		return badDelim
	}
	return badText
}

// badCells returns an error about all cells that are not what they should be, or
// nil.
func (c *csvReader) badCells() error {
	if len(c.bad) == 0 {
		return nil
	}
	slices.SortFunc(c.bad, func(a, b *badColumn) int { return a.field - b.field })
	hint := c.badHint()
	if b := c.bad[0]; len(c.bad) == 1 {
		more := ""
		if b.count > 1 {
			more = fmt.Sprintf(", one of %d such cells in %d rows: %s", b.count, c.out.rows, b.lines(1))
		}
		return fmt.Errorf("%s:%d: column %s: %w%s%s", c.name, b.first[0].line, c.column(b.field),
			b.first[0].err, more, hint)
	}
	var lines strings.Builder
	for i, b := range c.bad {
		if i == badColumns {
			fmt.Fprintf(&lines, "\n  and %d more columns", len(c.bad)-badColumns)
			break
		}
		fmt.Fprintf(&lines, "\n  column %s: %d of %d rows: %s", c.column(b.field), b.count, c.out.rows, b.lines(0))
	}
	return fmt.Errorf("%s: %d columns have cells that do not fit:%s%s", c.name, len(c.bad), lines.String(), hint)
}

// lines lists the first cells, from a number on.
func (b *badColumn) lines(from int) string {
	var words []string
	for i, cell := range b.first[:min(b.count, badShown)] {
		if i >= from {
			words = append(words, fmt.Sprintf("line %d %s", cell.line, quote(cell.text)))
		}
	}
	if b.count > badShown {
		words = append(words, "...")
	}
	return strings.Join(words, ", ")
}

// badHint says what can be done, one line for each kind of cell.
func (c *csvReader) badHint() string {
	if c.headerAsRow() {
		return "\nhint: the first line seems to name the columns: set data.csv.header: true"
	}
	hints := ""
	for kind := range numBadKinds {
		var of []*badColumn
		for _, b := range c.bad {
			if b.kinds[kind] > 0 {
				of = append(of, b)
			}
		}
		if len(of) == 0 {
			continue
		}
		if words := c.hintFor(kind, of); words != "" {
			hints += "\nhint: " + words
		}
	}
	return hints
}

// headerAsRow reports whether all bad cells are in the first line, of a file that
// was said to have no header.
func (c *csvReader) headerAsRow() bool {
	return !c.format.header && !c.format.known && !slices.ContainsFunc(c.bad, func(b *badColumn) bool {
		return b.count != 1 || b.first[0].line != c.firstLine || b.kinds[badText] != 1
	})
}

func (c *csvReader) hintFor(kind badKind, of []*badColumn) string {
	cell := of[0].cell[kind]
	switch kind {
	case badMissing:
		return "missing values are not read: fill them in, or remove those rows or columns"
	case badComma:
		if decimalComma.MatchString(cell) && !thousands.MatchString(cell) {
			point := strings.ReplaceAll(strings.ReplaceAll(cell, ".", ""), ",", ".")
			return fmt.Sprintf("numbers have a decimal point: write %s for %s", clip(point), clip(cell))
		}
		return fmt.Sprintf("numbers have a decimal point, and nothing between thousands: write %s as one number", clip(cell))
	case badDelim:
		is, _ := likelyDelimiter(cell)
		then := c.format.delimiterHint(is)
		if c.format.known {
			return fmt.Sprintf("is %q the delimiter? %s%s", string(is), strings.ToUpper(then[:1]), then[1:])
		}
		return fmt.Sprintf("is %q the delimiter? Then %s", string(is), then)
	case badInexact:
		return "data.normalize: standard or scale is computed from the number itself; " +
			"a number that only names something is no feature"
	case badText:
		return c.textHint(of)
	}
	return ""
}

// textHint is for text in columns of numbers: columns that hold little else may be
// categorical.
func (c *csvReader) textHint(of []*badColumn) string {
	if c.format.known {
		return ""
	}
	var names []string
	for _, b := range of {
		if 2*b.kinds[badText] >= c.out.rows && b.field != c.lay.label {
			names = append(names, c.fields[b.field])
		}
	}
	switch {
	case len(names) > 0:
		return "columns of text are listed in data.csv.categorical: [" + listed(names) + "]"
	case of[0].field == c.lay.label:
		return ""
	}
	return fmt.Sprintf("correct %s, or leave the column out of data.csv.features", quote(of[0].cell[badText]))
}
