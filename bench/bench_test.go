package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWorks builds the model of each work, and checks what competitors would read.
func TestWorks(t *testing.T) {
	seen := map[string]bool{}
	for _, w := range append(works(), lowWorks()...) {
		if seen[w.Name] {
			t.Errorf("two works are named %s", w.Name)
		}
		seen[w.Name] = true
		x, y, _, err := w.content()
		if err != nil {
			t.Errorf("%s: %v", w.Name, err)
			continue
		}
		size := 1
		for _, dim := range w.Input {
			size *= dim
		}
		if len(y) != batches*w.Batch || len(x) != len(y)*size {
			t.Errorf("%s: got %d features and %d labels, want %d batches of %d", w.Name, len(x), len(y),
				batches, w.Batch)
		}
	}
}

// TestServe asks a contestant for a work and for a turn, as the race does.
func TestServe(t *testing.T) {
	w := &work{Name: "small", Input: []int{3}, Classes: 2, Batch: 4, Optimizer: "sgd",
		Layers: perceptron(5, 2), Threads: 1}
	low := *w
	low.Precision = "bf16"
	for _, c := range []struct {
		name      string
		newEngine func(*work) (engine, error)
		work      *work
	}{
		{"gespann", func(w *work) (engine, error) { return newGespannEngine(w) }, w},
		{"gespann in bf16", func(w *work) (engine, error) { return newGespannEngine(w) }, &low},
		{"gorgonia", newTapeEngine, w},
	} {
		var in, out bytes.Buffer
		enc := json.NewEncoder(&in)
		for _, r := range []request{{}, {Work: c.work}, {MS: 0.01}} {
			if err := enc.Encode(r); err != nil {
				t.Fatal(err)
			}
		}
		if err := serve(c.name, c.newEngine, &in, &out); err != nil {
			t.Fatal(err)
		}
		dec := json.NewDecoder(&out)
		var hello, ready, times answer
		for _, a := range []*answer{&hello, &ready, &times} {
			if err := dec.Decode(a); err != nil || a.Error != "" {
				t.Fatalf("%s: got %+v, %v", c.name, a, err)
			}
		}
		if hello.Name != c.name || len(ready.Modes) != 1 || len(times.Times) == 0 {
			t.Errorf("%s: got %+v, %+v, %+v", c.name, hello, ready, times)
		}
	}
}

func TestReplaceTable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.md")
	text := "a\n<!-- t: written by make bench -->\nold\n<!-- end of t -->\nb\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := replaceTable(path, "t", "new\n"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Replace(text, "old", "\nnew\n", 1); string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := replaceTable(path, "other", "new\n"); err == nil {
		t.Error("no error without markers")
	}
}
