package spec

import (
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
