package cuda

import (
	"fmt"
	"strings"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/cuda/plan"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/backend/rules"
	"github.com/gespann/gespann/internal/data"
)

// reserveBytes of the free memory is left for the driver: loaded kernels,
// captured graphs, and what it rounds up.
const reserveBytes = 192 << 20

// stageBytes is the size of a chunk of rows that is copied to the card at once
// when the data does not fit; a step that has more takes what it has.
const stageBytes = 32 << 20

// numStages is the number of chunks in flight: one is copied while the other is
// computed on.
const numStages = 2

// A need is how much memory a job takes on a card, in bytes.
type need struct {
	vars, grads int64
	parts       int64 // arenas and gradients of parts that meet, but for the first
	arena       int64 // inputs, activations and outputs of one program at a time
	scratch     int64 // with counters and tables
	data        int64 // all rows, or the chunks in flight when streamed
	control     int64
}

func (n need) total() int64 {
	return n.vars + n.grads + n.parts + n.arena + n.scratch + n.data + n.control
}

// String lists what takes the memory.
func (n need) String() string {
	words := []string{}
	for _, part := range []struct {
		name  string
		bytes int64
	}{
		{"variables", n.vars}, {"gradients", n.grads}, {"activations", n.arena}, {"shards that meet", n.parts},
		{"scratch", n.scratch + n.control}, {"data", n.data},
	} {
		if part.bytes > 0 {
			words = append(words, part.name+" "+gib(part.bytes))
		}
	}
	return strings.Join(words, ", ")
}

// A programKey names a program of the job. The variant is targets for forward,
// add for gradient.
type programKey struct {
	kind    rules.Kind
	rows    int
	variant bool
	meets   bool // a gradient program whose parts meet: see together.go
}

const (
	forward  = rules.Forward
	gradient = rules.Gradient
	update   = rules.Update
)

// keysFor returns the programs that a job runs with a batch size: of whole
// batches first, then of the last batch of an epoch or split.
func keysFor(job *backend.Job, batch int) []programKey {
	if job.Data == nil {
		return nil
	}
	var keys []programKey
	if n := job.Data.Parts[data.Train].Rows; n > 0 {
		keys = append(keys, programKey{kind: update})
		for _, micro := range microBatches(n, batch, job.Accumulate) {
			keys = append(keys, programKey{kind: gradient, rows: micro.rows, variant: micro.add})
		}
	}
	for split := range job.Data.Parts {
		n := job.Data.Parts[split].Rows
		if n >= batch {
			keys = append(keys, programKey{kind: forward, rows: batch, variant: true})
		}
		if n%batch > 0 {
			keys = append(keys, programKey{kind: forward, rows: n % batch, variant: true})
		}
	}
	return keys
}

// A microBatch is a gradient run: so many rows, added to the gradients or not.
type microBatch struct {
	rows int
	add  bool
}

// microBatches returns the different gradient runs of an epoch of n rows.
func microBatches(n, batch, accumulate int) []microBatch {
	var out []microBatch
	seen := map[microBatch]bool{}
	note := func(rows int) {
		for first := 0; first < rows; first += batch {
			m := microBatch{min(batch, rows-first), first > 0}
			if !seen[m] {
				seen[m] = true
				out = append(out, m)
			}
		}
	}
	size := batch * accumulate
	note(min(size, n))
	if n > size {
		note(n % size)
	}
	return out
}

// dataBytes is the memory that all rows take on the card.
func dataBytes(set *data.Set) int64 {
	if set == nil {
		return 0
	}
	total := int64(0)
	for i := range set.Parts {
		p := &set.Parts[i]
		total += tableBytes(&p.X, p.Rows) + tableBytes(&p.Y, p.Rows)
		total += scaleBytes(&p.X) + scaleBytes(&p.Y)
	}
	return total
}

// tableBytes is the memory of rows of a table, as stored.
func tableBytes(t *data.Table, rows int) int64 { return align(int64(rows) * rowBytes(t)) }

// rowBytes is the memory of one row.
func rowBytes(t *data.Table) int64 {
	if t.Len() == 0 {
		return 0
	}
	if t.U8 != nil {
		return int64(t.RowSize())
	}
	return int64(t.RowSize()) * 4
}

// scaleBytes is the memory of the normalisation of a table.
func scaleBytes(t *data.Table) int64 {
	return 2*align(int64(len(t.Scale))*4) + align(int64(len(t.Center))*4)
}

// streamBytes is the memory of the chunks in flight when rows are streamed.
func (pl *planner) streamBytes(batch int) int64 {
	job := pl.job
	total := int64(0)
	for i := range job.Data.Parts {
		p := &job.Data.Parts[i]
		total = max(total, pl.stageSize(p, batch*job.Accumulate)*numStages+scaleBytes(&p.X)+scaleBytes(&p.Y))
	}
	return total
}

// stageSize is the memory of a chunk: pl.stage bytes, but at least one step and not
// more than all rows.
func (pl *planner) stageSize(p *data.Part, stepRows int) int64 {
	rows := pl.stageRows(p, stepRows)
	return tableBytes(&p.X, rows) + tableBytes(&p.Y, rows)
}

// stageRows is the number of rows of a chunk, a multiple of those of a step.
func (pl *planner) stageRows(p *data.Part, stepRows int) int {
	perRow := rowBytes(&p.X) + rowBytes(&p.Y)
	if p.Rows == 0 || perRow == 0 {
		return 0
	}
	steps := max(1, int(pl.stage/(perRow*int64(stepRows))))
	return min(steps*stepRows, (p.Rows+stepRows-1)/stepRows*stepRows)
}

// A planner plans the programs of a job, and keeps them.
type planner struct {
	job     *backend.Job
	vars    []ir.Var
	options plan.Options
	stage   int64 // size of a chunk of streamed rows, in bytes
	plans   map[programKey]*plan.Plan
	narrow  bool // launches beside others may wait for memory: see plan.Layout
	behind  int  // elements of the arena that update has; set when it is planned, first
}

// get builds, verifies and plans a program. All but update begin behind update's
// part of the arena, which is small, so that its inputs can be written while the
// outputs of a gradient program are read.
func (pl *planner) get(key programKey) (*plan.Plan, error) {
	if p := pl.plans[key]; p != nil {
		return p, nil
	}
	p, err := rules.Build(pl.job, pl.vars, key.kind, key.rows, key.variant)
	if err != nil {
		return nil, err
	}
	p = plan.Arrange(p)
	if err := ir.Verify(p, pl.vars); err != nil {
		return nil, fmt.Errorf("arranged: %w", err)
	}
	planned, err := pl.lay(p, key)
	if err != nil {
		return nil, fmt.Errorf("program %s: %w", p.Name, err)
	}
	pl.plans[key] = planned
	return planned, nil
}

// lay decides where the values of an arranged program are, and plans it.
func (pl *planner) lay(p *ir.Program, key programKey) (*plan.Plan, error) {
	o := pl.options
	o.Layout = ir.PlanMemory(p)
	if !pl.narrow {
		o.Layout = plan.Layout(p)
	}
	o.Meets = key.meets
	if key.kind == update {
		pl.behind = (o.Layout.Size + alignBytes/4 - 1) / (alignBytes / 4) * (alignBytes / 4)
	} else {
		shift(&o.Layout, pl.behind)
	}
	return plan.Build(p, o)
}

// shift moves a layout by so many elements.
func shift(l *ir.Plan, by int) {
	for i, at := range l.Offset {
		if at >= 0 {
			l.Offset[i] = at + by
		}
	}
	l.Size += by
}

// need returns the memory of a job with a batch size.
func (pl *planner) need(batch int, streamed bool) (need, error) {
	n := need{control: align(plan.ControlBytes)}
	for _, v := range pl.vars {
		bytes := align(int64(ir.Size(v.Shape))*4 + 16)
		n.vars += bytes
		if v.Role != ir.OptState {
			n.grads += bytes
		}
	}
	var scratch, counters, tables, sums int64
	for _, key := range keysFor(pl.job, batch) {
		p, err := pl.get(key)
		if err != nil {
			return n, err
		}
		n.arena = max(n.arena, align(p.ArenaBytes))
		scratch = max(scratch, align(p.ScratchBytes)+align(p.AsideBytes))
		counters = max(counters, 2*align(p.CountersBytes))
		tables += align(p.TableBytes())
		sums = max(sums, align(int64(p.SumsSize())*16))
	}
	n.scratch = scratch + counters + tables
	n.control += sums
	if pl.job.Data == nil {
		return n, nil
	}
	if err := pl.needParts(&n, batch); err != nil {
		return n, err
	}
	n.control += align(int64(pl.stepsPerEpoch(batch)) * 4)
	n.data = dataBytes(pl.job.Data)
	if streamed {
		n.data = pl.streamBytes(batch)
	}
	return n, nil
}

func (pl *planner) stepsPerEpoch(batch int) int {
	c := rules.CutOf(pl.job, false)
	c.BatchSize = batch
	return c.Steps(pl.job.Data.Parts[data.Train].Rows)
}

// fit decides whether launches wait for memory, and whether the data is streamed,
// or says what is too large for the card and which batch size is not.
func (pl *planner) fit(free int64) (n need, streamed bool, err error) {
	n, streamed, err = pl.place(free)
	if err == nil && !streamed || pl.narrow {
		return n, streamed, err
	}
	pl.narrow = true
	clear(pl.plans)
	return pl.place(free)
}

// place is fit for the layouts that are chosen.
func (pl *planner) place(free int64) (n need, streamed bool, err error) {
	have := max(free-reserveBytes, 0)
	if n, err = pl.need(pl.job.BatchSize, false); err != nil || n.total() <= have {
		return n, false, err
	}
	if pl.job.Data == nil {
		return n, false, pl.tooLarge(n, have)
	}
	all := n.data
	if n, err = pl.need(pl.job.BatchSize, true); err != nil || n.total() <= have {
		return n, true, err
	}
	n.data = min(n.data, all)
	return n, false, pl.tooLarge(n, have)
}

// A memoryError says that a job does not fit.
type memoryError struct {
	need        need
	have        int64
	batch, best int // best is the largest batch size that would fit, 0 for none
}

func (e *memoryError) Error() string {
	text := fmt.Sprintf("with batch size %d the model needs %s (%v), and the card has %s to give",
		e.batch, gib(e.need.total()), e.need, gib(e.have))
	if e.best == 0 {
		return text + "; no batch size would fit"
	}
	return text + fmt.Sprintf("\nhint: --batch-size %d would fit; train.accumulate makes steps of several batches", e.best)
}

// tooLarge finds the largest batch size that fits.
func (pl *planner) tooLarge(n need, have int64) error {
	e := &memoryError{need: n, have: have, batch: pl.job.BatchSize}
	fits := func(batch int) (bool, error) {
		probe := planner{job: pl.job, vars: pl.vars, options: pl.options, stage: pl.stage, plans: map[programKey]*plan.Plan{}, narrow: pl.narrow}
		n, err := probe.need(batch, false)
		if pl.job.Data != nil {
			n.data = min(n.data, pl.streamBytes(batch))
		}
		return n.total() <= have, err
	}
	for low, high := 1, pl.job.BatchSize-1; low <= high; {
		mid := (low + high) / 2
		ok, err := fits(mid)
		switch {
		case err != nil:
			return err
		case ok:
			e.best, low = mid, mid+1
		default:
			high = mid - 1
		}
	}
	return e
}
