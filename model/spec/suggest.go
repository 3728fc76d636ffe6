package spec

import (
	"fmt"
	"slices"
	"strings"
)

// didYouMean returns a hint with the known word that is closest to a misspelt
// one. If none is close, the hint lists the known words, or is empty when they
// are too many to help.
func didYouMean(word string, known []string) string {
	const most = 20 // words in a list that is still read
	if hint := suggestion(word, known); hint != "" {
		return hint
	}
	if len(known) == 0 || len(known) > most {
		return ""
	}
	return "known: " + strings.Join(known, ", ")
}

// suggestion is didYouMean without the list, where the message has it already.
func suggestion(word string, known []string) string {
	if best := closest(word, known); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return ""
}

// closest returns the known word with the smallest edit distance, or "" if
// none is near: at most a third of its letters and four may differ.
func closest(word string, known []string) string {
	best, least := "", -1
	word = strings.ToLower(word)
	for _, k := range slices.Sorted(slices.Values(known)) {
		limit := min(max(len(k)/3, 1), 4)
		if max(len(word)-len(k), len(k)-len(word)) > limit {
			continue
		}
		if d := distance(word, strings.ToLower(k)); d <= limit && (least < 0 || d < least) {
			best, least = k, d
		}
	}
	return best
}

// distance returns the Damerau-Levenshtein distance of two words in its
// restricted form: how many letters to insert, delete, replace or swap with
// their neighbour.
func distance(a, b string) int {
	row := func(n int) []int { return make([]int, n) }
	before, prev, cur := row(len(b)+1), row(len(b)+1), row(len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			replace := prev[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			cur[j] = min(replace, prev[j]+1, cur[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
		}
		before, prev, cur = prev, cur, before
	}
	return prev[len(b)]
}
