package source

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// A dict numbers words.
type dict struct {
	ids    map[string]int32
	words  []string
	lines  []int // where a word is first; until the words are sorted
	frozen bool  // takes no new words
}

// newDict returns an empty dict, or a frozen one of known words.
func newDict(words []string) *dict {
	d := &dict{ids: make(map[string]int32, len(words)), words: words, frozen: words != nil}
	for i, w := range words {
		d.ids[w] = int32(i)
	}
	return d
}

// learn is id for a word of a line.
func (d *dict) learn(word string, line func() int) (int32, bool) {
	id, ok := d.id(word)
	if len(d.lines) < len(d.words) && !d.frozen {
		d.lines = append(d.lines, line())
	}
	return id, ok
}

// id returns the number of a word, new or not; false if it is not to be had.
func (d *dict) id(word string) (int32, bool) {
	if id, ok := d.ids[word]; ok || d.frozen {
		return id, ok
	}
	id := int32(len(d.words))
	word = strings.Clone(word) // the reader's record is long
	d.ids[word] = id
	d.words = append(d.words, word)
	return id, true
}

// sort numbers the words anew, in order: by number if all are integers, else as
// text. It returns the new number of each old one, and freezes the dict.
func (d *dict) sort() (renumber []int32) {
	sorted := slices.Clone(d.words)
	numbers := make(map[string]int64, len(sorted))
	for _, w := range sorted {
		n, err := strconv.ParseInt(w, 10, 64)
		if err != nil {
			numbers = nil
			break
		}
		numbers[w] = n
	}
	slices.SortFunc(sorted, func(a, b string) int {
		return cmp.Or(cmp.Compare(numbers[a], numbers[b]), cmp.Compare(a, b))
	})
	renumber = make([]int32, len(sorted))
	for i, w := range sorted {
		renumber[d.ids[w]] = int32(i)
		d.ids[w] = int32(i)
	}
	d.words, d.lines, d.frozen = sorted, nil, true
	return renumber
}
