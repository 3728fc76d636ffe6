package spec

import (
	"cmp"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/viper"
	"go.yaml.in/yaml/v3"
)

// A setting is a scalar, or list of names, that flags and the environment can
// override: everything outside the model.
type setting struct {
	field
	key string // full, such as "optimizer.adam.learning_rate"
}

// env returns the name of the environment variable that overrides the setting.
func (s setting) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.key, ".", "_"))
}

const envPrefix = "GESPANN_"

// foreign matches variables that are not settings: that of logs, those of this
// repository's tests, and those that Kubernetes sets for services called gespann-something.
var foreign = regexp.MustCompile(
	`^GESPANN_(LOG_FORMAT|TEST_.*|(.*_)?(SERVICE_HOST|SERVICE_PORT.*|PORT|PORT_[0-9]+_(TCP|UDP|SCTP).*))$`)

// settings lists all settings in the order of the structs.
func settings() []setting { return settingsOf(reflect.TypeFor[Spec](), "") }

func settingsOf(t reflect.Type, prefix string) []setting {
	var out []setting
	for _, f := range fieldsOf(t) {
		key := prefix + f.key
		switch {
		case f.typ == reflect.TypeFor[[]Layer]():
		case f.typ == reflect.TypeFor[Choice]():
			out = append(out, setting{f, key})
			kinds := kindsOf(f.key)
			for _, name := range sortedKeys(kinds) {
				out = append(out, settingsOf(reflect.TypeOf(kinds[name].New()).Elem(), key+"."+name+".")...)
			}
		case f.typ.Kind() == reflect.Struct:
			out = append(out, settingsOf(f.typ, key+".")...)
		default:
			out = append(out, setting{f, key})
		}
	}
	return out
}

// A value is what one layer says about a setting.
type value struct {
	node  *yaml.Node // a node without tag is text that is not YAML
	pos   Pos
	given bool // not a default
}

// plainText returns a value that comes from a flag, the environment or a
// default.
func plainText(text string, pos Pos, given bool) value {
	return value{&yaml.Node{Kind: yaml.ScalarNode, Value: text}, pos, given}
}

// layers holds the settings of all layers in viper: flags over environment over
// file over defaults.
type layers struct {
	v      *viper.Viper
	known  map[string]setting
	origin map[string]string // by key: the flag or variable that overrides it

	unheeded []Unheeded
}

// newLayers fills the layers. The errors are about overrides of settings that
// do not exist; the values are checked by the decoder.
func newLayers(file string, root *yaml.Node, o Options) (*layers, Errors) {
	l := &layers{
		// Keys stay whole: a delimiter that never occurs keeps viper from
		// taking "optimizer" for the parent of "optimizer.adam.beta_1".
		v:      viper.NewWithOptions(viper.KeyDelimiter("/")),
		known:  map[string]setting{},
		origin: map[string]string{},
	}
	inFile := map[string]any{}
	for _, s := range settings() {
		l.known[s.key] = s
		if s.hasDef {
			l.v.SetDefault(s.key, plainText(s.def, Pos{File: file}, false))
		}
		if n := find(root, strings.Split(s.key, ".")); n != nil {
			inFile[s.key] = value{n, Pos{file, n.Line, n.Column}, true}
		}
	}
	if err := l.v.MergeConfigMap(inFile); err != nil {
		panic(fmt.Sprintf("spec: invariant: viper: %v", err))
	}
	var errs Errors
	if o.Env {
		errs = l.bindEnv(os.Environ(), o.Unheeded)
	}
	return l, append(errs, l.bindFlags(o.overrides())...)
}

// bindEnv binds the variables of the environment, except for those that are not to be
// heeded.
func (l *layers) bindEnv(environ []string, unheeded func(key string) bool) Errors {
	var errs Errors
	byName := map[string]string{}
	for key, s := range l.known {
		byName[s.env()] = key
	}
	for _, kv := range environ {
		name, text, _ := strings.Cut(kv, "=")
		key, ok := byName[name]
		switch {
		case !strings.HasPrefix(name, envPrefix) || text == "" || foreign.MatchString(name):
		case !ok:
			errs = append(errs, &Error{File: name, Msg: "no such setting", Hint: l.variableHint(name, byName)})
		case !utf8.ValidString(text):
			errs = append(errs, &Error{File: name, Path: key, Msg: "not UTF-8 text"})
		case unheeded != nil && unheeded(key):
			l.unheeded = append(l.unheeded, Unheeded{name, key, text})
		default:
			l.v.MustBindEnv(key, name)
			l.origin[key] = name
		}
	}
	return errs
}

// variableHint suggests a variable for a misspelt one.
func (l *layers) variableHint(name string, byName map[string]string) string {
	known := map[string]string{} // without the prefix, which all have in common
	for n := range byName {
		known[strings.TrimPrefix(n, envPrefix)] = n
	}
	word := strings.TrimPrefix(name, envPrefix)
	best, _ := meantExactly(word, sortedKeys(known))
	// A word in a section, as in GESPANN_OPTIMIZER_SGD_LR.
	for _, key := range sortedKeys(l.known) {
		begin := strings.ToUpper(strings.ReplaceAll(parent(key), ".", "_")) + "_"
		if rest, ok := strings.CutPrefix(word, begin); ok && best == "" {
			if key := l.within(parent(key), strings.ToLower(rest)); key != "" {
				best = strings.TrimPrefix(l.known[key].env(), envPrefix)
			}
		}
	}
	// The longest ending that is a setting of its own, as in GESPANN_BATCH_SIZE.
	for rest := strings.ToLower(word); best == "" && rest != ""; _, rest, _ = strings.Cut(rest, "_") {
		if key := l.elsewhere(rest); key != "" {
			best = strings.TrimPrefix(l.known[key].env(), envPrefix)
		}
	}
	if best = cmp.Or(best, closest(word, sortedKeys(known))); best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", known[best])
}

// bindFlags binds the flags that were given.
func (l *layers) bindFlags(list []override) Errors {
	var errs Errors
	first := map[string]string{}
	for _, o := range list {
		fail := func(hint, format string, args ...any) {
			errs = append(errs, &Error{File: o.flag, Msg: fmt.Sprintf(format, args...), Hint: hint})
		}
		_, known := l.known[o.Key]
		switch {
		case o.Key == "model" || strings.HasPrefix(o.Key, "model"):
			fail("edit the file", "the model cannot be changed by a flag")
		case !known:
			fail(cmp.Or(l.elsewhereHint(o.Key), didYouMean(o.Key, sortedKeys(l.known))), "no such setting")
		case first[o.Key] != "":
			fail("", "%s was already given by %s", o.Key, first[o.Key])
		case !utf8.ValidString(o.Value):
			fail("", "not UTF-8 text")
		default:
			first[o.Key] = o.flag
			l.origin[o.Key] = o.flag
			if err := l.v.BindFlagValue(o.Key, o); err != nil {
				panic(fmt.Sprintf("spec: invariant: viper: %v", err))
			}
		}
	}
	return errs
}

// isSetting reports whether a path is one of a setting.
func (l *layers) isSetting(path string) bool {
	_, ok := l.known[path]
	return ok
}

// get returns the value of a setting from the highest layer that has one.
func (l *layers) get(key string) (value, bool) {
	switch x := l.v.Get(key).(type) {
	case value:
		return x, true
	case string:
		return plainText(x, Pos{File: l.origin[key]}, true), true
	default:
		return value{}, false
	}
}

// overridden reports whether a flag or variable overrides a setting.
func (l *layers) overridden(key string) bool { return l.origin[key] != "" }

// find returns the node at a path of keys, or nil.
func find(n *yaml.Node, path []string) *yaml.Node {
	for _, key := range path {
		_, n = entry(n, key)
	}
	return n
}

// entry returns the nodes of a key and its value in a mapping, or nil.
func entry(n *yaml.Node, key string) (k, v *yaml.Node) {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Kind == yaml.ScalarNode && n.Content[i].Value == key {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
