package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gespann/gespann/backend/cluster"
	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/server"
	"github.com/gespann/gespann/dist/server/jobs"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/data/source"
	"github.com/gespann/gespann/internal/infile"
	"github.com/gespann/gespann/internal/memlimit"
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
func parseSubmitted(text []byte, origin *wire.Origin, files infile.Files, dataDir string) (*spec.Spec, error) {
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
	// Relative paths are in the first data root, or in the coordinator's folder: for a job
	// in the queue, the one that it was in then, which check has written down as data.root.
	if !files.Confined {
		return s, s.LocateIn(".")
	}
	// Nothing else of the spec names a file that is looked at: train.dir gives way to the
	// folder of the job, and cluster.certs is for who connects.
	return s, s.LocateBelow(append(files.Roots, "")[0])
}

// dataPatience is how long a file of a job may keep silent, in the coordinator and in
// workers: longer than a disk needs to wake up, or a server of files to start again.
const dataPatience = 30 * time.Second

// A keeper reads the data of submitted jobs.
type keeper struct {
	roots    []string // folders that jobs of other accounts may read files in
	patience time.Duration
	memory   *memlimit.Budget // rows of other accounts' jobs are taken from it
	log      *slog.Logger
	checks   chan struct{} // has one for each check that reads data
}

// Bounds of what is read before jobs are queued.
const (
	// maxChecked is how many bytes of data are read before a job is queued. Of more, it is
	// only looked whether they are there.
	maxChecked = 64 << 20
	// maxChecks is how many jobs are checked at a time, and checkWait how long one waits for
	// the others: then its data is read when it is its turn.
	maxChecks = 4
	checkWait = 5 * time.Second
)

func newKeeper(roots []string, memory *memlimit.Budget, log *slog.Logger) *keeper {
	return &keeper{roots: roots, memory: memory, patience: dataPatience, log: log, checks: make(chan struct{}, maxChecks)}
}

// files returns which files a job may read. One of the account that the coordinator runs
// under can read them without it; one of whom nobody knows, as of a version that did not
// note it, is confined. One whose data came with it, into a folder, reads that alone.
func (k *keeper) files(owner dist.Principal, dataDir string, tell func(line string)) infile.Files {
	confined, roots := !owner.Account, k.roots
	if dataDir != "" {
		confined, roots = true, []string{dataDir}
	}
	return infile.Files{
		Confined: confined, Roots: roots, Patience: k.patience,
		Log: func(format string, args ...any) {
			k.log.Warn(fmt.Sprintf(format, args...))
			tell(fmt.Sprintf(format, args...))
		},
	}
}

// lend has the rows of a job that is confined taken from the memory of the coordinator,
// until give is called. The account itself may fill its own memory.
func (k *keeper) lend(files *infile.Files) (give func()) {
	if !files.Confined {
		return func() {}
	}
	var taken atomic.Int64
	files.Room = func(bytes int64) error {
		err := k.memory.Try(bytes, "its data")
		if err == nil {
			taken.Add(bytes)
		}
		return err
	}
	return func() { k.memory.Give(taken.Swap(0)) }
}

// check reads the spec of a job, and as far as that takes a moment the data, and builds
// the model: what is wrong is for whoever submits it, not for the turn of the job.
func (k *keeper) check(ctx context.Context, q server.Request) (server.Plan, error) {
	files := k.files(q.Owner, q.DataDir, func(string) {})
	defer k.lend(&files)()
	s, err := parseSubmitted(q.Spec, q.Origin, files, q.DataDir)
	if err != nil {
		return server.Plan{}, err
	}
	words, err := k.checkData(ctx, s, files, q.DataDir == "" && files.Confined)
	if words = ownNames(q.DataDir, words); err != nil && q.DataDir != "" {
		err = errors.New(ownNames(q.DataDir, err.Error()))
	}
	if err != nil {
		return server.Plan{}, err
	}
	p := server.Plan{Name: s.Train.Name, Epochs: s.Train.Epochs, Workers: s.Cluster.Least(), Data: words}
	if s.Data.Root != "" && q.DataDir == "" { // wherever the coordinator is started then, the files are these
		if p.Spec, err = s.Marshal(); err != nil {
			return server.Plan{}, err
		}
	}
	return p, nil
}

// checkData reads the data of a job, nothing of which is downloaded, and builds its
// model for it. It returns which files it has read and how many rows they have. Private:
// what stands in them is not for who submits.
func (k *keeper) checkData(ctx context.Context, s *spec.Spec, from infile.Files, private bool) (words string, err error) {
	files, err := filesOf(s.Data, from)
	if err != nil {
		return "", err
	}
	size, err := sizeOf(ctx, files, from)
	if err != nil {
		return "", dataError(s, err)
	}
	what := strings.Join(files, ", ")
	if what == "" {
		what = s.Data.Source
	}
	if size > maxChecked || !k.begin(ctx) {
		return what + ": read when it is the job's turn", ctx.Err()
	}
	defer k.end()
	set, err := source.Load(ctx, s.Data, source.Options{
		Loss: s.Loss.Kind, IntFeatures: model.WantsIntegers(s), Offline: true, Files: from, Private: private,
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

// begin begins a check that reads data; false: too many others do, or ctx has ended.
func (k *keeper) begin(ctx context.Context) bool {
	late := time.NewTimer(checkWait)
	defer late.Stop()
	select {
	case k.checks <- struct{}{}:
		return true
	case <-late.C:
	case <-ctx.Done():
	}
	return false
}

func (k *keeper) end() { <-k.checks }

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
func filesOf(d spec.Data, from infile.Files) (files []string, err error) {
	if from.Confined {
		d = d.Joined()
	} else {
		d = d.Located()
	}
	for _, path := range []string{d.CSV.Path, d.CSV.TestPath, d.NPY.X, d.NPY.Y, d.NPY.TestX, d.NPY.TestY, d.Dir} {
		if path == "" {
			continue
		}
		if file, _, ok := strings.Cut(path, ".npz:"); ok {
			path = file + ".npz"
		}
		if !from.Confined {
			if path, err = filepath.Abs(path); err != nil {
				return nil, err
			}
		}
		if !slices.Contains(files, path) {
			files = append(files, path)
		}
	}
	return files, nil
}

// sizeOf returns how many bytes files have, and the files in folders.
func sizeOf(ctx context.Context, paths []string, from infile.Files) (total int64, err error) {
	for _, path := range paths {
		info, err := from.Stat(ctx, path)
		if err != nil {
			return 0, err
		}
		if !info.IsDir() {
			total += info.Size()
			continue
		}
		files, err := from.ReadDir(ctx, path)
		if err != nil {
			return 0, err
		}
		for _, f := range files {
			if f.Mode().IsRegular() {
				total += f.Size()
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
	var outside *infile.OutsideError
	if errors.As(err, &outside) {
		path = cmp.Or(s.Data.KeyOf(outside.Path), path)
		hint = "a coordinator reads files for other accounts below its data roots only (gespann coordinator --data-root DIR); or submit --upload sends the files along"
		if len(outside.Roots) > 0 {
			hint += "; relative paths are in " + outside.Roots[0]
		}
	}
	e := s.Errorf(path, "%s", text)
	if e.Hint = hint; hint == "" && errors.Is(err, fs.ErrNotExist) {
		e.Hint = "the coordinator reads the data"
		if host, err := os.Hostname(); err == nil {
			e.Hint += ", on " + host
		}
		if s.Data.Root != "" {
			e.Hint += ", in " + s.Data.Root
		}
		e.Hint += ": paths in the file are paths there; or submit --upload sends the files along"
	}
	return e
}

// run runs the training loop of a submitted job.
func (k *keeper) run(ctx context.Context, j server.Submission) error {
	files := k.files(j.Owner, j.DataDir, j.Tell)
	defer k.lend(&files)()
	s, err := parseSubmitted(j.Spec, j.Origin, files, j.DataDir)
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
	how := dataOptions(s, prep, told)
	how.Files, how.Private = files, files.Confined && j.DataDir == ""
	set, err := source.Load(ctx, s.Data, how)
	if lacks, _ := jobs.Passing(err); lacks != "" { // as in a download: it goes on when that is over
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
			Dial:  func(context.Context) (dist.Conn, error) { return j.Driver, nil },
			Log:   func(format string, args ...any) { j.Tell(fmt.Sprintf(format, args...)) },
			Probe: s.Cluster.Probe,
		}),
	})
	if plotErr := dir.Plot(); err == nil { // or it would be one more sentence about the same
		err = plotErr
	}
	return err
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
