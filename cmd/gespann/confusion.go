package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gespann/gespann/internal/plain"
)

const (
	// maxMatrix is the number of classes from which a matrix is too wide to read.
	maxMatrix = 20
	// maxName is the number of characters of a class name that are shown.
	maxName = 12
	// maxPairs is how many of the most frequent confusions are listed instead.
	maxPairs = 15
)

// confusion shows a matrix of counts, row-major, with rows the true classes and
// columns the predicted ones, and for each class which fraction was found.
func confusion(counts []float64, names []string) string {
	if len(names) > maxMatrix {
		return confusedPairs(counts, names)
	}
	n := len(names)
	short := make([]string, n)
	width, first := 2, 4
	for i, name := range names {
		short[i] = clip(plain.Line(name), maxName)
		width = max(width, utf8.RuneCountInString(short[i]))
		first = max(first, utf8.RuneCountInString(short[i]))
	}
	for _, c := range counts {
		width = max(width, len(strconv.FormatFloat(c, 'f', 0, 64)))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "confusion: rows are the true classes, columns the predicted ones\n\n")
	fmt.Fprintf(&b, "  %*s", first, "")
	for _, name := range short {
		fmt.Fprintf(&b, " %*s", width, name)
	}
	b.WriteString("   found\n")
	for i, name := range short {
		fmt.Fprintf(&b, "  %*s", first, name)
		row := counts[i*n : (i+1)*n]
		for _, c := range row {
			fmt.Fprintf(&b, " %*s", width, cell(c))
		}
		fmt.Fprintf(&b, "   %s\n", fraction(row[i], sum(row)))
	}
	return b.String()
}

// confusedPairs lists what is confused most, for many classes.
func confusedPairs(counts []float64, names []string) string {
	type pair struct {
		truth, predicted int
		count            float64
	}
	var pairs []pair
	for i, c := range counts {
		if truth, predicted := i/len(names), i%len(names); truth != predicted && c > 0 {
			pairs = append(pairs, pair{truth, predicted, c})
		}
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return cmp.Compare(b.count, a.count) })
	var b strings.Builder
	fmt.Fprintf(&b, "most confused of %d classes\n\n", len(names))
	for _, p := range pairs[:min(len(pairs), maxPairs)] {
		fmt.Fprintf(&b, "  %5.0f  %s taken for %s\n", p.count, plain.Line(names[p.truth]), plain.Line(names[p.predicted]))
	}
	return b.String()
}

// cell is a count, with a dot for none.
func cell(c float64) string {
	if c == 0 {
		return "."
	}
	return strconv.FormatFloat(c, 'f', 0, 64)
}

func fraction(part, whole float64) string {
	if whole == 0 {
		return "    -"
	}
	return fmt.Sprintf("%5.1f %%", 100*part/whole)
}

func sum(v []float64) float64 {
	total := 0.0
	for _, x := range v {
		total += x
	}
	return total
}

// clip cuts s to n characters.
func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// numbers returns the names 0, 1, ..., n-1.
func numbers(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	return names
}
