package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/cluster"
	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/server"
	"github.com/gespann/gespann/dist/server/jobs"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/data/source"
	"github.com/gespann/gespann/internal/train"
	"github.com/gespann/gespann/model"
	"github.com/gespann/gespann/model/spec"
)

// originOf says where the settings of a spec are, for messages about it elsewhere.
func originOf(s *spec.Spec) *wire.Origin {
	o := &wire.Origin{File: s.File, Places: map[string][2]int{}}
	if len(o.File) > wire.MaxName {
		o.File = filepath.Base(o.File)
	}
	for path, at := range s.Places() {
		o.Places[path] = [2]int{at.Line, at.Col}
	}
	if len(o.Places) > wire.MaxPlaces {
		o.Places = map[string][2]int{} // then messages name the file only
	}
	return o
}

// parseSubmitted reads the spec of a job. Messages about it name its owner's file.
// DataDir has the data that came with it; "": none.
func parseSubmitted(text []byte, origin *wire.Origin, dataDir string) (*spec.Spec, error) {
	if origin == nil || origin.File == "" {
		origin = &wire.Origin{File: "job"}
	}
	var places map[string]spec.Pos
	if len(origin.Places) > 0 {
		places = map[string]spec.Pos{}
	}
	for path, at := range origin.Places {
		places[path] = spec.Pos{File: origin.File, Line: at[0], Col: at[1]}
	}
	s, err := train.ParseSpec(origin.File, text, spec.Options{Places: places})
	if err != nil {
		return nil, err
	}
	s.Backend.Use = kindCluster
	if dataDir != "" {
		if err := onlyUploaded(s); err != nil {
			return nil, err
		}
		s.Data.Root = dataDir
	}
	// Relative paths are in the coordinator's folder: for a job in the queue, the one that
	// it was in then, which check has written down as data.root.
	return s, s.LocateIn(".")
}

// A checker looks at jobs before they are queued, one after the other.
type checker struct{ mu sync.Mutex }

// check reads the spec of a job, and as far as that takes a moment the data, and builds
// the model: what is wrong is for whoever submits it, not for the turn of the job.
func (c *checker) check(ctx context.Context, q server.Request) (server.Plan, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := parseSubmitted(q.Spec, q.Origin, q.DataDir)
	if err != nil {
		return server.Plan{}, err
	}
	words, err := checkData(ctx, s)
	if words = ownNames(q.DataDir, words); err != nil && q.DataDir != "" {
		err = errors.New(ownNames(q.DataDir, err.Error()))
	}
	if err != nil {
		return server.Plan{}, err
	}
	p := server.Plan{Name: s.Train.Name, Epochs: s.Train.Epochs, Workers: s.Cluster.Workers, Data: words}
	if s.Data.Root != "" && q.DataDir == "" { // wherever the coordinator is started then, the files are these
		if p.Spec, err = s.Marshal(); err != nil {
			return server.Plan{}, err
		}
	}
	return p, nil
}

// maxChecked is how many bytes of data are read before a job is queued. Of more, it is
// only looked whether they are there.
const maxChecked = 64 << 20

// checkData reads the data of a job, nothing of which is downloaded, and builds its
// model for it. It returns which files it has read and how many rows they have.
func checkData(ctx context.Context, s *spec.Spec) (words string, err error) {
	files, err := filesOf(s.Data.Located())
	if err != nil {
		return "", err
	}
	size, err := sizeOf(files)
	if err != nil {
		return "", dataError(s, err)
	}
	what := strings.Join(files, ", ")
	if what == "" {
		what = s.Data.Source
	}
	if size > maxChecked {
		return what + ": read when it is the job's turn", nil
	}
	set, err := source.Load(ctx, s.Data, source.Options{
		Loss: s.Loss.Kind, IntFeatures: model.WantsIntegers(s), Offline: true,
	})
	if known := toDownload(s.Data); known != nil && errors.Is(err, fs.ErrNotExist) {
		_, err := model.Build(s, *known)
		return what + ": downloaded when it is the job's turn", err
	}
	if err != nil {
		return "", dataError(s, err)
	}
	rows := 0
	for i := range set.Parts {
		rows += set.Parts[i].Rows
	}
	_, err = build(s, &set.Prep, members(s))
	return fmt.Sprintf("%s: %s rows", what, grouped(rows)), err
}

// toDownload returns the form of a data set that is downloaded where it is not there yet,
// or nil.
func toDownload(d spec.Data) *model.Input {
	if d.Dir != "" || d.Source != "mnist" && d.Source != "fashion_mnist" {
		return nil
	}
	in := &model.Input{Shape: []int{28, 28, 1}, Classes: 10}
	if d.OneHot {
		in.Target = []int{10}
	}
	return in
}

// filesOf returns the absolute paths of the files and folders of a job, each once.
func filesOf(d spec.Data) (files []string, err error) {
	for _, path := range []string{d.CSV.Path, d.CSV.TestPath, d.NPY.X, d.NPY.Y, d.NPY.TestX, d.NPY.TestY, d.Dir} {
		if path == "" {
			continue
		}
		if file, _, ok := strings.Cut(path, ".npz:"); ok {
			path = file + ".npz"
		}
		if path, err = filepath.Abs(path); err != nil {
			return nil, err
		}
		if !slices.Contains(files, path) {
			files = append(files, path)
		}
	}
	return files, nil
}

// sizeOf returns how many bytes files have, and the files in folders.
func sizeOf(paths []string) (total int64, err error) {
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return 0, err
		}
		if !info.IsDir() {
			total += info.Size()
			continue
		}
		files, err := os.ReadDir(path)
		if err != nil {
			return 0, err
		}
		for _, f := range files {
			if info, err := f.Info(); err == nil && info.Mode().IsRegular() {
				total += info.Size()
			}
		}
	}
	return total, nil
}

// dataError says where in the spec the data is named that cannot be had, and whose paths
// are meant.
func dataError(s *spec.Spec, err error) error {
	path := "data.source"
	switch {
	case s.Data.Source == "csv", s.Data.Source == "npy":
		path = "data." + s.Data.Source
	case s.Data.Dir != "":
		path = "data.dir"
	}
	text, hint, _ := strings.Cut(err.Error(), "\nhint: ")
	e := s.Errorf(path, "%s", text)
	if e.Hint = hint; hint == "" && errors.Is(err, fs.ErrNotExist) {
		e.Hint = "the coordinator reads the data"
		if host, err := os.Hostname(); err == nil {
			e.Hint += ", on " + host
		}
		if s.Data.Root != "" {
			e.Hint += ", in " + s.Data.Root
		}
		e.Hint += ": paths in the file are paths there"
	}
	return e
}

// runSubmitted runs the training loop of a submitted job.
func runSubmitted(ctx context.Context, j server.Submission) error {
	s, err := parseSubmitted(j.Spec, j.Origin, j.DataDir)
	if err != nil {
		return err
	}
	s.Train.Dir, s.Train.Name = filepath.Split(j.Dir)
	told := terminal{in: strings.NewReader(""), out: lines{j.Tell}, err: lines{j.Tell}}
	var prep *data.Prep
	begun, err := train.View(j.Dir)
	if err == nil {
		if prep, err = begun.Prep(); err != nil {
			return err
		}
		kept, err := begun.Spec(spec.Options{})
		if err != nil {
			return err
		}
		if j.DataDir == "" {
			s.Data.Root = kept.Data.Root // wherever the coordinator is started now
		}
	}
	set, err := loadData(ctx, s, prep, told)
	if jobs.NoSpace(err) { // for a download: it goes on when there is room
		return err
	} else if err != nil && j.DataDir != "" {
		return errors.New(ownNames(j.DataDir, dataError(s, err).Error()))
	} else if err != nil {
		return dataError(s, err)
	}
	m, err := build(s, &set.Prep, members(s))
	if err != nil {
		return err
	}
	var dir *train.Dir
	if begun != nil {
		dir, err = train.Open(j.Dir)
	} else {
		dir, err = train.Create(s, set)
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	log := &plainLog{out: told.out, job: j.ID}
	_, err = train.Run(ctx, train.Options{
		Spec: s, Model: m, Data: set, Dir: dir, Version: moduleVersion(), Events: log.event,
		Backend: cluster.New(cluster.Options{
			Dial: func(context.Context, *backend.Cluster) (dist.Conn, error) { return j.Driver, nil },
			Log:  func(format string, args ...any) { j.Tell(fmt.Sprintf(format, args...)) },
		}),
	})
	return errors.Join(err, dir.Plot())
}

// lines are written as lines of a log.
type lines struct{ tell func(line string) }

// Write tells p, which ends with a line, line by line.
func (l lines) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		l.tell(strings.TrimRight(line, "\n"))
	}
	return len(p), nil
}
