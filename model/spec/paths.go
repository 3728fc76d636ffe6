package spec

import (
	"os"
	"path/filepath"
	"slices"
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

// Paths returns the paths of the data that are set, by key.
func (d *Data) Paths() map[string]string {
	given := map[string]string{}
	for key, p := range d.paths() {
		if *p != "" {
			given[key] = *p
		}
	}
	return given
}

// Downloads reports whether the data comes from the network, unless it is in the cache.
func (d *Data) Downloads() bool {
	return d.Dir == "" && (d.Source == "mnist" || d.Source == "fashion_mnist")
}

// Locate gives the paths of a file that was read on this machine their meaning. Those
// that the file gives are in its folder, which becomes data.root unless that is set;
// those that flags, the environment and a file without a folder give are in the current
// one. A spec that is for another machine stays as it is written.
func (s *Spec) Locate() error { return s.LocateIn(folderOf(s.File)) }

// LocateIn is Locate for a file that came from elsewhere, as if it was in a folder here.
func (s *Spec) LocateIn(folder string) error {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return err
	}
	// First, while one that is absolute in the file is: LocateGiven writes it from here.
	for key, p := range map[string]*string{"train.dir": &s.Train.Dir, "cluster.certs": &s.Cluster.Certs} {
		if pos, ok := s.places[key]; ok && pos.File == s.File && *p != "" && !filepath.IsAbs(*p) {
			*p = within(folder, *p)
		}
	}
	if err := s.LocateGiven(); err != nil {
		return err
	}
	switch relative := s.Data.relative(); {
	case relative && s.Data.Root == "":
		s.Data.Root = folder
	case !relative && s.Data.Root != "":
		return s.needlessRoot()
	}
	if pos, ok := s.places["data.root"]; ok && pos.File == s.File && s.Data.Root != "" && !filepath.IsAbs(s.Data.Root) {
		s.Data.Root = within(folder, s.Data.Root)
	}
	return nil
}

// folderOf returns the folder that paths in a file are relative to. What comes through a
// pipe or the standard input is in no folder, so its paths are in the current one.
func folderOf(file string) string {
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() || isStream(file) {
		return "."
	}
	return filepath.Dir(file)
}

// isStream reports whether a path names an open file of this process, such as
// /dev/stdin, or /dev/fd/63 of a shell's <(...).
func isStream(file string) bool {
	folder := filepath.ToSlash(filepath.Dir(file))
	return folder == "/dev" || folder == "/dev/fd" || strings.HasPrefix(folder, "/proc/")
}

// LocateGiven is Locate for the paths of flags and the environment alone: a spec that a
// run has kept knows where its own are.
func (s *Spec) LocateGiven() error {
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	all := s.Data.paths()
	all["data.root"], all["train.dir"], all["cluster.certs"] = &s.Data.Root, &s.Train.Dir, &s.Cluster.Certs
	for key, p := range all {
		if s.Overridden(key) && *p != "" && !filepath.IsAbs(*p) {
			*p = within(here, *p)
		}
	}
	s.Train.Dir = fromHere(s.Train.Dir)
	if s.Overridden("data.root") && s.Data.Root != "" && !s.Data.relative() {
		return s.needlessRoot()
	}
	return nil
}

// needlessRoot is the error of a data.root that no path of the data is in.
func (s *Spec) needlessRoot() Errors {
	var given []string
	for key := range s.Data.paths() {
		if s.Overridden(key) {
			given = append(given, s.at(key).File)
		}
	}
	if len(given) == 0 {
		return Errors{s.Errorf("data.root", "has no effect: no path of the data is relative")}
	}
	slices.Sort(given)
	bad := s.Errorf("data.root", "has no effect: paths of flags and variables are in the current folder, and no other of the data is relative")
	bad.Hint = "leave it out, or give " + strings.Join(given, " and ") + " as it is from the current folder"
	return Errors{bad}
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
			*p = within(d.Root, *p)
		}
		*p = fromHere(*p)
	}
	return d
}

// Joined is Located without a look at the disk, for paths that are opened below a folder
// whatever they say: where they go up is left to who opens them.
func (d Data) Joined() Data {
	for _, p := range d.paths() {
		if *p != "" && d.Root != "" && !filepath.IsAbs(*p) {
			*p = d.Root + string(filepath.Separator) + *p
		}
	}
	return d
}

// LocateBelow is LocateIn without a look at the disk.
func (s *Spec) LocateBelow(folder string) error {
	switch relative := s.Data.relative(); {
	case relative && s.Data.Root == "":
		s.Data.Root = folder
	case relative && !filepath.IsAbs(s.Data.Root):
		s.Data.Root = folder + string(filepath.Separator) + s.Data.Root
	case !relative && s.Data.Root != "":
		return s.needlessRoot()
	}
	return nil
}

// KeyOf returns the setting of the data that a path to open is of, or "".
func (d Data) KeyOf(path string) string {
	for _, all := range []Data{d, d.Joined()} {
		for key, p := range all.paths() {
			file, _, _ := strings.Cut(*p, ".npz:")
			if *p != "" && (*p == path || file+".npz" == path) {
				return key
			}
		}
	}
	return ""
}

// within returns the path of a relative one in a folder. Where it goes up, it does so from
// where the folder really is, as the system does, and not from a link to it.
func within(folder, path string) string {
	if !goesUp(path) {
		return filepath.Join(folder, path)
	}
	if real, err := filepath.EvalSymlinks(folder); err == nil {
		folder = real
	}
	slashed := filepath.ToSlash(path) + "/"
	if strings.Trim(slashed[:max(strings.LastIndex(slashed, "../"), 0)], "./") == "" { // it goes up first of all
		return filepath.Join(folder, path)
	}
	return folder + string(filepath.Separator) + path // not cleaned: path may go up from a link, too
}

// goesUp reports whether a path has an element "..".
func goesUp(path string) bool {
	return slices.Contains(strings.Split(filepath.ToSlash(path), "/"), "..")
}

// fromHere returns a path relative to the current folder, where it is in it.
func fromHere(path string) string {
	if !filepath.IsAbs(path) || goesUp(path) {
		return path
	}
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	short, err := filepath.Rel(here, path)
	if err != nil || goesUp(short) {
		return path
	}
	return short
}
