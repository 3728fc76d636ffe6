package spec

import "testing"

func TestRunName(t *testing.T) {
	for file, want := range map[string]string{
		"configs/digits-mlp.yaml": "digits-mlp", "my model.yaml": "my model", ".yaml": "run", "a/.yaml": "run", "..yaml": "run",
		"...yaml": "run", " .yaml": "run", "x": "x", ".x.yaml": ".x", "a.b.yaml": "a.b", "two\nlines.yml": "two-lines", "größe.yaml": "größe",
		"/dev/stdin": "run", "/dev/fd/63": "run", "/proc/self/fd/0": "run",
	} {
		if got := (&Spec{File: file}).RunName(); got != want {
			t.Errorf("%q: got %q, want %q", file, got, want)
		}
	}
}
