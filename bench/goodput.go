//go:build linux

package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Goodput is the speed of a training of which one worker is killed again and again,
// against that of the same training in peace.

// killEvery is how often a worker is killed.
const killEvery = 10 * time.Second

// goodputGoal is what is wanted.
const goodputGoal = 0.9

// A goodputWork is a training whose workers are killed.
type goodputWork struct {
	name, config string
	rows         int // of an epoch
}

// goodputWorks returns what is trained, with configurations that it puts in a folder.
func goodputWorks(dir string) ([]*goodputWork, error) {
	cnn := filepath.Join(dir, "digits-cnn.yaml")
	return []*goodputWork{
		// Whose steps take so long that one worker more makes it faster.
		{name: "digits-cnn", config: cnn, rows: trainRows},
		// Whose steps take a tenth of a millisecond.
		{name: "digits-mlp", config: faultConfig, rows: trainRows},
	}, os.WriteFile(cnn, []byte(digitsCNN), 0o600)
}

const digitsCNN = `
data: {source: digits, test_split: 0.2, validation_split: 0.1, normalize: scale, batch_size: 64}
model:
  - repeat:
      times: 3
      layers:
        - conv2d: {filters: 64, kernel_size: 3, padding: same, activation: relu}
  - global_average_pooling2d
  - dense: {units: 10, activation: softmax}
loss: sparse_categorical_crossentropy
optimizer: {adam: {learning_rate: 0.0003}}
metrics: [accuracy]
`

// A leg is one training from its first epoch to its last.
type leg struct {
	took  time.Duration
	cpu   time.Duration // of all its processes, from their starts to their ends
	kills int
	away  time.Duration // the longest without an epoch after a kill
	run   string
}

// measureGoodput trains in pairs, one of each with kills, peace first in the first pair, kills
// first in the next: a machine which gets busier favours neither.
func measureGoodput(o *options) error {
	dir, err := os.MkdirTemp("", "goodput")
	if err != nil {
		return err
	}
	l := &lab{program: filepath.Join(dir, "gespann"), dir: dir}
	if text, err := exec.Command("go", "build", "-trimpath", "-o", l.program, "./cmd/gespann").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, text)
	}
	before := measureLoad(2)
	fmt.Fprintf(os.Stderr, "below %s; %v\n", dir, before)
	var table strings.Builder
	table.WriteString("| training | pairs | kills | rows per second in peace | with kills | ratio (least to most) | by processor time | same bits |\n|---|---|---|---|---|---|---|---|\n")
	works, err := goodputWorks(dir)
	if err != nil {
		return err
	}
	for _, w := range works {
		if !chosen(w.name, o.works) {
			continue
		}
		for _, workers := range []int{2, 3} {
			if err := l.goodput(&table, w, workers, cmp.Or(o.repeat, 3), o.lasts); err != nil {
				return fmt.Errorf("%s, %d workers: %w; see %s", w.name, workers, err, dir)
			}
		}
	}
	fmt.Fprintf(&table, "\n%s, 2 processors, %s, %s; a worker killed every %v. Load before: %v; after: %v.\n", processor(),
		runtime.Version(), time.Now().Format(time.DateOnly), killEvery, before, measureLoad(2))
	fmt.Print(table.String())
	if err := os.RemoveAll(dir); err != nil || o.write == "" {
		return err
	}
	return replaceTable(o.write, "goodput", table.String())
}

// goodput measures pairs, and writes a line of the table.
func (l *lab) goodput(table *strings.Builder, w *goodputWork, workers, pairs int, lasts time.Duration) error {
	epochs, err := l.longEnough(w, workers, lasts)
	if err != nil {
		return err
	}
	var peace, war []*leg
	for i := range pairs {
		for turn := range 2 {
			kills := turn != i%2
			one, err := l.leg(w, workers, epochs, kills, fmt.Sprintf("%d-%d", i, turn))
			if err != nil {
				return err
			}
			if kills {
				war = append(war, one)
			} else {
				peace = append(peace, one)
			}
		}
		if err := sameRun(war[i].run, peace[i].run); err != nil {
			return err
		}
	}
	writeGoodput(table, fmt.Sprintf("%s, %d workers, %d epochs", w.name, workers, epochs), w.rows*(epochs-1), peace, war)
	return nil
}

// longEnough trains in peace, for more and more epochs, until that lasts. That training is
// in no pair: it was chosen for being slow.
func (l *lab) longEnough(w *goodputWork, workers int, lasts time.Duration) (epochs int, err error) {
	for epochs = 4; ; {
		one, err := l.leg(w, workers, epochs, false, fmt.Sprintf("%d-epochs", epochs))
		if err != nil || one.took >= lasts {
			return epochs, err
		}
		more := min(1.2*float64(lasts)/float64(one.took), 8)
		epochs = 2 + int(more*float64(epochs-1))
	}
}

// writeGoodput writes a line of the table; each leg has trained so many rows.
func writeGoodput(table *strings.Builder, title string, rows int, peace, war []*leg) {
	var ratios, byCPU, calm, hit []float64
	kills := 0
	for i := range peace {
		ratios = append(ratios, peace[i].took.Seconds()/war[i].took.Seconds())
		byCPU = append(byCPU, peace[i].cpu.Seconds()/war[i].cpu.Seconds())
		calm = append(calm, float64(rows)/peace[i].took.Seconds())
		hit = append(hit, float64(rows)/war[i].took.Seconds())
		kills += war[i].kills
	}
	for _, v := range [][]float64{ratios, byCPU, calm, hit} {
		slices.Sort(v)
	}
	fmt.Fprintf(table, "| %s | %d | %d | %.0f | %.0f | %.2f (%.2f to %.2f), goal %.1f | %.2f | yes |\n", title, len(peace), kills,
		quantile(calm, 0.5), quantile(hit, 0.5), quantile(ratios, 0.5), ratios[0], ratios[len(ratios)-1], goodputGoal, quantile(byCPU, 0.5))
}

// leg trains so many epochs.
func (l *lab) leg(w *goodputWork, workers, epochs int, kills bool, name string) (*leg, error) {
	run := filepath.Join(l.dir, fmt.Sprintf("%s-%d-%s", w.name, workers, name))
	args := []string{"train", w.config, "--backend", "cluster", "--workers", strconv.Itoa(workers), "--epochs", strconv.Itoa(epochs),
		"--runs", l.dir, "--name", filepath.Base(run), "--log", "json", "--set", "train.deterministic=true",
		"--set", fmt.Sprintf("train.checkpoint_every=%d epochs", max(epochs, 1))}
	cmd := exec.Command(l.program, args...)
	log, err := os.Create(run + ".log")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "TMPDIR="+l.dir, "GOMAXPROCS=2")
	watched := newWatch(filepath.Join(run, "metrics.csv"))
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{name: "driver", log: log.Name(), cmd: cmd, ended: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	one := &leg{run: run}
	var killed []time.Time
	if kills {
		killed = killAgainAndAgain(p, watched)
	}
	<-p.ended
	time.Sleep(50 * time.Millisecond) // the watch sees the last epoch
	watched.end()
	if p.err != nil || watched.epochs() != epochs {
		return nil, errors.Join(p.err, fmt.Errorf("%d epochs, want %d: %s", watched.epochs(), epochs, tail(p.log)))
	}
	one.kills = len(killed)
	for _, at := range killed {
		one.away = max(one.away, watched.standstill(at, at.Add(killEvery)))
	}
	one.took = watched.grown[len(watched.grown)-1].Sub(watched.begun())
	one.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	fmt.Fprintf(os.Stderr, "%s, %d workers: %d epochs in %.1f s, %.1f s of processors, %d kills, at most %.1f s without an epoch; %v\n",
		w.name, workers, epochs, one.took.Seconds(), one.cpu.Seconds(), one.kills, one.away.Seconds(), measureLoad(2))
	return one, nil
}

// killAgainAndAgain kills the worker that has lived longest, every so often from the first
// epoch until the training has ended, and returns when.
func killAgainAndAgain(p *process, watched *watch) (when []time.Time) {
	for watched.epochs() == 0 {
		select {
		case <-p.ended:
			return nil
		case <-time.After(10 * time.Millisecond):
		}
	}
	tick := time.NewTicker(killEvery)
	defer tick.Stop()
	for {
		select {
		case <-p.ended:
			return when
		case <-tick.C:
		}
		crew := children(p)
		if len(crew) > 0 && syscall.Kill(slices.Min(crew), syscall.SIGKILL) == nil {
			when = append(when, time.Now())
		}
	}
}

// begun returns when the first epoch was done.
func (w *watch) begun() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, at := range w.grown {
		return at
	}
	return time.Time{}
}

// sameRun compares losses and models of two runs, bit for bit.
func sameRun(a, b string) error {
	got, err := losses(a)
	if err != nil {
		return err
	}
	want, err := losses(b)
	if err != nil {
		return err
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("%w: metrics of %s", errOtherBits, a)
	}
	return sameTensors(filepath.Join(a, "model.safetensors"), filepath.Join(b, "model.safetensors"))
}
