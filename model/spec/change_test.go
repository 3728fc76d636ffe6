package spec

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestChangeOfEverySetting compares the rules for all settings, key by key, with those
// that are written down: a new setting must be thought of.
func TestChangeOfEverySetting(t *testing.T) {
	var b strings.Builder
	used := map[string]bool{}
	for _, key := range append(settingKeys(), "model") {
		r := ChangeOf(key)
		used[r.Keys] = true
		fmt.Fprintf(&b, "%-50s %-15s %-5v %v\n", key, r.When, r.Evaluate, r.Predict)
	}
	golden(t, filepath.Join("testdata", "changes.txt"), []byte(b.String()))
	for _, r := range changeRules() {
		if !used[r.Keys] {
			t.Errorf("rule %s holds for no setting", r.Keys)
		}
	}
}

func settingKeys() []string {
	var out []string
	for _, s := range settings() {
		out = append(out, s.key)
	}
	return out
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, key string
		want         bool
	}{
		{"loss", "loss", true},
		{"loss", "loss.huber.delta", false},
		{"loss.*", "loss.huber.delta", true},
		{"loss.*", "loss", false},
		{"optimizer.*.epsilon", "optimizer.adam.epsilon", true},
		{"optimizer.*.epsilon", "optimizer.adam.rho", false},
		{"optimizer.*.epsilon", "optimizer.adam", false},
	} {
		if got := matches(c.pattern, c.key); got != c.want {
			t.Errorf("matches(%s, %s) = %v, want %v", c.pattern, c.key, got, c.want)
		}
	}
}

func parse(t *testing.T, text string, o Options) *Spec {
	t.Helper()
	s, err := Parse(filepath.Join("folder", "x.yaml"), []byte(text), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const changeBase = "data: {source: digits}\nmodel: [flatten]\nloss: huber\n"

func TestDifferences(t *testing.T) {
	old := parse(t, changeBase, Options{})
	if got := Differences(old, parse(t, changeBase+"optimizer: {adam: {beta_1: 0.9}}\n", Options{})); got != nil {
		t.Errorf("with a default spelled out: got %v, want none", got)
	}
	now := parse(t, strings.Replace(changeBase, "flatten", "{flatten: {}, name: f}", 1)+
		"optimizer: {sgd: {learning_rate: 0.5}}\nmetrics: [accuracy]\ntrain: {epochs: 3, seed: 4}\n", Options{})
	got := Differences(old, now)
	var keys []string
	for _, d := range got {
		keys = append(keys, d.Key)
	}
	want := []string{"optimizer", "metrics", "train.epochs", "train.seed", "model"}
	if !reflect.DeepEqual(keys, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got[0] != (Difference{"optimizer", "adam", "sgd"}) || got[3] != (Difference{"train.seed", "1", "4"}) {
		t.Errorf("got %v", got)
	}
}

// TestEmptyList checks that a flag can take all elements of a list away.
func TestEmptyList(t *testing.T) {
	s := parse(t, changeBase+"metrics: [top_2_accuracy]\n", Options{Set: []Override{{"metrics", ""}}})
	if len(s.Metrics) != 0 {
		t.Errorf("got %q, want none", s.Metrics)
	}
}

// TestTab checks that a tab is a delimiter wherever it is given.
func TestTab(t *testing.T) {
	const text = "data: {source: csv, csv: {path: a.csv%s}}\nmodel: [flatten]\nloss: huber\n"
	for name, c := range map[string]struct{ file, flag, env string }{
		"flag, tab": {flag: "data.csv.delimiter=\t"}, "flag, letters": {flag: `data.csv.delimiter=\t`},
		"variable, tab": {env: "\t"}, "variable, letters": {env: `\t`},
		"file, double quotes": {file: `, delimiter: "\t"`}, "file, single quotes": {file: `, delimiter: '\t'`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("GESPANN_DATA_CSV_DELIMITER", c.env)
			var words []string
			if c.flag != "" {
				words = []string{"--set", c.flag}
			}
			o := options(t, words)
			o.Env = true
			if s := parse(t, fmt.Sprintf(text, c.file), o); s.Data.CSV.Delimiter != "\t" {
				t.Errorf("got %q, want a tab", s.Data.CSV.Delimiter)
			}
		})
	}
}

// TestBrackets checks that a flag may give a list as YAML does.
func TestBrackets(t *testing.T) {
	for text, want := range map[string][]string{
		"[top_2_accuracy,top_3_accuracy]": {"top_2_accuracy", "top_3_accuracy"}, "[ top_2_accuracy ]": {"top_2_accuracy"},
		`["top_2_accuracy"]`: {"top_2_accuracy"}, "[]": nil, "top_2_accuracy,top_3_accuracy": {"top_2_accuracy", "top_3_accuracy"},
	} {
		s := parse(t, changeBase, Options{Set: []Override{{"metrics", text}}})
		if !slices.Equal(s.Metrics, want) {
			t.Errorf("%s: got %q, want %q", text, s.Metrics, want)
		}
	}
	csv := "data: {source: csv, csv: {path: a.csv, label: y}}\nmodel: [flatten]\nloss: huber\n"
	for text, want := range map[string][]string{
		`[ "a,b" , 1]`: {"a,b", "1"}, "[a],[b]": {"[a]", "[b]"}, "[a],b": {"[a]", "b"}, "[[a]]": {"[[a]]"},
	} {
		s := parse(t, csv, Options{Set: []Override{{"data.csv.features", text}}})
		if !slices.Equal(s.Data.CSV.Features, want) {
			t.Errorf("%s: got %q, want %q", text, s.Data.CSV.Features, want)
		}
	}
	if _, err := Parse("x.yaml", []byte(changeBase), Options{Set: []Override{{"metrics", "[top_2_accuracy,acuracy]"}}}); err == nil ||
		!strings.HasPrefix(err.Error(), "--set metrics: ") && !strings.HasPrefix(err.Error(), "--set metrics[1]: ") {
		t.Errorf("got %v, want an error of --set metrics", err)
	}
}

// TestUnheeded checks that the environment does not reach what it is not to.
func TestUnheeded(t *testing.T) {
	t.Setenv("GESPANN_TRAIN_SEED", "7")
	t.Setenv("GESPANN_TRAIN_EPOCHS", "3")
	t.Setenv("GESPANN_DATA_SPLIT_SEED", "1") // as it is
	s := parse(t, changeBase, Options{Env: true, Unheeded: func(key string) bool { return key != "train.epochs" }})
	if s.Train.Seed != 1 || s.Train.Epochs != 3 {
		t.Errorf("seed %d, epochs %d, want 1 and 3", s.Train.Seed, s.Train.Epochs)
	}
	if got, want := s.Unheeded(), []Unheeded{{"GESPANN_TRAIN_SEED", "train.seed", "7"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
