package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"runtime"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/internal/data"
)

const resultsFormat = "gespann results 1"

// How a run is, in results.json.
const (
	statusRunning     = "running" // or its process was killed
	statusComplete    = "complete"
	statusStopped     = "stopped early"
	statusInterrupted = "interrupted"
	statusFailed      = "failed"
)

// results is results.json: what came of a run, and what it was made of. Numbers that are
// not finite are null.
type results struct {
	Format string `json:"format"`
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"` // why it failed
	From   string `json:"from,omitempty"`   // whose weights it began with
	// NothingSaved: no checkpoint has been written yet, so that the run can only begin
	// anew. Earlier versions did not say.
	NothingSaved bool   `json:"nothing_saved,omitempty"`
	Seed         uint64 `json:"seed"`
	// Data is what was read, in words; Splits are its rows.
	Data   string      `json:"data"`
	Splits data.Splits `json:"splits"`

	Parameters int   `json:"parameters"` // trained numbers
	Epochs     int   `json:"epochs"`     // finished
	Steps      int64 `json:"steps"`
	// Training and Validation are of one epoch: that of the weights in
	// model.safetensors. Those of training are means over the epoch's steps, while the
	// weights changed.
	Training   *measured `json:"training,omitempty"`
	Validation *measured `json:"validation,omitempty"`
	Test       *measured `json:"test,omitempty"`
	// Seconds that all finished epochs took, validation included.
	Seconds  float64          `json:"epoch_seconds"`
	Sessions []*sessionResult `json:"sessions"` // one per process that trained
}

// measured are the loss and metrics on the rows of a split.
type measured struct {
	Epoch  int            `json:"epoch"` // whose weights
	Rows   int            `json:"rows"`
	Values map[string]any `json:"values"`
}

// A sessionResult is what one process did for the run.
type sessionResult struct {
	Version   string      `json:"version"`
	Go        string      `json:"go"`
	System    string      `json:"system"`
	Backend   string      `json:"backend"`
	Threads   int         `json:"threads,omitempty"` // of a CPU
	Precision string      `json:"precision"`
	Strategy  string      `json:"strategy,omitempty"` // of a cluster
	FromStep  int64       `json:"from_step"`
	ToStep    int64       `json:"to_step"`
	Started   time.Time   `json:"started"`
	Ended     *time.Time  `json:"ended,omitempty"` // absent while it runs, or when it was killed
	Bill      *billResult `json:"bill,omitempty"`
}

// A billResult is what each worker of a cluster did, and what they were worth.
type billResult struct {
	backend.Account
	Worth backend.Worth `json:"worth"`
}

// startResults adds this process to the results.
func (l *loop) startResults() error {
	r := &l.results
	if err := l.Dir.readResults(r); err != nil {
		l.note("What earlier sessions left there is lost: %v.", err)
	}
	if r.NothingSaved && r.Steps > 0 && l.saved == "" {
		l.note("Nothing of this run had been saved when it stopped after step %d: it begins anew.", r.Steps)
	}
	if r.From == "" {
		r.From = l.From
	}
	s := &sessionResult{
		Version: l.Version, Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH,
		Backend: kind(l.Spec), Precision: l.Spec.Backend.Precision,
		FromStep: l.at.Steps, Started: l.began.UTC().Round(time.Millisecond),
	}
	switch s.Backend {
	case "cluster":
		s.Strategy = l.Spec.Cluster.Strategy.Kind
	case "gpu":
	default:
		if s.Threads = l.Spec.Backend.Threads; s.Threads == 0 {
			s.Threads = runtime.GOMAXPROCS(0)
		}
	}
	if n := len(r.Sessions); n > 0 && r.Sessions[n-1].Ended == nil { // it was killed
		r.Sessions[n-1].ToStep = max(r.Sessions[n-1].ToStep, l.at.Steps)
	}
	*r = results{
		Format: resultsFormat, From: r.From, Sessions: append(r.Sessions, s), NothingSaved: l.saved == "",
		Seed: l.Spec.Train.Seed, Data: l.Data.Source, Splits: l.Data.Splits, Parameters: parameters(l.Model.Vars()),
	}
	return l.writeResults(statusRunning, nil)
}

// readResults reads results.json, if it is there.
func (d *Dir) readResults(r *results) error {
	text, err := os.ReadFile(d.file(resultsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if err := json.Unmarshal(text, r); err != nil {
		*r = results{}
		return fmt.Errorf("%s: %w", d.file(resultsFile), err)
	}
	return nil
}

// writeResults writes results.json as the run is now; result is that of one that has
// ended.
func (l *loop) writeResults(status string, result *Result) error {
	r := &l.results
	r.Status, r.Epochs, r.Steps, r.Seconds = status, l.at.Epoch, l.at.Steps, 0
	r.Training, r.Validation, r.Test = nil, nil, nil
	s := r.Sessions[len(r.Sessions)-1]
	s.ToStep = l.at.Steps
	if status != statusRunning {
		now := time.Now().UTC().Round(time.Millisecond)
		s.Ended = &now
	}
	epoch := l.at.Epoch // whose weights are there
	if result != nil && result.Best > 0 {
		epoch = result.Best
	}
	if table, _, err := readMetrics(l.Dir.file(metricsFile)); err == nil {
		for i, e := range table["epoch"] {
			r.Seconds += table["seconds"][i]
			if int(e) == epoch {
				r.Training = l.measured(data.Train, epoch, table, i, "")
				r.Validation = l.measured(data.Validation, epoch, table, i, valPrefix)
			}
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if result != nil && len(result.Test) > 0 {
		r.Test = &measured{Epoch: epoch, Rows: l.Data.Parts[data.Test].Rows, Values: map[string]any{}}
		for _, v := range result.Test {
			r.Test.Values[v.Name] = JSONNumber(v.Value)
		}
	}
	return l.Dir.writeJSON(resultsFile, r)
}

// measured returns row i of metrics.csv for a split; nil where it has no rows.
func (l *loop) measured(split data.Split, epoch int, table map[string][]float64, i int, prefix string) *measured {
	rows := l.Data.Parts[split].Rows
	if rows == 0 {
		return nil
	}
	m := &measured{Epoch: epoch, Rows: rows, Values: map[string]any{}}
	for _, name := range append([]string{lossName}, l.Model.Metrics()...) {
		if column := table[prefix+name]; i < len(column) {
			m.Values[name] = JSONNumber(column[i])
		}
	}
	return m
}

// JSONNumber is v, or null where JSON has no number for it.
func JSONNumber(v float64) any {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return v
}
