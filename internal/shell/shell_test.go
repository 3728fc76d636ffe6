package shell

import (
	"os/exec"
	"testing"
)

var words = map[string]string{
	"runs/a-1": "runs/a-1", "runs/a b": "'runs/a b'", "it's": `'it'\''s'`, "": "''", "runs/größe": "runs/größe",
	"$x": "'$x'", "~": "'~'", `a\b`: `'a\b'`, "a*[1]": "'a*[1]'", "a\nb": "'a\nb'", "!x": "'!x'", "a;b&c|d>e": "'a;b&c|d>e'",
	"--set=a.b=1e-3": "--set=a.b=1e-3",
}

func TestWord(t *testing.T) {
	for word, want := range words {
		if got := Word(word); got != want {
			t.Errorf("%q: got %s, want %s", word, got, want)
		}
	}
}

// TestShellReads asks a shell what it reads.
func TestShellReads(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skipf("no shell to ask: %v", err)
	}
	for word := range words {
		got, err := exec.Command(sh, "-c", "printf %s "+Word(word)).Output()
		if err != nil || string(got) != word {
			t.Errorf("%q: the shell reads %q (%v)", word, got, err)
		}
	}
}
