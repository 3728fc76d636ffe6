package spec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds the size of a spec in bytes; real ones have a few kilobytes.
const maxFile = 1 << 19

// maxDepth bounds how deep lists and mappings nest; real files need about ten.
const maxDepth = 100

// readYAML parses the text of a spec into its root mapping. Only plain YAML is
// accepted: one document, without tags, anchors and aliases, so that what is
// read is what is seen.
func readYAML(file string, text []byte) (*yaml.Node, Errors) {
	fail := func(line, col int, msg, hint string) (*yaml.Node, Errors) {
		return nil, Errors{{File: file, Line: line, Col: col, Msg: msg, Hint: hint}}
	}
	if len(text) > maxFile {
		return fail(0, 0, fmt.Sprintf("larger than %d bytes, which no spec is", maxFile), "")
	}
	if line, col, ok := invalidUTF8(text); ok {
		return fail(line, col, "not UTF-8 text", "")
	}
	var doc, second yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(text))
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return fail(1, 1, "empty, want a mapping with at least data, model and loss", "")
	case err != nil:
		return nil, Errors{syntaxError(file, text, err)}
	}
	switch err := dec.Decode(&second); {
	case err == nil:
		return fail(second.Line, second.Column, "a second document, want one", "remove everything from this --- on")
	case !errors.Is(err, io.EOF):
		return nil, Errors{syntaxError(file, text, err)}
	}
	if len(doc.Content) == 0 {
		return fail(1, 1, "empty, want a mapping with at least data, model and loss", "")
	}
	root := doc.Content[0]
	errs := plain(file, root, 0)
	if len(errs) == 0 && root.Kind != yaml.MappingNode {
		return fail(root.Line, root.Column, fmt.Sprintf(
			"got %s, want a mapping with at least data, model and loss", describe(root)), "")
	}
	return root, errs
}

// plain reports what goes beyond plain YAML below a node.
func plain(file string, n *yaml.Node, depth int) Errors {
	fail := func(msg, hint string) Errors {
		return Errors{{File: file, Line: n.Line, Col: n.Column, Msg: msg, Hint: hint}}
	}
	switch {
	case depth > maxDepth:
		return fail(fmt.Sprintf("nested deeper than %d levels", maxDepth), "")
	case n.Kind == yaml.AliasNode:
		return fail(fmt.Sprintf("alias %s is not supported", clip("*"+n.Value)), "write the value out, or use repeat for layers")
	case n.Anchor != "":
		return fail(fmt.Sprintf("anchor %s is not supported", clip("&"+n.Anchor)), "remove it")
	case n.Style&yaml.TaggedStyle != 0:
		return fail(fmt.Sprintf("tag %s is not supported", clip(n.Tag)), "remove it")
	}
	var errs Errors
	for _, c := range n.Content {
		errs = append(errs, plain(file, c, depth+1)...)
	}
	return errs
}

// invalidUTF8 returns the position of the first byte that is not UTF-8 text.
func invalidUTF8(text []byte) (line, col int, found bool) {
	line, col = 1, 1
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && n == 1:
			return line, col, true
		case r == '\n':
			line, col = line+1, 1
		default:
			col++
		}
		text = text[n:]
	}
	return 0, 0, false
}

// yamlLine finds the line in a message of package yaml.
var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// syntaxError turns an error of package yaml into one with a position.
func syntaxError(file string, text []byte, err error) *Error {
	e := &Error{File: file, Msg: err.Error()}
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		e.Line, _ = strconv.Atoi(m[1]) // 0, unknown, if there is none
		e.Msg = "not YAML: " + m[2]
		if strings.Contains(m[2], "end of stream") {
			e.Hint = "a quotation mark is not closed"
		}
	}
	for i, line := range strings.Split(string(text), "\n") {
		indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		if tab := strings.IndexByte(indent, '\t'); tab >= 0 {
			e.Line, e.Col = i+1, tab+1
			e.Msg, e.Hint = "a tab, which cannot indent YAML", "use spaces"
			break
		}
	}
	return e
}

// describe says what a node is, for "got ...".
func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!null" && n.Value == "":
		return "nothing"
	case n.Tag == "!!null":
		return "null"
	case n.Tag == "!!str" || n.Tag == "":
		return strconv.Quote(clip(n.Value))
	default:
		return clip(n.Value)
	}
}

// clip shortens a text for a message.
func clip(text string) string {
	const most = 40 // letters
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most]) + "..."
}
