package spec

import (
	"os"
	"path/filepath"
	"testing"
)

// TestPaths checks what relative paths mean: in a file its folder, in flags and the
// environment the current one.
func TestPaths(t *testing.T) {
	here := t.TempDir()
	t.Chdir(here)
	if resolved, err := filepath.EvalSymlinks(here); err == nil {
		here = resolved
	}
	const text = "data: {source: csv, csv: {path: a.csv, test_path: /abs/b.csv}}\nmodel: [flatten]\nloss: huber\n" +
		"train: {dir: out}\ncluster: {certs: keys}\n"
	s := parse(t, text, Options{})
	if d := s.Data.Located(); d.CSV.Path != "a.csv" || s.Train.Dir != "out" {
		t.Errorf("for another machine: got %s and %s, want a.csv and out as written", d.CSV.Path, s.Train.Dir)
	}
	if err := s.Locate(); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string][2]string{
		"data.csv.path stays":   {s.Data.CSV.Path, "a.csv"},
		"data.root":             {s.Data.Root, filepath.Join(here, "folder")},
		"data.csv.path, opened": {s.Data.Located().CSV.Path, filepath.Join("folder", "a.csv")},
		"absolute":              {s.Data.Located().CSV.TestPath, "/abs/b.csv"},
		"train.dir":             {s.Train.Dir, filepath.Join("folder", "out")},
		"cluster.certs":         {s.Cluster.Certs, filepath.Join(here, "folder", "keys")},
	} {
		if c[0] != c[1] {
			t.Errorf("%s: got %s, want %s", what, c[0], c[1])
		}
	}
	t.Chdir(t.TempDir())
	if got, want := s.Data.Located().CSV.Path, filepath.Join(here, "folder", "a.csv"); got != want {
		t.Errorf("from elsewhere: got %s, want %s", got, want)
	}
	t.Chdir(here)
	t.Setenv("GESPANN_DATA_CSV_TEST_PATH", "c.csv")
	given := parse(t, text, Options{Env: true, Set: []Override{{"data.csv.path", filepath.Join("..", "d.csv")}, {"train.dir", "runs"}}})
	if err := given.Locate(); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string][2]string{
		"a flag":       {given.Data.Located().CSV.Path, filepath.Join(filepath.Dir(here), "d.csv")},
		"a variable":   {given.Data.Located().CSV.TestPath, "c.csv"},
		"train.dir":    {given.Train.Dir, "runs"},
		"no data.root": {given.Data.Root, ""},
	} {
		if c[0] != c[1] {
			t.Errorf("%s: got %s, want %s", what, c[0], c[1])
		}
	}
}

// TestDefaultDirStays checks that defaults are not in the folder of the file.
func TestDefaultDirStays(t *testing.T) {
	s := parse(t, changeBase, Options{})
	if err := s.Locate(); err != nil {
		t.Fatal(err)
	}
	if s.Train.Dir != "runs" || s.Data.Root != "" {
		t.Errorf("got %s and root %q, want runs and none", s.Train.Dir, s.Data.Root)
	}
}

// TestPathsOfStream reads a file through a pipe, as a shell's <(...): its paths are in the
// current folder.
func TestPathsOfStream(t *testing.T) {
	const text = "data: {source: csv, csv: {path: a.csv}}\nmodel: [dense: 1]\nloss: huber\n"
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"/dev/stdin", "/dev/fd/63", "/proc/self/fd/0", "/dev/null"} {
		s, err := Parse(file, []byte(text), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Locate(); err != nil {
			t.Fatal(err)
		}
		if s.Data.Root != here || s.Data.Located().CSV.Path != "a.csv" {
			t.Errorf("%s: got root %s and path %s, want %s and a.csv", file, s.Data.Root, s.Data.Located().CSV.Path, here)
		}
	}
}
