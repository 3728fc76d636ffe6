package source

import (
	"fmt"
	"math"
	"strconv"

	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/model/spec"
)

// normalizes reports whether features are to be normalised.
func normalizes(d spec.Data) bool { return d.Normalize != "" && d.Normalize != "none" }

// learnScale fits the normalisation to the training rows.
func learnScale(r *raw, d spec.Data, opt Options, prep *data.Prep) error {
	x := &r.parts[data.Train].X
	if !normalizes(d) {
		return nil
	}
	if opt.IntFeatures {
		return fmt.Errorf("data.normalize: %s does not apply to integer ids for an embedding",
			d.Normalize)
	}
	prep.Bytes = x.U8 != nil
	if d.Normalize == "scale" && x.U8 != nil {
		prep.From, prep.Width = []float64{0}, []float64{float64(r.byteMax)}
		return nil
	}
	coarse := 0
	for j, c := range measure(x) {
		from, width := c.mean, math.Sqrt(c.m2/float64(x.Rows()))
		if d.Normalize == "scale" {
			from, width = c.lo, c.hi-c.lo
		}
		if width == 0 {
			width = 1 // a column of one value becomes 0
		}
		if ulp := ulpOf(max(math.Abs(c.lo), math.Abs(c.hi))); ulp > tolerance*width && c.lo < c.hi && opt.Log != nil &&
			(d.Normalize == "standard" || r.csv != nil && !whole(x, j)) {
			if coarse++; coarse <= coarseShown {
				opt.Log("%s: feature %s: float64 has numbers near %s in steps of %.2g, and the column is %.2g wide: "+
					"normalised they are off by up to %.1g; subtract the least before it is saved",
					r.source, featureName(prep, j), clip(fmt.Sprintf("%.2g", c.hi)), ulp, width, ulp/width)
			}
		}
		columns := 1
		if prep.CSV != nil && prep.CSV.Columns[j].Categories != nil {
			from, width, columns = 0, 1, len(prep.CSV.Columns[j].Categories) // one-hot: as it is
		}
		for range columns {
			prep.From, prep.Width = append(prep.From, from), append(prep.Width, width)
		}
	}
	if coarse > coarseShown {
		opt.Log("%s: the same of %d more features", r.source, coarse-coarseShown)
	}
	return nil
}

// tolerance is how far a normalised number may be from the exact value, before the
// log says so; coarseShown is of how many columns.
const (
	tolerance   = 1e-6
	coarseShown = 3
)

// ulpOf returns the distance from v ≥ 0 to the next float64. A number that was text and
// a mean are each off by half of it at most.
func ulpOf(v float64) float64 { return math.Nextafter(v, math.Inf(1)) - v }

// whole reports whether a column has no fractions, which text may have lost digits of.
func whole(x *data.Table, j int) bool {
	for i := j; i < len(x.F64); i += x.RowSize() {
		if x.F64[i] != math.Trunc(x.F64[i]) {
			return false
		}
	}
	return true
}

// featureName names a column of numbers.
func featureName(prep *data.Prep, j int) string {
	if prep.CSV != nil {
		return columnName(j, prep.CSV.Columns[j].Name)
	}
	return strconv.Itoa(j)
}

// A column sums up the training values of one feature.
type column struct {
	first, lo, hi float64
	mean          float64
	rest          float64 // Σ (value - mean), which rounding has left
	m2            float64 // Σ (value - mean)²
}

func measure(x *data.Table) []column {
	cols := make([]column, x.RowSize())
	switch {
	case x.U8 != nil:
		sum(cols, x.U8)
	case x.F32 != nil:
		sum(cols, x.F32)
	case x.F64 != nil:
		sum(cols, x.F64)
	default:
		sum(cols, x.I32)
	}
	return cols
}

// sum measures rows in two passes, in float64. With n rows and v₀ the first,
//
//	m  = v₀ + 1/n Σ (v − v₀);  mean = m + 1/n Σ (v − m)
//	m2 = Σ (v − m)² − 1/n (Σ (v − m))²
//
// so that no sum is of numbers longer than the column is wide, however far from 0 it
// is, and m2 of a column of one value is exactly 0. Products are rounded before
// they are added, for the same bits on every machine.
//
// Source: T. F. Chan, G. H. Golub and R. J. LeVeque, The American Statistician 37
// (1983).
func sum[T byte | float32 | float64 | int32](cols []column, values []T) {
	size := len(cols)
	for j := range cols {
		first := float64(values[j])
		cols[j] = column{first: first, lo: first, hi: first}
	}
	n := float64(len(values) / size)
	for row := values; len(row) > 0; row = row[size:] {
		for j, v := range row[:size] {
			c, v := &cols[j], float64(v)
			c.lo, c.hi = min(c.lo, v), max(c.hi, v)
			c.mean += v - c.first
		}
	}
	for j := range cols {
		cols[j].mean = cols[j].first + cols[j].mean/n
	}
	for row := values; len(row) > 0; row = row[size:] {
		for j, v := range row[:size] {
			c := &cols[j]
			d := float64(v) - c.mean
			c.rest += d
			c.m2 += float64(d * d)
		}
	}
	for j := range cols {
		c := &cols[j]
		c.m2 = max(0, c.m2-float64(c.rest*c.rest/n))
		c.mean += c.rest / n
	}
}
