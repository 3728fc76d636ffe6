package spec

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// An Error is one thing that is wrong with a spec.
type Error struct {
	File      string // file name; or the flag or environment variable at fault
	Line, Col int    // from 1; 0 is unknown
	Path      string // "model[2].dense.units"; empty for the whole file
	Msg       string // "got -3, want ≥ 1"
	Hint      string // how to fix it, if that is known: `did you mean "units"?`
}

// Error returns "file:line:col: path: message", and the hint on a second line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	if e.Line > 0 && e.Col > 0 {
		fmt.Fprintf(&b, ":%d", e.Col)
	}
	for _, part := range []string{e.Path, e.Msg} {
		if part == "" || strings.HasSuffix(e.File, " "+part) { // --set names the path
			continue
		}
		if b.Len() > 0 {
			b.WriteString(": ")
		}
		b.WriteString(part)
	}
	if e.Hint != "" {
		b.WriteString("\nhint: " + e.Hint)
	}
	return b.String()
}

// Errors are all the things that are wrong with a spec, sorted by position.
type Errors []*Error

// maxShown bounds how many errors are printed at once: a file of another format
// can have one in every line.
const maxShown = 50

// Error returns one error per line, with hints below.
func (e Errors) Error() string {
	lines := make([]string, 0, min(len(e), maxShown+1))
	for i, x := range e {
		if i == maxShown {
			lines = append(lines, fmt.Sprintf("and %d more", len(e)-maxShown))
			break
		}
		lines = append(lines, x.Error())
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the errors one by one, for errors.As.
func (e Errors) Unwrap() []error {
	out := make([]error, len(e))
	for i, x := range e {
		out[i] = x
	}
	return out
}

// Sort puts the errors in the order of their position. Flags and variables,
// which have none, come first.
func (e Errors) Sort() {
	slices.SortStableFunc(e, func(a, b *Error) int {
		return cmp.Or(
			cmp.Compare(min(a.Line, 1), min(b.Line, 1)),
			cmp.Compare(a.File, b.File),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Col, b.Col),
			cmp.Compare(a.Path, b.Path))
	})
}

// Errorf returns an error about the setting at a path, such as
// "model[2].dense.units", with the place where it, or else the nearest section
// around it, was given.
func (s *Spec) Errorf(path, format string, args ...any) *Error {
	pos := s.at(path)
	return &Error{File: pos.File, Line: pos.Line, Col: pos.Col, Path: path, Msg: fmt.Sprintf(format, args...)}
}

// Given reports whether the file, a flag or the environment gives a setting.
func (s *Spec) Given(path string) bool {
	_, given := s.places[path]
	return given
}

// Overridden reports whether a flag or the environment gives a setting.
func (s *Spec) Overridden(path string) bool {
	pos, given := s.places[path]
	return given && pos.File != s.File
}

// at returns where a path, or the nearest section around it, was given.
func (s *Spec) at(path string) Pos {
	for p := path; p != ""; p = parent(p) {
		if pos, ok := s.places[p]; ok {
			return pos
		}
	}
	return Pos{File: s.File}
}

// parent cuts the last element from a path.
func parent(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}
