package spec

import (
	"os"
	"path/filepath"
	"strings"
)

// paths returns the settings of data that are paths, by key.
func (d *Data) paths() map[string]*string {
	return map[string]*string{
		"data.dir": &d.Dir, "data.csv.path": &d.CSV.Path, "data.csv.test_path": &d.CSV.TestPath,
		"data.npy.x": &d.NPY.X, "data.npy.y": &d.NPY.Y,
		"data.npy.test_x": &d.NPY.TestX, "data.npy.test_y": &d.NPY.TestY,
	}
}

// Locate gives the paths of a file that was read on this machine their meaning. Those
// that the file gives are in its folder, which becomes data.root unless that is set;
// those that flags and the environment give are in the current one. A spec that is for
// another machine stays as it is written.
func (s *Spec) Locate() error { return s.LocateIn(filepath.Dir(s.File)) }

// LocateIn is Locate for a file that came from elsewhere, as if it was in a folder here.
func (s *Spec) LocateIn(folder string) error {
	if err := s.LocateGiven(); err != nil {
		return err
	}
	folder, err := filepath.Abs(folder)
	if err != nil {
		return err
	}
	if s.Data.Root == "" && s.Data.relative() {
		s.Data.Root = folder
	}
	for key, p := range map[string]*string{
		"data.root": &s.Data.Root, "train.dir": &s.Train.Dir, "cluster.certs": &s.Cluster.Certs,
	} {
		if pos, given := s.places[key]; given && pos.File == s.File && *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(folder, *p)
		}
	}
	s.Train.Dir = fromHere(s.Train.Dir)
	return nil
}

// LocateGiven is Locate for the paths of flags and the environment alone: a spec that a
// run has kept knows where its own are.
func (s *Spec) LocateGiven() error {
	all := s.Data.paths()
	all["data.root"], all["train.dir"], all["cluster.certs"] = &s.Data.Root, &s.Train.Dir, &s.Cluster.Certs
	for key, p := range all {
		pos, given := s.places[key]
		if !given || pos.File == s.File || *p == "" || filepath.IsAbs(*p) {
			continue
		}
		path, err := filepath.Abs(*p)
		if err != nil {
			return err
		}
		*p = path
	}
	return nil
}

// relative reports whether a path of the data is relative.
func (d *Data) relative() bool {
	for _, p := range d.paths() {
		if *p != "" && !filepath.IsAbs(*p) {
			return true
		}
	}
	return false
}

// Located returns d with its paths as they are to be opened: relative ones below Root,
// and written from the current folder where they are in it.
func (d Data) Located() Data {
	for _, p := range d.paths() {
		if *p == "" {
			continue
		}
		if d.Root != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(d.Root, *p)
		}
		*p = fromHere(*p)
	}
	return d
}

// fromHere returns a path relative to the current folder, where it is in it.
func fromHere(path string) string {
	if !filepath.IsAbs(path) {
		return path
	}
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	short, err := filepath.Rel(here, path)
	if err != nil || short == ".." || strings.HasPrefix(short, ".."+string(filepath.Separator)) {
		return path
	}
	return short
}
