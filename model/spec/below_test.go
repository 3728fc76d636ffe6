package spec

import (
	"os"
	"path/filepath"
	"testing"
)

// TestBelow checks that paths of a spec from elsewhere are put together without a look at
// the disk, so that a link there changes nothing.
func TestBelow(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ root, path, wantRoot, want string }{
		{"", "t.csv", dir, dir + "/t.csv"},
		{"", "../t.csv", dir, dir + "/../t.csv"},
		{"link", "../t.csv", dir + "/link", dir + "/link/../t.csv"},
		{"../x", "t.csv", dir + "/../x", dir + "/../x/t.csv"},
		{"/away", "t.csv", "/away", "/away/t.csv"},
		{"", "/away/t.csv", "", "/away/t.csv"},
	} {
		s := &Spec{Data: Data{Source: "csv", Root: c.root, CSV: CSV{Path: c.path}}}
		s.Train.Dir, s.Cluster.Certs = "runs", "certs"
		if err := s.LocateBelow(dir); err != nil {
			t.Fatal(err)
		}
		if s.Data.Root != c.wantRoot || s.Data.Joined().CSV.Path != c.want || s.Data.CSV.Path != c.path {
			t.Errorf("%q in %q: got %q in %q, want %q", c.path, c.root, s.Data.Joined().CSV.Path, s.Data.Root, c.want)
		}
		if got := s.Data.KeyOf(c.want); got != "data.csv.path" {
			t.Errorf("the key of %q: got %q", c.want, got)
		}
		if s.Train.Dir != "runs" || s.Cluster.Certs != "certs" {
			t.Errorf("got %q, %q, want other paths as they are", s.Train.Dir, s.Cluster.Certs)
		}
	}
	s := &Spec{Data: Data{Source: "csv", Root: "r", CSV: CSV{Path: "/t.csv"}}}
	if err := s.LocateBelow(dir); err == nil {
		t.Error("a root without an effect: got nil")
	}
	d := Data{Source: "npy", Root: "/r", NPY: NPY{X: "a.npz:x", Y: "b.npy"}}
	for path, want := range map[string]string{"/r/a.npz": "data.npy.x", "/r/b.npy": "data.npy.y", "/r/c": ""} {
		if got := d.KeyOf(path); got != want {
			t.Errorf("the key of %q: got %q, want %q", path, got, want)
		}
	}
}
