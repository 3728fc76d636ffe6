package train

import (
	"encoding/json"
	"fmt"

	"github.com/gespann/gespann/internal/exact"
)

// Keys of a checkpoint's metadata.
const (
	metaFormat   = "format"
	metaVersion  = "version"  // of the program that wrote it
	metaSpec     = "spec"     // canonical YAML
	metaPrep     = "prep"     // data.Prep in JSON
	metaSplits   = "splits"   // data.Splits in JSON
	metaMembers  = "members"  // of an ensemble; absent in others
	metaPosition = "position" // position in JSON; absent in a model file
)

// A position is everything about a run, besides the variables, that decides how
// it goes on. It lives in the metadata of every checkpoint, exactly.
type position struct {
	Epoch int   `json:"epoch"` // epochs finished
	Step  int   `json:"step"`  // optimiser steps taken in the epoch after those
	Steps int64 `json:"steps"` // optimiser steps since the start
	// Rows is the number of training rows, PerStep how many of them a step takes:
	// what Step counts.
	Rows    int `json:"rows"`
	PerStep int `json:"rows_per_step"`
	// Sums are the statistics of the epoch's steps so far.
	Sums    sums   `json:"sums"`
	Seconds number `json:"seconds"` // spent on the epoch so far
	Factor  number `json:"factor"`  // of the learning rate, from reduce_on_plateau
	Best    watch  `json:"best"`    // for early stopping and best.safetensors
	Plateau watch  `json:"plateau"` // for reduce_on_plateau
}

// after reports whether p is further in the run than q.
func (p position) after(q position) bool {
	if p.Steps != q.Steps {
		return p.Steps > q.Steps
	}
	return p.Epoch > q.Epoch // the epoch's last step, and then its validation
}

// at reports whether p and q are the same place in the run.
func (p position) at(q position) bool { return !p.after(q) && !q.after(p) }

// check returns an error when p is inside an epoch whose steps take other rows.
func (p position) check(rows, perStep int) error {
	if p.Step == 0 || p.Rows == rows && p.PerStep == perStep {
		return nil
	}
	return fmt.Errorf("is inside an epoch of %d rows, %d per step; they are %d and %d now\n"+
		"hint: batch_size, accumulate and the training rows can change only between epochs",
		p.Rows, p.PerStep, rows, perStep)
}

// next moves p to the start of the next epoch.
func (p *position) next() {
	p.Epoch++
	p.Step, p.Sums, p.Seconds = 0, sums{}, 0
}

func (p position) String() string {
	b, err := json.Marshal(p)
	if err != nil {
		panic("train: invariant: position: " + err.Error())
	}
	return string(b)
}

func parsePosition(text string) (position, error) {
	p := position{}
	if text == "" {
		return p, fmt.Errorf("no position in the metadata: these are weights, not the state of a run")
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return p, fmt.Errorf("metadata %q: %w", metaPosition, err)
	}
	if p.Epoch < 0 || p.Step < 0 || p.Steps < int64(p.Step) {
		return p, fmt.Errorf("metadata %q: impossible: epoch %d, step %d of %d", metaPosition, p.Epoch, p.Step, p.Steps)
	}
	return p, nil
}

// number and sums are numbers that JSON keeps to the bit.
type (
	number = exact.Number
	sums   = exact.Stats
)
