package spec

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// ourWords returns every word that a file, a flag or a variable may have.
func ourWords() []string {
	out := []string{"gpu"}
	for _, g := range groups() {
		for name, k := range g.kinds {
			out = append(append(out, name), keys(paramsOf(k))...)
		}
	}
	for _, s := range settings() {
		out = append(append(out, strings.Split(s.key, ".")...), s.enum...)
	}
	return append(out, "model")
}

// TestDialects checks that other libraries' words lead to words that there are, and
// that none of them is one of ours which means that already.
func TestDialects(t *testing.T) {
	ours := ourWords()
	for _, f := range dialects {
		if !slices.Contains(ours, f.ours) {
			t.Errorf("%s lead to %q, which nothing is called", f.words, f.ours)
		}
		for _, w := range strings.Fields(f.words) {
			if best, hint := meant(w, []string{f.ours}); best != f.ours || !strings.Contains(hint, f.ours) {
				t.Errorf("%s: got %q, %q, want %s", w, best, hint, f.ours)
			}
		}
	}
	for _, n := range needless {
		for _, w := range strings.Fields(n.words) {
			if hint := suggestion(w, []string{"xyzzy"}); hint != n.hint {
				t.Errorf("%s: got %q, want %q", w, hint, n.hint)
			}
		}
	}
}

// TestAbsent checks that another thing is not taken for a misspelling of ours, and that
// what is ours is not called absent.
func TestAbsent(t *testing.T) {
	for word, want := range map[string]string{
		"nadam": `there is no nadam here; the nearest is "adam"`, "NAdam": `there is no NAdam here; the nearest is "adam"`,
		"adamm": `did you mean "adam"?`, "adamax": "", "asgd": `there is no asgd here; the nearest is "sgd"`,
	} {
		if got := suggestion(word, sortedKeys(Optimizers)); got != want {
			t.Errorf("%s: got %q, want %q", word, got, want)
		}
	}
	known := strings.Split(wordList(Activations), ",")
	for _, kinds := range []map[string]Kind{Optimizers, Layers, Losses} {
		known = append(known, sortedKeys(kinds)...)
	}
	for _, word := range strings.Fields(elsewhereOnly) {
		if slices.Contains(known, word) {
			t.Errorf("%s is ours", word)
		}
	}
}

// TestOwnSection checks that a setting is looked for in the section that was named.
func TestOwnSection(t *testing.T) {
	for key, want := range map[string]string{
		"optimizer.sgd.lr": "optimizer.sgd.learning_rate", "optimizer.adamw.lr": "optimizer.adamw.learning_rate",
		"lr": "optimizer.adam.learning_rate", "data.lr": "optimizer.adam.learning_rate",
	} {
		_, err := Parse("x.yaml", []byte(changeBase), Options{Set: []Override{{key, "1"}}})
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("did you mean %q?", want)) {
			t.Errorf("--set %s: got %v, want %s", key, err, want)
		}
	}
	t.Setenv("GESPANN_OPTIMIZER_SGD_LR", "1")
	const want = `did you mean "GESPANN_OPTIMIZER_SGD_LEARNING_RATE"?`
	if _, err := Parse("x.yaml", []byte(changeBase), Options{Env: true}); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestFlagHint(t *testing.T) {
	flags := []string{"epochs", "batch-size", "seed", "set", "data-dir", "log"}
	for word, want := range map[string]string{
		"epoch": "--epochs?", "batch_size": "--batch-size?", "batchsize": "--batch-size?", "num-epochs": "--epochs?",
		"lr": "--set optimizer.adam.learning_rate=...?", "learning-rate": "--set optimizer.adam.learning_rate=...?",
		"optimizer": "--set optimizer=...?", "random-state": "--seed?", "validation-split": "--set data.validation_split=...?",
		"data": "--data-dir?", "see": "--seed?",
		"xyzzy": "",
	} {
		if want != "" {
			want = "did you mean " + want
		}
		if got := FlagHint(word, flags); got != want {
			t.Errorf("--%s: got %q, want %q", word, got, want)
		}
	}
	for _, flags := range [][]string{{"log"}, {"set", "log"}} {
		if got := FlagHint("learning-rate", flags); got != "" {
			t.Errorf("of a command with %v: got %q", flags, got)
		}
	}
}
