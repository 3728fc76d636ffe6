package spec

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// elsewhere returns the setting of another section that a key names, such as
// data.batch_size for batch_size, or optimizer.sgd.learning_rate for lr; "": there is
// none, or there are several.
func (l *layers) elsewhere(name string) string {
	last := name[strings.LastIndex(name, ".")+1:]
	if key := l.within(parent(name), last); key != "" {
		return key
	}
	ends := map[string][]string{} // by their last word
	for key := range l.known {
		if l.reachable(key) {
			end := key[strings.LastIndex(key, ".")+1:]
			ends[end] = append(ends[end], key)
		}
	}
	word, _ := meantExactly(last, sortedKeys(ends))
	keys := ends[word]
	// Of several, the one that is in the section which was named.
	if section := parent(name); section != "" && len(keys) > 1 {
		keys = slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return !strings.HasPrefix(key, section+".") })
	}
	if len(keys) != 1 {
		return ""
	}
	return keys[0]
}

// within returns the setting of a section that a word means exactly, or "".
func (l *layers) within(section, word string) string {
	var known []string
	for key := range l.known {
		if parent(key) == section && section != "" {
			known = append(known, key[len(section)+1:])
		}
	}
	slices.Sort(known)
	if best, _ := meantExactly(word, known); best != "" {
		return join(section, best)
	}
	return ""
}

// choices are the settings that are one kind of several.
var choices = []string{"loss", "optimizer", "train.schedule", "cluster.strategy"}

// reachable reports whether a setting has an effect: not of an optimizer that is not
// the one of the run.
func (l *layers) reachable(key string) bool {
	for _, choice := range choices {
		rest, ok := strings.CutPrefix(key, choice+".")
		if !ok {
			continue
		}
		kind, _, _ := strings.Cut(rest, ".")
		return kind == l.chosen(choice)
	}
	return true
}

// chosen returns the kind of a choice, or what is its default where no kind is known.
func (l *layers) chosen(choice string) string {
	kinds, kind := kindsOf(choice[strings.LastIndex(choice, ".")+1:]), ""
	if v, ok := l.get(choice); ok && v.node.Kind == yaml.MappingNode && len(v.node.Content) > 0 {
		kind = v.node.Content[0].Value
	} else if ok {
		kind = v.node.Value
	}
	if _, ok := kinds[kind]; !ok {
		return l.known[choice].def
	}
	return kind
}

// elsewhereHint is elsewhere as a hint.
func (l *layers) elsewhereHint(name string) string {
	if key := l.elsewhere(name); key != "" {
		return fmt.Sprintf("did you mean %q?", key)
	}
	return ""
}

// FlagHint returns how a command line sets what a word means that is no flag: by one of
// the command's flags, or by --set if that is among them. Without a suggestion it is "".
func FlagHint(word string, flags []string) string {
	has := func(flag string) bool { return slices.Contains(flags, flag) }
	for _, f := range flags {
		if plainly(f) == plainly(word) {
			return fmt.Sprintf("did you mean --%s?", f)
		}
	}
	begun := slices.DeleteFunc(slices.Clone(flags), func(f string) bool { return !strings.HasPrefix(f, word) })
	if len(begun) == 1 && len(word) > 1 {
		return fmt.Sprintf("did you mean --%s?", begun[0])
	}
	l, _ := newLayers("", nil, Options{})
	key := l.elsewhere(strings.ReplaceAll(word, "-", "_"))
	for _, s := range shortcuts() {
		if s.key == key && has(s.flag) {
			return fmt.Sprintf("did you mean --%s?", s.flag)
		}
	}
	// A command that does not train has no use for the rest.
	if section, _, _ := strings.Cut(key, "."); key != "" && has("set") && (has("epochs") || section == "data" || section == "backend") {
		return fmt.Sprintf("did you mean --set %s=...?", key)
	}
	if best := closest(word, flags); best != "" {
		return fmt.Sprintf("did you mean --%s?", best)
	}
	return ""
}

// Suggest returns a hint with the known word that is meant by another one, or "".
func Suggest(word string, known []string) string { return suggestion(word, known) }

// Near returns the known word that another one misspells, or "".
func Near(word string, known []string) string { return closest(word, known) }
