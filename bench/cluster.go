package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/cluster"
)

// A crew is a way to train: so many workers of one thread under a strategy, or the
// cpu backend of one process.
type crew struct {
	label    string
	workers  int // 0: the cpu backend
	threads  int // of each
	batch    int // rows of a step of each worker
	strategy string
	window   int
	wire     string

	apart bool // two crews of one worker that know nothing of each other

	twin    *crew
	session backend.Session
	epoch   int // steps
	done    int
	rate    float64 // rows per second
	rates   []float64
}

// A clusterWork is a model that several crews train in turns. The first crew is
// one worker.
type clusterWork struct {
	work  *work
	crews []*crew
	goals map[string]float64 // wanted ratio to the first crew, by label
}

const twoSync = "2 workers, sync"

// clusterWorks returns what raceClusters races.
func clusterWorks() []*clusterWork {
	sync := func(label string, workers, batch int, wire string) *crew {
		return &crew{label: label, workers: workers, threads: 1, batch: batch, strategy: "sync", wire: wire}
	}
	alone := func(label, strategy string, window, batch int) *crew {
		return &crew{label: label, workers: 2, threads: 1, batch: batch, strategy: strategy, window: window, wire: "fp32"}
	}
	const one, cpu = "1 worker", "--backend=cpu, 2 threads"
	apart := func(batch int) *crew {
		c := sync("2 runs of 1 worker each, at once", 1, batch, "fp32")
		c.apart = true
		return c
	}
	return []*clusterWork{
		{
			work: &work{Name: "cnn-128", Title: "mnist-cnn, batch 128 per worker, SGD", Input: []int{28, 28, 1},
				Classes: 10, Batch: 128, Optimizer: "sgd", Layers: mnistCNN(), Threads: 1},
			crews: []*crew{sync(one, 1, 128, "fp32"), sync(twoSync, 2, 128, "fp32"),
				{label: cpu, threads: 2, batch: 256}, apart(128)},
			goals: map[string]float64{twoSync: 1.8},
		},
		{
			work: &work{Name: "mlp-512", Title: "MLP 784-512-512-10, batch 512 per worker, SGD", Input: []int{784},
				Classes: 10, Batch: 512, Optimizer: "sgd", Layers: perceptron(512, 512, 10), Threads: 1},
			crews: []*crew{sync(one, 1, 512, "fp32"), sync(twoSync, 2, 512, "fp32"),
				sync(twoSync+", bf16 wire", 2, 512, "bf16"), alone("2 workers, adag 12", "adag", 12, 512),
				alone("2 workers, local_sgd 8", "local_sgd", 8, 512), {label: cpu, threads: 2, batch: 1024}, apart(512)},
			goals: map[string]float64{twoSync: 1.6, twoSync + ", bf16 wire": 1.7,
				"2 workers, adag 12": 1.85, "2 workers, local_sgd 8": 1.85},
		},
		// One model with and without batch normalisation, whose parts meet four times in a
		// step: twice forwards, twice backwards.
		{
			work: &work{Name: "norm-128", Title: "MLP 784-512-512-10 with batch normalisation, batch 128 per worker, SGD",
				Input: []int{784}, Classes: 10, Batch: 128, Optimizer: "sgd", Layers: normalised(512, 512, 10), Threads: 1},
			crews: []*crew{sync(one, 1, 128, "fp32"), sync(twoSync, 2, 128, "fp32"), {label: cpu, threads: 2, batch: 256}},
		},
		{
			work: &work{Name: "plain-128", Title: "the same without batch normalisation",
				Input: []int{784}, Classes: 10, Batch: 128, Optimizer: "sgd", Layers: perceptron(512, 512, 10), Threads: 1},
			crews: []*crew{sync(one, 1, 128, "fp32"), sync(twoSync, 2, 128, "fp32"), {label: cpu, threads: 2, batch: 256}},
		},
	}
}

// raceClusters times clusters of processes on this machine in turns with one
// worker, the cpu backend and PyTorch's DistributedDataParallel.
func raceClusters(o *options) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "gespann")
	if text, err := exec.Command("go", "build", "-trimpath", "-o", program, "./cmd/gespann").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, text)
	}
	before := measureLoad(2)
	fmt.Fprintln(os.Stderr, before)
	var table strings.Builder
	table.WriteString("| work | who | rows per second (p10 to p90) | times one worker | goal |\n|---|---|---|---|---|\n")
	works := slices.DeleteFunc(clusterWorks(), func(w *clusterWork) bool { return !chosen(w.work.Name, o.works) })
	if len(works) == 0 {
		return fmt.Errorf("-works: no work of clusters begins with %q", o.works)
	}
	for _, w := range works {
		if err := w.race(o, program, dir, &table); err != nil {
			return fmt.Errorf("%s: %w", w.work.Name, err)
		}
	}
	fmt.Fprintf(&table, "\n%s, 2 processors, %s, %s; medians of %d turns of %.1f s. Load before: %v; after: %v.\n",
		processor(), runtime.Version(), time.Now().Format(time.DateOnly), o.rounds, clusterTurn.Seconds(), before, measureLoad(2))
	fmt.Print(table.String())
	if o.write == "" {
		return nil
	}
	return replaceTable(o.write, "clusters", table.String())
}

// mnistRows is the number of training rows of MNIST, and about that of an epoch.
const mnistRows = 60_000

// clusterTurn is how long a crew trains at once.
const clusterTurn = time.Second

func (w *clusterWork) race(o *options, program, dir string, table *strings.Builder) error {
	defer func() {
		for _, c := range w.crews {
			c.close()
		}
	}()
	for _, c := range w.crews {
		if err := c.open(w.work, program); err != nil {
			return fmt.Errorf("%s: %w", c.label, err)
		}
	}
	ddp, ddpRates := w.enterDDP(o, dir), []float64(nil)
	if ddp != nil {
		defer ddp.leave()
	}
	for round := range o.rounds + 1 {
		for _, c := range w.crews {
			time.Sleep(o.pause)
			rate, err := c.turn(clusterTurn)
			if err != nil {
				return fmt.Errorf("%s: %w", c.label, err)
			}
			if round > 0 {
				c.rates = append(c.rates, rate)
			}
		}
		if ddp == nil {
			continue
		}
		a, err := ddp.ask(request{Mode: "gloo", MS: clusterTurn.Seconds() * 1e3})
		if err != nil {
			return err
		}
		slices.Sort(a.Times)
		if round > 0 {
			ddpRates = append(ddpRates, 2*float64(w.work.Batch)*1e3/quantile(a.Times, 0.5))
		}
	}
	one := w.crews[0].rates
	for _, c := range w.crews {
		goal := ""
		if g := w.goals[c.label]; g > 0 {
			goal = strconv.FormatFloat(g, 'g', 3, 64)
		}
		w.row(table, c.label, c.rates, one, goal)
	}
	if ddp != nil {
		w.row(table, ddp.name+" on gloo, 2 processes", ddpRates, one, "")
	}
	return nil
}

// row writes one line: the ratio is the median of those of each round.
func (w *clusterWork) row(table *strings.Builder, label string, rates, one []float64, goal string) {
	ratios := make([]float64, len(rates))
	for i := range rates {
		ratios[i] = rates[i] / one[i]
	}
	slices.Sort(ratios)
	sorted := slices.Sorted(slices.Values(rates))
	line := fmt.Sprintf("| %s | %s | %.0f (%.0f to %.0f) | %.2f | %s |\n", w.work.Title, label,
		quantile(sorted, 0.5), quantile(sorted, 0.1), quantile(sorted, 0.9), quantile(ratios, 0.5), goal)
	fmt.Fprint(os.Stderr, line)
	table.WriteString(line)
}

// enterDDP starts PyTorch's processes, or returns nil where they are missing.
func (w *clusterWork) enterDDP(o *options, dir string) *contestant {
	if err := w.work.write(filepath.Join(dir, w.work.Name)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return nil
	}
	for python := range strings.SplitSeq(o.python, ",") {
		c, err := enter("", nil, python, "bench/torch_ddp.py")
		if err != nil {
			continue
		}
		if a, err := c.ask(request{Work: w.work}); err == nil {
			c.name = a.Name
			return c
		}
		c.leave()
	}
	fmt.Fprintf(os.Stderr, "missing: torch, in none of %s\n", o.python)
	return nil
}

// open opens the crew's session.
func (c *crew) open(w *work, program string) error {
	if c.apart {
		twin := *c
		twin.apart = false
		c.twin = &twin
		if err := c.twin.open(w, program); err != nil {
			return err
		}
	}
	own := *w
	own.Batch = c.batch
	if c.strategy == "sync" {
		own.Batch *= c.workers // a step is shared
	}
	own.Epoch = mnistRows / own.Batch
	c.epoch = own.Epoch
	m, err := own.build()
	if err != nil {
		return err
	}
	text, err := own.spec()
	if err != nil {
		return err
	}
	job := backend.Job{Spec: text, Programs: m, Data: own.sample(), BatchSize: own.Batch, Accumulate: 1,
		Shuffle: true, Threads: c.threads}
	var be backend.Backend
	if c.workers == 0 {
		be, err = backend.Lookup("cpu")
	} else {
		be = localCluster(program, c.workers)
		job.Threads = c.workers * c.threads
		job.Cluster = &backend.Cluster{Workers: c.workers, Strategy: c.strategy, Wire: c.wire, Data: "stream",
			Name: "bench", Rate: rate, Params: map[string]float64{}}
		if c.window > 0 {
			job.Cluster.Params["window"] = float64(c.window)
		}
	}
	if err != nil {
		return err
	}
	ctx := context.Background()
	if c.session, err = be.Open(ctx, job); err != nil {
		return err
	}
	return c.session.Restore(ctx, m.Initial(seed))
}

// close ends the crew's sessions.
func (c *crew) close() {
	if c.session != nil {
		c.session.Close()
	}
	if c.twin != nil {
		c.twin.close()
	}
}

// localCluster is the cluster backend with so many workers of that program.
func localCluster(program string, workers int) *cluster.Backend {
	return cluster.New(cluster.Options{
		Start: func(ctx context.Context, threads int) (cluster.Local, error) {
			return cluster.StartLocal(ctx, cluster.LocalOptions{Workers: workers, Threads: threads,
				Command: func(i int, address string, threads int) *exec.Cmd {
					cmd := exec.Command(program, "worker", "--child", "--coordinator", address, "--backend", "cpu",
						"--threads", strconv.Itoa(threads), "--name", fmt.Sprintf("worker-%d", i+1))
					cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(threads+1))
					return cmd
				}})
		},
	})
}

// turn trains for about that long and returns the rows per second. Workers that meet
// seldom train an epoch, as that is what they wait for each other for.
func (c *crew) turn(d time.Duration) (float64, error) {
	granule := 1
	if g, ok := c.session.(backend.Granular); ok && g.Granule() > 1 {
		granule = c.epoch
	}
	perStep := float64(c.batch)
	if c.strategy == "sync" {
		perStep *= float64(c.workers)
	}
	steps := granule
	if c.rate > 0 {
		steps = max(1, int(c.rate*d.Seconds()/perStep)/granule) * granule
	}
	start := time.Now()
	twin := make(chan error, 1)
	if c.twin != nil {
		perStep *= 2
		go func() { twin <- c.twin.train(steps) }()
	} else {
		twin <- nil
	}
	if err := errors.Join(c.train(steps), <-twin); err != nil {
		return 0, err
	}
	c.rate = float64(steps) * perStep / time.Since(start).Seconds()
	return c.rate, nil
}

// train takes so many steps, in one span for each epoch.
func (c *crew) train(steps int) error {
	for steps > 0 {
		first := c.done % c.epoch
		n := min(steps, c.epoch-first)
		_, _, err := c.session.Train(context.Background(), backend.Span{Epoch: c.done / c.epoch, First: first,
			Last: first + n, Step: int64(c.done), Rates: slices.Repeat([]float32{rate}, n)})
		if err != nil {
			return err
		}
		c.done += n
		steps -= n
	}
	return nil
}
