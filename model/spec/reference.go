package spec

import (
	"bytes"
	_ "embed" // the page's template
	"fmt"
	"reflect"
	"strings"
	"text/template"
)

//go:embed reference.md.tmpl
var referenceText string

// The page is made of these.
type (
	refRow     struct{ Key, Wants, Default, Doc string }
	refSection struct {
		Path, Doc string
		Rows      []refRow
	}
	refKind struct {
		Name, Doc string
		Rows      []refRow
	}
	refGroup struct {
		Title    string
		Kinds    []refKind
		Detailed bool // with settings
	}
	refFlag struct{ Flag, Key, Env string }
)

// Reference returns configs/README.md: how to write a spec, and every key.
func Reference() []byte {
	t := template.Must(template.New("reference").Funcs(template.FuncMap{
		"examples": examples,
		"flags":    refFlags,
		"sections": func() []refSection { return refSections(reflect.TypeFor[Spec](), "") },
		"groups":   refGroups,
		"changes":  changeRules,
		"cell":     func(s string) string { return strings.ReplaceAll(s, "|", `\|`) },
	}).Parse(referenceText))
	var b bytes.Buffer
	if err := t.Execute(&b, nil); err != nil {
		panic(fmt.Sprintf("spec: invariant: %v", err))
	}
	page := bytes.ReplaceAll(b.Bytes(), []byte("\n\n\n"), []byte("\n\n"))
	return append(bytes.TrimSpace(page), '\n')
}

// examples lists the files in configs.
func examples() []Word {
	return []Word{
		{"digits-mlp.yaml", "a multilayer perceptron on data in the program: start here"},
		{"digits-resnet.yaml", "branches, repeated blocks, batch normalization, a cosine schedule"},
		{"mnist-mlp.yaml", "a multilayer perceptron on MNIST"},
		{"mnist-cnn.yaml", "a convolutional network on MNIST"},
		{"mnist-cluster.yaml", "a small perceptron on MNIST, trained by four workers"},
	}
}

// refFlags lists the flags with their settings.
func refFlags() []refFlag {
	var out []refFlag
	for _, s := range shortcuts() {
		out = append(out, refFlag{"--" + s.flag, "`" + s.key + "`", "`" + setting{key: s.key}.env() + "`"})
	}
	return append(out, refFlag{"--set KEY=VALUE", "any below", "`" + setting{key: "optimizer.adam.learning_rate"}.env() + "`, ..."})
}

// refSections lists the sections of a spec below a struct.
func refSections(t reflect.Type, prefix string) []refSection {
	var out []refSection
	for _, f := range fieldsOf(t) {
		s := refSection{Path: prefix + f.key, Doc: f.doc}
		switch {
		case f.typ == reflect.TypeFor[Choice]() && prefix == "":
			s.Doc += " One of " + links(sortedKeys(kindsOf(f.key))) + "." + defaultWords(f)
			out = append(out, s)
		case f.typ == reflect.TypeFor[[]Layer]():
			s.Doc += " Each is one of " + links(sortedKeys(Layers)) + ", with these keys beside it:"
			s.Rows = refRows(fieldsOf(reflect.TypeFor[Layer]()))
			out = append(out, s)
		case prefix == "" && f.typ.Kind() == reflect.Slice:
			s.Doc += " A list of `" + strings.Join(sortedKeys(Metrics), "`, `") + "`."
			out = append(out, s)
		case f.typ.Kind() == reflect.Struct && f.typ != reflect.TypeFor[Choice]():
			s.Rows = refRows(fieldsOf(f.typ))
			out = append(out, s)
			out = append(out, refSections(f.typ, s.Path+".")...)
		}
	}
	return out
}

// defaultWords says the default of a choice in a sentence.
func defaultWords(f field) string {
	if !f.hasDef {
		return " Required."
	}
	return " Default: `" + f.def + "`."
}

// links lists names that are headings of the page.
func links(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = fmt.Sprintf("[%s](#%s)", n, n)
	}
	return strings.Join(out, ", ")
}

// refRows describes the keys of a section, one per row.
func refRows(fs []field) []refRow {
	var out []refRow
	for _, f := range fs {
		r := refRow{Key: f.key, Wants: refWants(f), Doc: f.doc}
		switch {
		case f.req:
			r.Default = "required"
		case f.hasDef:
			r.Default = "`" + f.def + "`"
		}
		out = append(out, r)
	}
	return out
}

// refWants says what a key takes, with links and code.
func refWants(f field) string {
	switch {
	case f.shared != "":
		word := strings.TrimPrefix(f.shared, "@")
		return fmt.Sprintf("an [%s](#%ss)", word, word)
	case f.enum != nil:
		return "`" + strings.Join(f.enum, "`, `") + "`"
	case f.typ == reflect.TypeFor[Choice]():
		return "one of " + links(sortedKeys(kindsOf(f.key)))
	case f.typ.Kind() == reflect.Struct:
		return "a section"
	default:
		return f.wants()
	}
}

// refGroups lists the kinds.
func refGroups() []refGroup {
	var out []refGroup
	for _, g := range groups() {
		rg := refGroup{Title: g.title}
		for _, name := range sortedKeys(g.kinds) {
			k := refKind{Name: name, Doc: g.kinds[name].Doc, Rows: refRows(paramsOf(g.kinds[name]))}
			rg.Detailed = rg.Detailed || len(k.Rows) > 0
			rg.Kinds = append(rg.Kinds, k)
		}
		out = append(out, rg)
	}
	return out
}
