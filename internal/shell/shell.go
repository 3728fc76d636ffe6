// Package shell writes words as a shell reads them, for commands that messages show.
package shell

import (
	"path/filepath"
	"strings"
)

// plain are the characters besides letters and digits that a POSIX shell takes as
// they are, anywhere in a word.
const plain = "/._-+=:@%,"

// Word quotes a word of a command line where a POSIX shell needs that.
func Word(word string) string {
	if word != "" && !strings.ContainsFunc(word, special) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func special(r rune) bool {
	switch {
	case r > '~' && r != 0x7f, r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		return false
	case r == filepath.Separator: // where that is \, shells leave it alone
		return false
	}
	return !strings.ContainsRune(plain, r)
}
