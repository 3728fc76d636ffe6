package spec

import (
	"fmt"
	"slices"
	"strings"
)

// didYouMean returns a hint with the known word that is meant by an unknown one. If
// there is none, the hint lists the known words, or is empty when they are too many
// to help.
func didYouMean(word string, known []string) string {
	if hint := suggestion(word, known); hint != "" {
		return hint
	}
	return listHint(known)
}

// listHint lists the known words, if they are not too many to help.
func listHint(known []string) string {
	const most = 20 // words in a list that is still read
	if len(known) == 0 || len(known) > most {
		return ""
	}
	return "known: " + strings.Join(known, ", ")
}

// suggestion is didYouMean without the list, where the message has it already.
func suggestion(word string, known []string) string {
	best, hint := meant(word, known)
	if best == "" && hint == "" {
		hint = needlessHint(word)
	}
	return hint
}

// meant returns the known word that is meant by another one, and a hint that says so:
// a word of Keras or PyTorch, or one that is spelt otherwise. A word that means something
// else is none of them: the hint names what is nearest.
func meant(word string, known []string) (best, hint string) {
	if best, hint = meantExactly(word, known); best != "" {
		return best, hint
	}
	if best = closest(word, known); best != "" && absent(word) {
		return "", fmt.Sprintf("there is no %s here; the nearest is %q", word, best)
	} else if best != "" {
		hint = fmt.Sprintf("did you mean %q?", best)
	}
	return best, hint
}

// meantExactly is meant without words that are only near.
func meantExactly(word string, known []string) (best, hint string) {
	bare := word[strings.LastIndex(word, ".")+1:]
	if f, ok := translate(word, known, func(_, w string) bool { return w == bare }); ok {
		return f.ours, f.hint()
	}
	for _, k := range known {
		if plainly(k) == plainly(word) && !strings.Contains(k, ".") {
			return k, fmt.Sprintf("did you mean %q?", k)
		}
	}
	if f, ok := translate(word, known, func(a, w string) bool { return plainly(a) == plainly(w) }); ok {
		return f.ours, f.hint()
	}
	return "", ""
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
		// Of one letter alone, nothing may be left.
		if d := distance(word, strings.ToLower(k)); d <= limit && d < len(k) && d < len(word) && (least < 0 || d < least) {
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
