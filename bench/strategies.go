package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// A strategyRace trains configs/mnist-cluster.yaml with one strategy, by one worker
// and by several.
type strategyRace struct {
	name     string
	settings []string // over the file's
	one, all trained
}

// trained is how a run ended.
type trained struct {
	accuracy float64 // on the test rows
	seconds  float64
	failure  string // why there is no accuracy
}

const (
	raceWorkers = 4
	// allowed is by how many points several workers may be worse than one.
	allowed = 0.5
)

// strategyRaces lists what is raced, with settings that suit a strategy, the same
// for one worker and for several.
func strategyRaces() []*strategyRace {
	race := func(name string, settings ...string) *strategyRace {
		return &strategyRace{name: name, settings: settings}
	}
	// A mean of four workers' weights goes as far as one of them did, so their steps
	// are four times as long: the linear scaling rule, Goyal et al., arXiv 1706.02677.
	// Sums go as far as all of them: steps are shorter.
	const adam, sgd = "optimizer.adam.learning_rate=", "optimizer.sgd.learning_rate="
	const long, short = adam + "0.004", adam + "0.0005"
	return []*strategyRace{
		race("sync"),
		race("local_sgd", long),
		race("diloco", "cluster.strategy.diloco.window=50"),
		race("averaging", long),
		race("single"),
		race("ensemble", "cluster.strategy.ensemble.members=4"),
		race("downpour", short),
		race("adag", "optimizer=sgd", sgd+"0.8"),
		race("dynsgd", long),
		race("aeasgd", long, "cluster.strategy.aeasgd.window=8", "cluster.strategy.aeasgd.rho=60"),
		race("eamsgd", "optimizer=sgd", sgd+"0.1", "optimizer.sgd.momentum=0.9", "optimizer.sgd.nesterov=true",
			"cluster.strategy.eamsgd.window=4", "cluster.strategy.eamsgd.rho=2.5"),
	}
}

// raceStrategies trains with each strategy, and writes what came of it.
func raceStrategies(o *options) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "gespann")
	if text, err := exec.Command("go", "build", "-trimpath", "-o", program, "./cmd/gespann").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, text)
	}
	before := measureLoad(o.threads)
	var races []*strategyRace
	for _, r := range strategyRaces() {
		if !chosen(r.name, o.works) {
			continue
		}
		races = append(races, r)
		for _, turn := range []struct {
			workers int
			result  *trained
		}{{1, &r.one}, {raceWorkers, &r.all}} {
			if *turn.result, err = r.train(program, dir, o.data, turn.workers); err != nil {
				return err
			}
			fmt.Fprintf(os.Stderr, "%-10s %d workers: %v in %.1f s\n", r.name, turn.workers, turn.result, turn.result.seconds)
		}
	}
	table := strategyTable(races)
	table += fmt.Sprintf("\n%s, %d processors, %s, %s. Load before: %v; after: %v.\n", processor(), runtime.NumCPU(),
		runtime.Version(), time.Now().Format(time.DateOnly), before, measureLoad(o.threads))
	fmt.Print(table)
	if o.write == "" {
		return nil
	}
	return replaceTable(o.write, "strategies", table)
}

// chosen reports whether a name begins with one of those given.
func chosen(name, names string) bool {
	for prefix := range strings.SplitSeq(names, ",") {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// train trains with so many workers, each on one thread. That a run fails with a
// reason is a result.
func (r *strategyRace) train(program, dir, data string, workers int) (trained, error) {
	n := strconv.Itoa(workers)
	args := []string{"train", "configs/mnist-cluster.yaml", "--data-dir", data, "--runs", dir,
		"--name", r.name + "-" + n, "--workers", n, "--threads", n, "--strategy", r.name, "--log", "plain"}
	for _, s := range r.settings {
		args = append(args, "--set", s)
	}
	start := time.Now()
	text, err := exec.Command(program, args...).CombinedOutput()
	result := trained{seconds: time.Since(start).Seconds()}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		result.failure = reason(string(text))
		return result, nil
	case err != nil:
		return result, err
	}
	result.accuracy, err = accuracyOf(string(text))
	return result, err
}

// accuracyOf finds the accuracy in the line of the test rows.
func accuracyOf(text string) (float64, error) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 5 && fields[0] == "test" && fields[3] == "accuracy" {
			return strconv.ParseFloat(fields[4], 64)
		}
	}
	return 0, fmt.Errorf("no accuracy on the test rows in\n%s", text)
}

// reason returns the error that a run ended with, without its hint.
func reason(text string) string {
	for line := range strings.Lines(text) {
		if why, ok := strings.CutPrefix(line, "gespann: "); ok {
			return strings.TrimSpace(why)
		}
	}
	return strings.TrimSpace(text)
}

func (t *trained) String() string {
	return cmp.Or(t.failure, fmt.Sprintf("%.2f %%", 100*t.accuracy))
}

func strategyTable(races []*strategyRace) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| strategy | settings | 1 worker | %d workers | points | seconds, 1 | seconds, %d |\n", raceWorkers, raceWorkers)
	b.WriteString("|---|---|---|---|---|---|---|\n")
	for _, r := range races {
		points := "-"
		if r.one.failure == "" && r.all.failure == "" {
			d := 100 * (r.all.accuracy - r.one.accuracy)
			points = fmt.Sprintf("%+.2f", d)
			if d < -allowed {
				points += ": too few"
			}
		}
		fmt.Fprintf(&b, "| `%s` | %s | %v | %v | %s | %.1f | %.1f |\n", r.name, r.said(), &r.one, &r.all, points,
			r.one.seconds, r.all.seconds)
	}
	return b.String()
}

// said is the settings without the paths that they share.
func (r *strategyRace) said() string {
	var words []string
	for _, s := range r.settings {
		for _, prefix := range []string{"optimizer.adam.", "optimizer.sgd.", "cluster.strategy." + r.name + "."} {
			s = strings.TrimPrefix(s, prefix)
		}
		s = strings.TrimSuffix(s, "=true")
		words = append(words, strings.Replace(s, "=", " ", 1))
	}
	return strings.Join(words, ", ")
}
