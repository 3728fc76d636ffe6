package spec

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/pflag"
)

// A shortcut is a flag of its own for a setting.
type shortcut struct{ flag, key string }

// shortcuts lists the flags besides --set.
func shortcuts() []shortcut {
	return []shortcut{
		{"backend", "backend.kind"},
		{"threads", "backend.threads"},
		{"epochs", "train.epochs"},
		{"batch-size", "data.batch_size"},
		{"seed", "train.seed"},
		{"name", "train.name"},
		{"runs", "train.dir"},
		{"data-dir", "data.dir"},
		{"workers", "cluster.workers"},
		{"strategy", "cluster.strategy"},
		{"coordinator", "cluster.coordinator"},
		{"certs", "cluster.certs"},
		{"insecure", "cluster.insecure"},
		{"dashboard", "cluster.dashboard"},
		{"launch", "cluster.launch"},
		{"image", "cluster.image"},
	}
}

// AddFlags adds the flags that override settings to a flag set, or only the
// named ones. Their values are checked by Load and Parse, with the file.
func AddFlags(fs *pflag.FlagSet, names ...string) {
	wanted := func(name string) bool { return len(names) == 0 || slices.Contains(names, name) }
	all := settings()
	for _, s := range shortcuts() {
		if !wanted(s.flag) {
			continue
		}
		i := slices.IndexFunc(all, func(x setting) bool { return x.key == s.key })
		fs.Var(&flagText{typ: flagType(all[i].field)}, s.flag, usage(all[i]))
		if all[i].typ.Kind() == reflect.Bool {
			fs.Lookup(s.flag).NoOptDefVal = "true"
		}
	}
	if wanted("set") {
		fs.Var(&flagList{}, "set", "any other setting, such as optimizer.adam.learning_rate=0.01; repeatable")
	}
}

// usage is the text for a setting's flag: the first sentence of its doc.
func usage(s setting) string {
	doc, _, _ := strings.Cut(strings.TrimSuffix(s.doc, "."), ". ")
	if r := []rune(doc); unicode.IsLower(r[1]) { // not CPU
		doc = string(unicode.ToLower(r[0])) + string(r[1:])
	}
	return fmt.Sprintf("%s (%s)", doc, s.key)
}

// A flagText is a flag whose text is checked later.
type flagText struct{ text, typ string }

func (f *flagText) String() string        { return f.text }
func (f *flagText) Set(text string) error { f.text = text; return nil }
func (f *flagText) Type() string          { return f.typ }

// flagType is the word for the value of a flag in help texts.
func flagType(f field) string {
	switch typeWords(f.typ) {
	case "a whole number":
		return "int"
	case "a number":
		return "float"
	case "true or false":
		return "bool"
	default:
		return "string"
	}
}

// A flagList collects the uses of --set.
type flagList struct{ list []Override }

func (f *flagList) String() string { return "" }
func (f *flagList) Type() string   { return "key=value" }

func (f *flagList) Set(text string) error {
	key, value, ok := strings.Cut(text, "=")
	if !ok || strings.TrimSpace(key) == "" {
		return fmt.Errorf("got %q, want key=value", text)
	}
	if bare := strings.TrimSpace(value); bare != "" { // else it may be meant: a tab is a delimiter
		value = bare
	}
	f.list = append(f.list, Override{Key: strings.TrimSpace(key), Value: value})
	return nil
}

// An override is an Override with the flag that it came from. It is bound to
// viper as a flag.
type override struct {
	Override
	flag string // "--epochs"
}

func (o override) HasChanged() bool    { return true }
func (o override) Name() string        { return o.flag }
func (o override) ValueString() string { return o.Value }
func (o override) ValueType() string   { return "string" }

// overrides returns what the flags and Options.Set say.
func (o Options) overrides() []override {
	var out []override
	list := slices.Clone(o.Set)
	if o.Flags != nil {
		for _, s := range shortcuts() {
			f := o.Flags.Lookup(s.flag)
			if f == nil || !f.Changed {
				continue
			}
			if v, ok := f.Value.(*flagText); ok {
				out = append(out, override{Override{s.key, v.text}, "--" + s.flag})
			}
		}
		if f := o.Flags.Lookup("set"); f != nil {
			if v, ok := f.Value.(*flagList); ok {
				list = append(list, v.list...)
			}
		}
	}
	for _, x := range list {
		out = append(out, override{x, "--set " + clip(x.Key)})
	}
	return out
}

// EnvironmentArguments returns what the environment says of settings as flags, but for
// the settings that a set of flags gives, and those named.
func EnvironmentArguments(fs *pflag.FlagSet, except ...string) (args []string) {
	for _, o := range (Options{Flags: fs}).overrides() {
		except = append(except, o.Key)
	}
	for _, s := range settings() {
		if text := os.Getenv(s.env()); text != "" && !slices.Contains(except, s.key) {
			args = append(args, "--set", s.key+"="+text)
		}
	}
	return args
}

// Arguments returns the flags of a set that AddFlags has made, as a command line would
// have them, but for those named.
func Arguments(fs *pflag.FlagSet, except ...string) (args []string) {
	for _, o := range (Options{Flags: fs}).overrides() {
		flag, isSet := o.flag, strings.HasPrefix(o.flag, "--set ")
		switch {
		case slices.Contains(except, strings.TrimPrefix(flag, "--")):
		case isSet:
			args = append(args, "--set", o.Key+"="+o.Value)
		default:
			args = append(args, flag+"="+o.Value)
		}
	}
	return args
}
