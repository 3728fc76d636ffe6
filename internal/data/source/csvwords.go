package source

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/gespann/gespann/model/spec"
)

// checkWords looks at what the training rows taught the dicts of a layout, before they
// are sorted: at cells that mean that there is no value, at numbers written in two
// ways, and at labels that are no classes. What may be meant is said in the log.
func (lay *layout) checkWords(rows *csvRows, fields []string, d spec.CSV, opt Options) error {
	log := func(line, field int, format string, args ...any) {
		if opt.Log != nil {
			opt.Log("%s:%d: column %s: %s", d.Path, line, columnName(field, fields[field]), fmt.Sprintf(format, args...))
		}
	}
	at := func(line, field int, err error) error {
		if err != nil {
			err = fmt.Errorf("%s:%d: column %s: %w", d.Path, line, columnName(field, fields[field]), err)
		}
		return err
	}
	for j, c := range lay.columns {
		if c.dict == nil || c.dict.frozen {
			continue
		}
		count := func(id int) (n int) {
			for i := j; i < len(rows.cells); i += len(lay.columns) {
				if int(rows.cells[i]) == id {
					n++
				}
			}
			return n
		}
		for id, word := range c.dict.words {
			if isMissing(word) {
				log(c.dict.lines[id], c.field, "%s is a category like any other, of %d of %d rows: if it means that "+
					"there is no value, fill it in or remove those rows", quote(word), count(id), rows.rows)
			}
		}
		if line, err := c.dict.twice("category", func(line int, words string) { log(line, c.field, "%s", words) }); err != nil {
			return at(line, c.field, err)
		}
	}
	if lay.classes == nil || lay.classes.frozen {
		return nil
	}
	numeric, fraction := lay.classes.numeric()
	for id, word := range lay.classes.words {
		if !isMissing(word) {
			continue
		}
		n := 0
		for _, class := range rows.classes {
			if int(class) == id {
				n++
			}
		}
		if numeric {
			return at(lay.classes.lines[id], lay.label, fmt.Errorf("%s, of %d of %d rows, among labels that are numbers"+
				"\nhint: missing values are not read: fill them in, or remove those rows", quote(word), n, rows.rows))
		}
		log(lay.classes.lines[id], lay.label, "%s is a class like any other, of %d of %d rows: if it means that "+
			"there is no label, remove those rows", quote(word), n, rows.rows)
	}
	if numeric && fraction >= 0 && d.Task != "classification" {
		return at(lay.classes.lines[fraction], lay.label, fmt.Errorf("label %s is a number, not a class"+
			"\nhint: data.csv.task: regression reads labels as numbers, with a loss that takes them; "+
			"classification takes each for a class", clip(lay.classes.words[fraction])))
	}
	line, err := lay.classes.twice("class", func(line int, words string) { log(line, lay.label, "%s", words) })
	return at(line, lay.label, err)
}

func isMissing(word string) bool { return slices.Contains(missing, strings.ToLower(word)) }

// finiteNumber returns the number that a word is; false if it is none.
func finiteNumber(word string) (float64, bool) {
	v, err := strconv.ParseFloat(word, 64)
	return v, err == nil && v-v == 0
}

// numeric reports whether all words are numbers, but for those that mean that there is
// no value, and which is the first that is no whole number, or -1.
func (d *dict) numeric() (all bool, fraction int) {
	fraction = -1
	for id, word := range d.words {
		v, ok := finiteNumber(word)
		switch {
		case ok && v != math.Trunc(v) && fraction < 0:
			fraction = id
		case ok:
		case !isMissing(word):
			return false, -1
		}
		all = all || ok
	}
	return all, fraction
}

// twice looks for two words that are one number. It is an error when all words are
// numbers, at the returned line; log gets it where they may be codes, as 1 and 01.
func (d *dict) twice(what string, log func(line int, words string)) (int, error) {
	all, _ := d.numeric()
	said := false
	seen := map[float64]string{}
	for id, word := range d.words {
		v, ok := finiteNumber(word)
		if !ok {
			continue
		}
		first, again := seen[v]
		switch {
		case !again:
			seen[v] = word
		case all && !(isInteger(first) && isInteger(word)):
			return d.lines[id], fmt.Errorf("%s is the number that %s is, but would be another %s"+
				"\nhint: write a number in one way", quote(word), quote(first), what)
		case !said: // once for a column: they may be thousands of codes
			said = true
			log(d.lines[id], fmt.Sprintf("%s is another %s than %s, though the same number", quote(word), what, quote(first)))
		}
	}
	return 0, nil
}

// noteIndex says so when a feature without a name counts the rows, from 0 or 1: the
// index that pandas writes, and R the names of the rows.
func (lay *layout) noteIndex(rows *csvRows, d spec.CSV, opt Options) {
	j := slices.IndexFunc(lay.columns, func(c csvColumn) bool { return c.field == 0 && c.dict == nil })
	if !rows.nameless || j < 0 || rows.rows < 2 || opt.Log == nil {
		return
	}
	first := rows.cells[j]
	if first != 0 && first != 1 {
		return
	}
	for i := range rows.rows {
		if rows.cells[i*len(lay.columns)+j] != first+float64(i) {
			return
		}
	}
	opt.Log("%s:1: the first column has no name and counts the rows, as an index does, but is read as a feature: "+
		"list the others in data.csv.features, or write the file without it, in pandas with index=False, "+
		"in R with row.names = FALSE", d.Path)
}
