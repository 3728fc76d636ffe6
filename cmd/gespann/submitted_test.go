//go:build unix

package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/server"
	"github.com/gespann/gespann/internal/infile"
)

// TestSubmitChecks submits jobs that cannot run to a coordinator without workers, and
// checks that each is refused at once, in words about the submitter's own file.
func TestSubmitChecks(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a process")
	}
	dir := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache")) // MNIST is not there
	at := "unix:" + filepath.Join(socketDir(t), "c")
	startProgram(t, dir, "coordinator", "--listen", at, "--state", filepath.Join(dir, "state"), "--dashboard", "none")
	waitFor(t, "the coordinator", func() bool {
		code, _, _ := gespann(t, "", "jobs", "--coordinator", at)
		return code == exitOK
	})
	const rest = `
# what the canonical text has not
model:
  - LAYER
  - flatten
  - dense: {units: 10, activation: softmax}
loss: sparse_categorical_crossentropy
`
	conv := strings.Replace(rest, "LAYER", "conv2d: {filters: 4, kernel_size: 50}", 1)
	dense := strings.Replace(rest, "LAYER", "dense: 3", 1)
	mine, table := filepath.Join(dir, "mine.yaml"), filepath.Join(dir, "table.csv")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write(table, "a,b\n1,0\n3\n")
	const window = " model[0] conv2d: window 50x50 does not fit its input "
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"shapes":           {"data: {source: digits}" + conv, []string{"mine.yaml:4:5:" + window + "8x8"}},
		"shapes, download": {"data:\n  source: mnist" + conv, []string{"mine.yaml:5:5:" + window + "28x28"}},
		"missing data": {"data:\n  source: csv\n  csv: {path: nowhere.csv}" + dense, []string{"mine.yaml:3:3: data.csv: ",
			"nowhere.csv: no such file or directory\nhint: the coordinator reads the data, on "}},
		"bad data": {"data:\n  source: csv\n  csv: {path: " + table + "}" + dense,
			[]string{"mine.yaml:3:3: data.csv: ", "table.csv:3"}},
		"no rows": {"data: {source: digits, validation_split: 0.0001}" + dense,
			[]string{"mine.yaml:1:16: ", "data.validation_split: got 0.0001"}},
	} {
		t.Run(name, func(t *testing.T) {
			write(mine, c.text)
			code, out, words := gespann(t, "", "submit", mine, "--coordinator", at)
			if code != exitRun || out != "" {
				t.Fatalf("exit code %d, want %d\n%s%s", code, exitRun, out, words)
			}
			contains(t, "submit", words, c.want...)
		})
	}
	t.Run("missing, relative", func(t *testing.T) {
		write(mine, "data:\n  source: csv\n  csv: {path: nowhere.csv}"+dense)
		_, _, words := gespann(t, "", "submit", mine, "--coordinator", at)
		here, err := filepath.EvalSymlinks(dir)
		if err != nil {
			t.Fatal(err)
		}
		contains(t, "submit", words, "stat "+filepath.Join(here, "nowhere.csv")+": no such file", ", in "+here+": paths in the file")
	})
	if out := must(t, "jobs", "--coordinator", at); strings.Count(out, "\n") != 1 {
		t.Errorf("jobs that were refused are in the queue:\n%s", out)
	}

	// What goes wrong later is said in the same words.
	write(table, "a,b\n1,0\n3,1\n2,2\n")
	write(mine, "data:\n  source: csv\n  csv: {path: "+table+"}"+strings.Replace(dense, "10", "3", 1))
	id := strings.TrimSpace(must(t, "submit", mine, "--workers", "1", "--coordinator", at))
	if err := os.Remove(table); err != nil {
		t.Fatal(err)
	}
	startProgram(t, dir, "worker", "--coordinator", at, "--backend", "cpu", "--threads", "1")
	contains(t, "logs", must(t, "logs", "-f", id, "--coordinator", at), "waiting for workers: it wants 1, and 0 are connected",
		"failed: "+mine+":3:3: data.csv: ", "table.csv: no such file or directory")
}

// TestSubmittedDataStays checks that a job that waits reads the files of the folder that the
// coordinator was in when it was submitted, wherever that is started when it runs.
func TestSubmittedDataStays(t *testing.T) {
	for _, root := range []string{"", ", root: sub"} {
		here, there := t.TempDir(), t.TempDir()
		for folder, rows := range map[string]int{here: 40, there: 10} {
			text := "a,b\n" + strings.Repeat("1,0\n2,1\n", rows/2)
			for _, in := range []string{folder, filepath.Join(folder, "sub")} {
				if err := os.MkdirAll(in, 0o777); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(in, "t.csv"), []byte(text), 0o666); err != nil {
					t.Fatal(err)
				}
			}
		}
		text := []byte("data: {source: csv, csv: {path: t.csv}" + root + "}\nmodel: [dense: 2]\nloss: sparse_categorical_crossentropy\n")
		t.Chdir(here)
		want, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		if root != "" {
			want = filepath.Join(want, "sub")
		}
		want = filepath.Join(want, "t.csv")
		own := dist.Principal{Account: true}
		plan, err := newKeeper(nil, nil, slog.New(slog.DiscardHandler)).check(t.Context(), server.Request{Spec: text, Owner: own})
		if err != nil {
			t.Fatal(err)
		}
		if plan.Data != want+": 40 rows" {
			t.Errorf("got %q, want %s: 40 rows", plan.Data, want)
		}
		t.Chdir(there)
		s, err := parseSubmitted(plan.Spec, nil, infile.Files{}, "")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := filesOf(s.Data, infile.Files{}); err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("elsewhere: got %v, %v, want %s", got, err, want)
		}
	}
}

// socketDir returns a folder with a short name, for a socket.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "t-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
