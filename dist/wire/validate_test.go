package wire

import (
	"math"
	"strings"
	"testing"

	"github.com/gespann/gespann/internal/data"
)

// TestValidate checks one bound after the other.
func TestValidate(t *testing.T) {
	job := func(change func(*Job)) Message {
		j := Job{ID: "j", BatchSize: 1, Accumulate: 1, Strategy: "sync"}
		change(&j)
		return &Open{Job: j}
	}
	vars := func(shapes ...[]int) Message {
		return job(func(j *Job) {
			for _, s := range shapes {
				j.Vars = append(j.Vars, Var{Name: "w", Shape: s, Role: "param"})
			}
		})
	}
	long := strings.Repeat("x", MaxName+1)
	for _, c := range []struct {
		want string // "": valid
		m    Message
	}{
		{"", &Ping{}},
		{"", job(func(*Job) {})},
		{"job: got none", job(func(j *Job) { j.ID = "" })},
		{"job: got 257 bytes, want at most 256", job(func(j *Job) { j.ID = long })},
		{"batch_size: got 0", job(func(j *Job) { j.BatchSize = 0 })},
		{"accumulate: got -1", job(func(j *Job) { j.Accumulate = -1 })},
		{"batch_size × accumulate: got 281474976710656", job(func(j *Job) { j.BatchSize, j.Accumulate = MaxBatch, MaxBatch })},
		{"shards: got -1", job(func(j *Job) { j.Shards = -1 })},
		{"workers: got 5000", job(func(j *Job) { j.Workers = 5000 })},
		{"strategy: got none", job(func(j *Job) { j.Strategy = "" })},
		{`wire: got "fp8", want fp32, bf16`, job(func(j *Job) { j.Wire = "fp8" })},
		{`data: got "x", want auto, local, stream`, job(func(j *Job) { j.DataFrom = "x" })},
		{"rows of test: got -1", job(func(j *Job) { j.Rows[2] = -1 })},
		{"", vars([]int{}, []int{1}, []int{1 << 19, 1 << 18})},
		{"vars[1]: shape: got [0]", vars([]int{1}, []int{0})},
		{"vars[0]: shape: got [-1 -1]", vars([]int{-1, -1})},
		{"vars[0]: shape", vars([]int{1 << 20, 1 << 20})},
		{"vars[0]: shape", vars([]int{math.MaxInt, math.MaxInt})},
		{"vars[1]: got more than", vars([]int{1 << 19, 1 << 19}, []int{1})},
		{"vars[0]: dims: got 9", vars([]int{1, 1, 1, 1, 1, 1, 1, 1, 1})},
		{`vars[0]: role: got "x"`, job(func(j *Job) { j.Vars = []Var{{Name: "w", Role: "x"}} })},
		{"", &Run{Span: Span{First: 2, Last: 3, Rates: Floats{1}}}},
		{"rates: got 1, want one for each of 2 steps", &Run{Span: Span{Last: 2, Rates: Floats{1}}}},
		{"last: got 1, want 2 to", &Lease{Span: Span{First: 2, Last: 1}}},
		{"first: got -1", &Probe{Span: Span{First: -1}}},
		{"epoch: got -1", &Train{Span: Span{Epoch: -1}}},
		{"member: got -1", &Lease{Member: -1}},
		{"done: got -1", &Loaded{At: Position{Done: -1}}},
		{"rows: got -1", &Restore{At: Position{Sums: Stats{Rows: -1}}}},
		{"metric a: got 257", &Tested{Stats: Stats{Metrics: map[string][]Number{"a": make([]Number, 257)}}}},
		{"stats[1]: rows: got -5", &Evaluated{Stats: []Stats{{}, {Rows: -5}}}},
		{"cost: got -1, 0 and 0 seconds", &Ran{Cost: Cost{Compute: -1}}},
		{"sent: got -1", &Commit{Cost: Cost{Sent: -1}}},
		{"steps: got -1", &Commit{Steps: -1}},
		{"rows: got 4611686018427387904, want 0 to", &Beat{Cost: Cost{Rows: 1 << 62}}},
		{"seconds: got 1e+300 seconds, want 0 to 1e+09", &Beat{Seconds: 1e300}},
		{"seconds: got NaN seconds", &Beat{Seconds: math.NaN()}},
		{"cost: got 1e+300, 0 and 0 seconds", &Beat{Cost: Cost{Compute: 1e300}}},
		{"rows: got 4611686018427387904", &Tested{Stats: Stats{Rows: 1 << 62}}},
		{"loss: got a sum of 1e+300, want at most", &Evaluated{Stats: []Stats{{Loss: 1e300}}}},
		{"metric a: got a sum of -1e+300, want at most", &Evaluated{Stats: []Stats{{Metrics: map[string][]Number{"a": {-1e300}}}}}},
		{"", &Evaluated{Stats: []Stats{{Loss: Number(math.NaN())}, {Loss: Number(math.Inf(1))}}}},
		{"loss: got a sum of NaN of steps that were taken, want a finite one", &Commit{Stats: Stats{Loss: Number(math.NaN())}}},
		{"loss: got a sum of +Inf of steps that were taken", &Ran{At: Position{Sums: Stats{Loss: Number(math.Inf(1))}}}},
		{"split: got 3", &Test{Split: 3}},
		{"last: got 0, want 1 to", &Evaluate{First: 1}},
		{"", &Form{Members: []Member{{ID: "a", Share: 1}}}},
		{"members: got 0", &Form{}},
		{"rank: got 1, want 0 to 0", &Form{Rank: 1, Members: []Member{{ID: "a", Share: 1}}}},
		{"got no shares", &Form{Members: []Member{{ID: "a"}}}},
		{"members[1]: got a twice", &Form{Members: []Member{{ID: "a", Share: 1}, {ID: "a", Share: 1}}}},
		{"members[0]: share: got -1", &Form{Members: []Member{{ID: "a", Share: -1}}}},
		{"members[0]: addresses: got 17", &Form{Members: []Member{{ID: "a", Peer: make([]string, 17)}}}},
		{"id: got none", &Hello{}},
		{"address: got none", &Hello{ID: "a", Peer: []string{""}}},
		{"threads: got -1", &Hello{ID: "a", Threads: -1}},
		{"index: got -1", &Opened{At: &Position{Index: -1}}},
		{"rows: got -1", &Rows{Table: &data.Layout{Parts: [3]data.PartLayout{{Rows: -1}}}}},
		{"offset: got 2, want 0 to 1", &File{Size: 1, Offset: 2}},
	} {
		err := Validate(c.m)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s %+v: got %v, want %q", c.m.Kind(), c.m, err, c.want)
		}
	}
}
