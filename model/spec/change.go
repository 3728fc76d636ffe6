package spec

import (
	"bytes"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A Change says when a setting of a run may become another.
type Change uint8

const (
	// Never: what has been learnt depends on it, so another value is another run.
	Never Change = iota
	// BetweenEpochs: it decides which rows the steps of an epoch take, or what is summed
	// over them.
	BetweenEpochs
	// Anytime: it is followed from the next step on.
	Anytime
	// Place: it says where a run is, which its directory does for a run that is there; so
	// flags may not change it, and nobody else is asked.
	Place
)

// String returns the words for it in documents and messages.
func (c Change) String() string {
	return [...]string{"never", "between epochs", "at any time", "never"}[c]
}

// A ChangeRule says when the settings that a pattern matches may change.
type ChangeRule struct {
	// Keys is a key, or one whose last elements are *: any key below.
	Keys string
	When Change
	// Evaluate and Predict say that these commands follow the setting too.
	Evaluate, Predict bool
	Why               string
}

// changeRules is the one table of what may change in a run; the first rule that
// matches a key holds.
func changeRules() []ChangeRule {
	return []ChangeRule{
		{"data.dir", Anytime, true, false, "where the data is; its rows must be those of the run"},
		{"data.root", Anytime, true, false, "as data.dir"},
		{"data.csv.path", Anytime, true, false, "as data.dir"},
		{"data.csv.test_path", Anytime, true, false, "as data.dir"},
		{"data.csv.delimiter", Anytime, true, true, "how the file is written; its rows must be those of the run"},
		{"data.csv.header", Anytime, true, true, "as data.csv.delimiter"},
		{"data.csv.encoding", Anytime, true, true, "as data.csv.delimiter"},
		{"data.npy.*", Anytime, true, false, "as data.dir"},
		{"data.batch_size", BetweenEpochs, true, true, "decides which rows a step takes"},
		{"data.shuffle", BetweenEpochs, false, false, "decides which rows a step takes"},
		{"data.*", Never, false, false, "what the model learnt depends on which rows it got, and how they were read"},
		{"model", Never, false, false, "the weights belong to it"},
		{"loss", Never, false, false, "best values and the optimizer's state belong to it"},
		{"loss.*", Never, false, false, "as loss"},
		{"optimizer", Never, false, false, "its state belongs to it"},
		{"optimizer.*.learning_rate", Anytime, false, false, ""},
		{"optimizer.*.weight_decay", Anytime, false, false, ""},
		{"optimizer.*.clipnorm", Anytime, false, false, ""},
		{"optimizer.*.global_clipnorm", Anytime, false, false, ""},
		{"optimizer.*.clipvalue", Anytime, false, false, ""},
		{"optimizer.*", Never, false, false, "the optimizer's state was made with it"},
		{"metrics", BetweenEpochs, true, false, "they are summed over an epoch; metrics.csv, whose columns they are, must be renamed"},
		{"train.seed", Never, false, false, "the first weights and all that was drawn since come from it"},
		{"train.accumulate", BetweenEpochs, false, false, "decides which rows a step takes"},
		{"train.dir", Place, false, false, "a run keeps its directory"},
		{"train.name", Place, false, false, "a run keeps its directory"},
		{"train.early_stopping.monitor", Anytime, false, false, "the best value is looked for anew"},
		{"train.schedule.reduce_on_plateau.monitor", Anytime, false, false, "the best value is looked for anew"},
		{"train.*", Anytime, false, false, ""},
		{"backend.*", Anytime, true, true, "bits may differ between backends, and results within rounding"},
		{"cluster.strategy.ensemble.members", Never, false, false, "the weights are those of so many models"},
		{"cluster.*", Anytime, false, false, "an ensemble stays one, and nothing else becomes one"},
	}
}

// ChangeOf returns the rule for a setting, or for "model".
func ChangeOf(key string) ChangeRule {
	for _, r := range changeRules() {
		if matches(r.Keys, key) {
			return r
		}
	}
	return ChangeRule{Keys: key, Why: "no rule allows it"}
}

// matches reports whether a key is one of a pattern: each * stands for one element,
// or, at the end, for any number of them.
func matches(pattern, key string) bool {
	want, got := strings.Split(pattern, "."), strings.Split(key, ".")
	for i, w := range want {
		switch {
		case i >= len(got):
			return false
		case w == "*" && i+1 == len(want):
			return true
		case w != "*" && w != got[i]:
			return false
		}
	}
	return len(got) == len(want)
}

// A Difference is a setting, or "model", that two specs have with other values, in
// YAML; "" where one has none.
type Difference struct{ Key, Old, New string }

// Differences returns what differs between two specs, in the order of the settings. Of
// two kinds that differ, such as optimizers, their settings are not compared.
func Differences(old, now *Spec) []Difference {
	a, b := old.values(), now.values()
	var out []Difference
	add := func(key string) {
		if a[key] != b[key] {
			out = append(out, Difference{key, a[key], b[key]})
		}
	}
	var other []string // choices that differ
	for _, x := range settings() {
		if slices.ContainsFunc(other, func(choice string) bool { return strings.HasPrefix(x.key, choice+".") }) {
			continue
		}
		add(x.key)
		if x.typ == reflect.TypeFor[Choice]() && a[x.key] != b[x.key] {
			other = append(other, x.key)
		}
	}
	add("model")
	return out
}

// Value returns the value of a setting, in YAML; "" when it has none.
func (s *Spec) Value(key string) string { return s.values()[key] }

// values returns the values of all settings, and the model, in YAML.
func (s *Spec) values() map[string]string {
	out := map[string]string{}
	addValues(out, reflect.ValueOf(s).Elem(), "")
	if n := s.Cluster.Members(); n > 0 { // which may follow cluster.workers
		out["cluster.strategy.ensemble.members"] = strconv.Itoa(n)
	}
	return out
}

func addValues(out map[string]string, x reflect.Value, prefix string) {
	for _, f := range fieldsOf(x.Type()) {
		v, key := x.FieldByIndex(f.index), prefix+f.key
		switch c := v.Interface().(type) {
		case Choice:
			out[key] = c.Kind
			if c.Params != nil {
				addValues(out, reflect.ValueOf(c.Params).Elem(), key+"."+c.Kind+".")
			}
			continue
		case []Layer:
			out[key] = yamlText(v)
			continue
		}
		switch {
		case v.Kind() == reflect.Struct:
			addValues(out, v, key+".")
		case !f.hasDef && v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0:
			out[key] = ""
		default:
			out[key] = yamlText(v)
		}
	}
}

// yamlText returns a value in YAML, in one line unless it is the model.
func yamlText(v reflect.Value) string {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	if err := e.Encode(valueNode(v, func(string) bool { return false })); err != nil {
		panic("spec: invariant: " + err.Error())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// An Unheeded is a variable of the environment for a setting that Options.Unheeded
// excludes.
type Unheeded struct{ Variable, Key, Value string }

// Unheeded returns the variables of the environment that were not heeded and say other
// than the spec does, by name.
func (s *Spec) Unheeded() []Unheeded {
	now := s.values()
	var out []Unheeded
	for _, u := range s.unheeded {
		if !sameValue(now[u.Key], u.Value) {
			out = append(out, u)
		}
	}
	slices.SortFunc(out, func(a, b Unheeded) int { return strings.Compare(a.Variable, b.Variable) })
	return out
}

// sameValue reports whether two texts are the same, or the same number.
func sameValue(a, b string) bool {
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	return a == b || errX == nil && errY == nil && x == y
}

// Applies reports whether a setting has an effect in a spec of these kinds and this source:
// that of an optimizer which is not chosen, or of another source's files, has none.
func (s *Spec) Applies(key string) bool {
	switch {
	case strings.HasPrefix(key, "data.csv."):
		return s.Data.Source == "csv"
	case strings.HasPrefix(key, "data.npy."):
		return s.Data.Source == "npy"
	case key == "data.dir":
		return slices.Contains([]string{"mnist", "fashion_mnist", "idx"}, s.Data.Source)
	case key == "data.root":
		return s.Data.relative()
	}
	_, is := s.values()[key]
	return is
}
