package spec

import (
	"os"
	"path/filepath"
	"strings"
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

// TestPathsThroughLinks checks that a path that goes up does so as the system would: from
// where a linked folder really is.
func TestPathsThroughLinks(t *testing.T) {
	here := t.TempDir()
	if resolved, err := filepath.EvalSymlinks(here); err == nil {
		here = resolved
	}
	for _, folder := range []string{"real/sub", "links"} {
		if err := os.MkdirAll(filepath.Join(here, folder), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(here, "links", "link")
	if err := os.Symlink(filepath.Join(here, "real", "sub"), link); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(here, "real", "data.csv"), []byte("this one"), 0o666); err != nil {
		t.Fatal(err)
	}
	const text = "data: {source: csv, csv: {path: ../data.csv}}\nmodel: [flatten]\nloss: huber\n"
	s, err := Parse(filepath.Join(link, "x.yaml"), []byte(text), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Locate(); err != nil {
		t.Fatal(err)
	}
	given, err := Parse("x.yaml", []byte(text), Options{Set: []Override{{"data.csv.path", "sub/../../real/data.csv"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Join(here, "real"))
	if err := given.LocateGiven(); err != nil {
		t.Fatal(err)
	}
	for what, d := range map[string]Data{"in a file": s.Data, "of a flag": given.Data} {
		path := d.Located().CSV.Path
		if got, err := os.ReadFile(path); string(got) != "this one" {
			t.Errorf("%s: %s has %q, %v", what, path, got, err)
		}
	}
}

// TestWithin checks what goes up at once, what goes up later and what ends so.
func TestWithin(t *testing.T) {
	here := t.TempDir()
	if resolved, err := filepath.EvalSymlinks(here); err == nil {
		here = resolved
	}
	for path, want := range map[string]string{
		"a/b.csv": filepath.Join(here, "a", "b.csv"), "../b.csv": filepath.Join(filepath.Dir(here), "b.csv"), "..": filepath.Dir(here),
		"./../../b": filepath.Join(filepath.Dir(filepath.Dir(here)), "b"), "link/../b": here + "/link/../b", "link/..": here + "/link/..",
	} {
		if got := within(here, path); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}

// TestRootWithoutEffect checks that a folder that no path is in is refused.
func TestRootWithoutEffect(t *testing.T) {
	for what, c := range map[string]struct {
		text string
		set  []Override
		want string
	}{
		"in a file": {strings.Replace(changeBase, "digits", "digits, root: x", 1), nil, "no path of the data is relative"},
		"of a flag": {changeBase, []Override{{"data.root", "x"}}, "no path of the data is relative"},
		"beside a flag": {"data: {source: csv, csv: {path: a.csv}}\nmodel: [flatten]\nloss: huber\n", []Override{{"data.root", "x"}, {"data.csv.path", "b.csv"}},
			"paths of flags and variables are in the current folder, and no other of the data is relative" +
				"\nhint: leave it out, or give --set data.csv.path as it is from the current folder"},
		"in the file, beside a flag": {"data: {source: csv, root: x, csv: {path: a.csv}}\nmodel: [flatten]\nloss: huber\n",
			[]Override{{"data.csv.path", "b.csv"}}, "paths of flags and variables are in the current folder, "},
		"absolute in one": {"data: {source: csv, root: x, csv: {path: /a.csv}}\nmodel: [flatten]\nloss: huber\n", nil, "no path of the data is relative"},
	} {
		s, err := Parse("x.yaml", []byte(c.text), Options{Set: c.set})
		if err == nil {
			err = s.Locate()
		}
		if err == nil || !strings.Contains(err.Error(), "data.root: has no effect: "+c.want) {
			t.Errorf("%s: got %v", what, err)
		}
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
