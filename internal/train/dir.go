package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gespann/gespann/internal/checkpoint"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/disk"
	"github.com/gespann/gespann/internal/filelock"
	"github.com/gespann/gespann/internal/outfile"
	"github.com/gespann/gespann/internal/shell"
	"github.com/gespann/gespann/model/spec"
)

// Names in a run directory.
const (
	specFile       = "spec.yaml"
	prepFile       = "prep.json"
	splitsFile     = "splits.json"
	resultsFile    = "results.json"
	metricsFile    = "metrics.csv"
	modelFile      = "model.safetensors"
	lockName       = "lock"
	checkpointsDir = "checkpoints"
)

// A Dir is a run directory:
//
//	spec.yaml          the run, with all defaults
//	prep.json          what was learnt from the training data to read other data
//	splits.json        which rows it trains on, and which it has held out
//	results.json       what came of it, and what it was made of
//	metrics.csv        one line per epoch
//	checkpoints/       the latest, and best.safetensors
//	model.safetensors  the trained weights
//	plot.png, plot.svg loss and metrics over the epochs
//	lock               held by the process that trains
type Dir struct {
	Path string
	lock *os.File
	new  bool // no run has begun there
	made bool // the folder itself is new, too
}

// Create makes the directory of a new run below s.Train.Dir, and takes its lock.
// A name that the spec gives must be free; one that comes from the spec's file is
// numbered from the second run on.
func Create(s *spec.Spec, set *data.Set) (*Dir, error) {
	return CreateAs(s, set, "", "")
}

// CreateAs is Create for a run that is to begin with weights from elsewhere. Name, unless
// it is "", takes the place of that of the spec's file.
func CreateAs(s *spec.Spec, set *data.Set, name, from string) (*Dir, error) {
	if name == "" {
		name = s.RunName()
	}
	if err := disk.MkdirAll(s.Train.Dir, 0o777); err != nil {
		return nil, runError(s.Train.Dir, err)
	}
	d, err := create(s, name)
	if err != nil {
		return nil, err
	}
	d.new = true
	if err := d.describe(s, set, from); err != nil {
		d.discard()
		d.Close()
		return nil, err
	}
	return d, nil
}

// discard removes what Create made, when no run has begun there after all.
func (d *Dir) discard() {
	if !d.new {
		return
	}
	os.Remove(d.stepPath(0))
	for _, name := range []string{specFile, prepFile, splitsFile, resultsFile, metricsFile, checkpointsDir, lockName, ""} {
		if name != "" || d.made {
			os.Remove(d.file(name)) // folders only when they are empty
		}
	}
}

func create(s *spec.Spec, name string) (*Dir, error) {
	if s.Train.Name != "" {
		return createNamed(filepath.Join(s.Train.Dir, s.Train.Name))
	}
	base := filepath.Join(s.Train.Dir, name)
	for path, n := base, 2; ; path, n = base+"-"+strconv.Itoa(n), n+1 {
		err := disk.Mkdir(path, 0o777)
		if err == nil {
			if err = disk.SyncFolder(s.Train.Dir); err != nil {
				os.Remove(path)
			}
		}
		if err == nil {
			d, err := lockDir(path)
			if err == nil {
				d.made = true
			}
			return d, err
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, runError(path, err)
		}
	}
}

// createNamed makes a directory of that path, or takes one that has no run yet.
func createNamed(path string) (*Dir, error) {
	_, err := os.Stat(path)
	made := errors.Is(err, fs.ErrNotExist)
	if err := disk.MkdirAll(path, 0o777); err != nil {
		return nil, runError(path, err)
	}
	if d := (&Dir{Path: path}); !exists(d.file(specFile)) { // before the lock is written there
		if err := d.free(); err != nil {
			return nil, err
		}
	}
	d, err := lockDir(path)
	if err != nil {
		return nil, err
	}
	d.made = made
	if err := d.free(); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// free returns an error when the directory has files of a run, or such that a run would
// replace. What Create writes before the spec is no run yet.
func (d *Dir) free() error {
	r := results{Format: resultsFormat} // unless there is another
	if err := d.readResults(&r); err != nil || r.Format != resultsFormat {
		r.Status = ""
	}
	saved, err := os.ReadDir(d.file(checkpointsDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return runError(d.Path, err)
	}
	// Or it ended before it had the weights that it was to begin with.
	began := r.From == "" || r.Steps > 0 || len(saved) > 0
	if exists(d.file(specFile)) && began {
		return fmt.Errorf("run directory %s: has a run already\n"+
			"hint: choose another train.name, or continue with --resume %s", d.Path, shell.Word(d.Path))
	}
	taken := func(name string) error {
		return fmt.Errorf("run directory %s: has a file %s, which a run would replace\nhint: choose another train.name", d.Path, name)
	}
	for _, name := range []string{metricsFile, modelFile, "plot.png", "plot.svg"} {
		if exists(d.file(name)) {
			return taken(name)
		}
	}
	if len(saved) > 0 {
		return taken(checkpointsDir)
	}
	if exists(d.file(resultsFile)) && (r.Status == "" || r.Steps > 0) {
		return taken(resultsFile)
	}
	if text, err := os.ReadFile(d.file(splitsFile)); err == nil {
		keys := map[string]any{}
		if err := json.Unmarshal(text, &keys); err != nil || keys["split_seed"] == nil {
			return taken(splitsFile)
		}
	}
	if text, err := os.ReadFile(d.file(lockName)); err == nil {
		if _, err := strconv.Atoi(strings.TrimSpace(string(text))); err != nil && len(text) > 0 {
			return taken(lockName)
		}
	}
	if text, err := os.ReadFile(d.file(prepFile)); err == nil {
		if _, err := data.ParsePrep(text); err != nil {
			return taken(prepFile)
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Open takes the lock of an existing run directory, to continue its run.
func Open(path string) (*Dir, error) {
	if err := isRun(path); err != nil {
		return nil, err
	}
	return lockDir(path)
}

// View returns an existing run directory without its lock, for reading.
func View(path string) (*Dir, error) {
	if err := isRun(path); err != nil {
		return nil, err
	}
	return &Dir{Path: path}, nil
}

// LatestRun returns the run directory below dir whose training was started last,
// or "" when there is none.
func LatestRun(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	latest, at := "", time.Time{}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		info, err := os.Stat(filepath.Join(path, lockName))
		if err == nil && isRun(path) == nil && !info.ModTime().Before(at) {
			latest, at = path, info.ModTime()
		}
	}
	return latest, nil
}

// Of a directory: it is no run's, or another process trains in it.
var (
	ErrNoRun = errors.New("no run began there")
	ErrInUse = errors.New("another run is using it")
)

func isRun(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return runError(path, err)
	}
	if !info.IsDir() {
		return fmt.Errorf("run directory %s: is a file", path)
	}
	if _, err := os.Stat(filepath.Join(path, specFile)); err != nil {
		err := fmt.Errorf("run directory %s: has no %s, so %w", path, specFile, ErrNoRun)
		if latest, _ := LatestRun(path); latest != "" {
			err = fmt.Errorf("%w\nhint: the latest run in it is %s", err, shell.Word(latest))
		}
		return err
	}
	return nil
}

// lockDir takes the lock of a directory and removes what a crash left behind.
func lockDir(path string) (*Dir, error) {
	f, err := filelock.Open(filepath.Join(path, lockName))
	if err != nil {
		return nil, runError(path, err)
	}
	locked, err := filelock.Try(f)
	if err == nil && !locked {
		err = fmt.Errorf("%w (process %s)", ErrInUse, filelock.Holder(f))
	}
	if err != nil {
		f.Close()
		return nil, runError(path, err)
	}
	d := &Dir{Path: path, lock: f}
	if err := d.prepare(); err != nil {
		d.Close()
		return nil, runError(path, err)
	}
	return d, nil
}

func (d *Dir) prepare() error {
	if err := filelock.Sign(d.lock); err != nil {
		return err
	}
	if err := disk.MkdirAll(d.file(checkpointsDir), 0o777); err != nil {
		return err
	}
	for _, folder := range []string{d.Path, d.file(checkpointsDir)} {
		entries, err := os.ReadDir(folder)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), outfile.TempPrefix) {
				os.Remove(filepath.Join(folder, e.Name()))
			}
		}
	}
	return d.comeLast()
}

// comeLast makes the lock the latest of those beside it, also when the clock was set back
// since the run before: LatestRun goes by their times.
func (d *Dir) comeLast() error {
	own, err := d.lock.Stat()
	if err != nil {
		return err
	}
	folder := filepath.Dir(filepath.Clean(d.Path))
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil // this one alone can be reached
	}
	latest := time.Time{}
	for _, e := range entries {
		info, err := os.Stat(filepath.Join(folder, e.Name(), lockName))
		if err == nil && !os.SameFile(info, own) && info.ModTime().After(latest) {
			latest = info.ModTime()
		}
	}
	if own.ModTime().After(latest) {
		return nil
	}
	return os.Chtimes(d.lock.Name(), time.Time{}, latest.Add(time.Millisecond))
}

// Close gives the lock back.
func (d *Dir) Close() error {
	if d.lock == nil {
		return nil
	}
	return d.lock.Close()
}

// describe writes what the run is. The spec comes last: it makes the directory a
// run.
func (d *Dir) describe(s *spec.Spec, set *data.Set, from string) error {
	if err := d.writeData(set); err != nil {
		return err
	}
	if from != "" { // or it could go on without
		if err := d.writeJSON(resultsFile, &results{Format: resultsFormat, Status: statusRunning, From: from}); err != nil {
			return err
		}
	}
	text, err := s.Marshal()
	if err != nil {
		return err
	}
	return d.setSpec(text)
}

// writeData writes what is known of the run's rows.
func (d *Dir) writeData(set *data.Set) error {
	if err := d.writeJSON(prepFile, &set.Prep); err != nil {
		return err
	}
	return d.writeJSON(splitsFile, &set.Splits)
}

// writeJSON writes a file of the run.
func (d *Dir) writeJSON(name string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", d.file(name), err)
	}
	return outfile.Bytes(d.file(name), append(text, '\n'))
}

// setSpec replaces the run's spec.
func (d *Dir) setSpec(text []byte) error {
	return outfile.Bytes(d.file(specFile), text)
}

// Spec reads the run's spec, with o layered over it.
func (d *Dir) Spec(o spec.Options) (*spec.Spec, error) {
	text, err := os.ReadFile(d.file(specFile))
	if err != nil {
		return nil, err
	}
	return ParseSpec(d.file(specFile), text, o)
}

// ParseSpec parses the spec of a run, with o layered over it; file is its name for
// messages. In runs of earlier versions train.seed also drew the rows that are held
// out: there data.split_seed becomes what the run's train.seed was.
func ParseSpec(file string, text []byte, o spec.Options) (*spec.Spec, error) {
	s, err := spec.Parse(file, text, o)
	if err != nil {
		return nil, err
	}
	if !s.Given("data.split_seed") {
		plain, err := spec.Parse(file, text, spec.Options{})
		if err != nil {
			return nil, err
		}
		if !plain.Given("data.split_seed") {
			s.Data.SplitSeed = plain.Train.Seed
		}
	}
	return s, s.LocateGiven()
}

// Splits reads which rows the run has. Those of a run of an earlier version are not
// recorded: see data.Splits.Recorded.
func (d *Dir) Splits() (*data.Splits, error) {
	text, err := os.ReadFile(d.file(splitsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return new(data.Splits), nil
	} else if err != nil {
		return nil, err
	}
	splits := new(data.Splits)
	if err := json.Unmarshal(text, splits); err != nil {
		return nil, fmt.Errorf("%s: %w", d.file(splitsFile), err)
	}
	return splits, nil
}

// Prep reads how the run's data was prepared, from its latest checkpoint; nil: there is
// none, so that it may be learnt anew.
func (d *Dir) Prep() (*data.Prep, error) {
	f, err := d.newest()
	if err != nil || f.path == "" {
		return nil, err
	}
	p, err := data.ParsePrep([]byte(f.state.Meta[metaPrep]))
	if err != nil {
		return nil, &checkpoint.FileError{Path: f.path, Err: fmt.Errorf("metadata: %s: %w", metaPrep, err)}
	}
	return p, nil
}

// neverTrained returns an error when a run without a checkpoint has taken steps, or was
// to begin with weights that are not there: beginning anew would not be going on.
func (d *Dir) neverTrained() error {
	var r results
	if err := d.readResults(&r); err != nil {
		return err
	}
	if r.NothingSaved && !exists(d.ModelPath()) {
		return nil // the disk was full, or the process killed, before there was one
	}
	gone := fmt.Errorf("run directory %s: its checkpoints are gone, so that it cannot go on\n"+
		"hint: a new run may begin with its weights, if there are any: train --from %s", d.Path, shell.Word(d.Path))
	switch table, _, err := readMetrics(d.file(metricsFile)); {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case len(table["epoch"]) > 0 || r.Steps > 0:
		return gone
	}
	if exists(d.ModelPath()) {
		return gone
	}
	if r.From != "" {
		return fmt.Errorf("run directory %s: was to begin with the weights of %s, but ended before it had them\n"+
			"hint: begin it again", d.Path, r.From)
	}
	return nil
}

// file returns the path of a file of the run.
func (d *Dir) file(name string) string { return filepath.Join(d.Path, name) }

// runError says which run directory err is about, and not twice.
func runError(path string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		if p.Path == path {
			err = p.Err
		}
	}
	return &fs.PathError{Op: "run directory", Path: path, Err: err}
}
