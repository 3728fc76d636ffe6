package spec

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// A group is a list of kinds for readers.
type group struct {
	title string // "Layers"
	one   string // "layer"
	kinds map[string]Kind
}

// groups lists what Describe and Reference describe.
func groups() []group {
	metrics := map[string]Kind{}
	for name, doc := range Metrics {
		metrics[name] = Kind{New: func() any { return new(NoParams) }, Doc: doc}
	}
	return []group{
		{"Layers", "layer", Layers},
		{"Losses", "loss", Losses},
		{"Optimizers", "optimizer", Optimizers},
		{"Schedules", "schedule", Schedules},
		{"Strategies", "strategy", Strategies},
		{"Metrics", "metric", metrics},
		{"Activations", "activation", wordKinds(Activations)},
		{"Initializers", "initializer", wordKinds(Initializers)},
	}
}

func wordKinds(words []Word) map[string]Kind {
	out := map[string]Kind{}
	for _, w := range words {
		out[w.Name] = Kind{New: func() any { return new(NoParams) }, Doc: w.Doc}
	}
	return out
}

// Describe writes what a kind is and what it can be told, or, for an empty
// kind, lists all layers, losses, optimizers, schedules, strategies, metrics, activations
// and initializers. It returns an *Error for a kind that does not exist.
func Describe(w io.Writer, kind string) error {
	if kind == "" {
		return list(w)
	}
	var known []string
	found := false
	for _, g := range groups() {
		known = append(known, sortedKeys(g.kinds)...)
		k, ok := g.kinds[kind]
		if !ok {
			continue
		}
		if found {
			fmt.Fprintln(w)
		}
		found = true
		if err := describeKind(w, g, kind, k); err != nil {
			return err
		}
	}
	if !found {
		return &Error{Msg: fmt.Sprintf("unknown kind %q", clip(kind)), Hint: cmp.Or(suggestion(kind, known), "gespann layers lists all")}
	}
	return nil
}

// list writes all kinds, one per line.
func list(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, g := range groups() {
		if i > 0 {
			fmt.Fprintln(t)
		}
		fmt.Fprintln(t, g.title)
		for _, name := range sortedKeys(g.kinds) {
			fmt.Fprintf(t, "  %s\t%s\n", name, g.kinds[name].Doc)
		}
	}
	return t.Flush()
}

// describeKind writes one kind with its parameters.
func describeKind(w io.Writer, g group, name string, k Kind) error {
	if _, err := fmt.Fprintf(w, "%s (%s)\n  %s\n", name, g.one, k.Doc); err != nil {
		return err
	}
	for _, f := range paramsOf(k) {
		if _, err := fmt.Fprintf(w, "\n  %s: %s\n      %s\n", f.key, f.summary(), f.doc); err != nil {
			return err
		}
	}
	return nil
}

// summary says what a field takes and its default.
func (f field) summary() string {
	wants := f.wants()
	if f.shared != "" {
		wants = "an " + strings.TrimPrefix(f.shared, "@") // listed with the kinds
	}
	switch {
	case f.req:
		return wants + "; required"
	case f.hasDef:
		return wants + "; default " + f.def
	default:
		return wants
	}
}
