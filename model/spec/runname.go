package spec

import (
	"path/filepath"
	"strings"
	"unicode"
)

// RunName returns what a run is called that has no train.name: its file's name
// without the ending, or "run" where that leaves no name for a folder, as of
// ".yaml", or where it is no name, as of /dev/stdin.
func (s *Spec) RunName() string {
	base := filepath.Base(s.File)
	name := strings.TrimSpace(strings.TrimSuffix(base, filepath.Ext(base)))
	if name == "" || name == "." || name == ".." || isStream(s.File) {
		return "run"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) { // as train.name must not have them
			return '-'
		}
		return r
	}, name)
}
