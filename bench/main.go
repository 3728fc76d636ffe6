// Command bench races Gespann's cpu backend against PyTorch, Keras and Gorgonia's
// TapeMachine: the same models, initial parameters and batches, in turns. Each
// contestant is a process. Those that are not installed are named and left out.
//
//	go run ./bench -python path/to/python -works mlp-128-sgd,cnn-32-sgd
//
// With -write FILE it replaces the table between the markers in that file. It
// says whether the machine was idle. bench/README.md has the rules.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

type options struct {
	works, python, skip, write string
	serve, against             string
	threads                    int
	list, stranger, profile    bool
	products, whole, clusters  bool
	strategies                 bool
	faults, goodput            bool
	lasts                      time.Duration
	data, scale, only          string
	repeat                     int
	seed                       uint64
	plan
}

func main() {
	var o options
	flag.StringVar(&o.works, "works", "", "names of works, or their beginnings, with commas; empty: all")
	flag.StringVar(&o.python, "python", "python3", "interpreters to look for PyTorch and Keras in, with commas")
	flag.StringVar(&o.skip, "skip", "", "competitors to leave out, with commas: gorgonia, torch, keras")
	flag.StringVar(&o.write, "write", "", "Markdown file whose table to replace")
	flag.StringVar(&o.serve, "serve", "", "be a contestant: gespann or gorgonia")
	flag.StringVar(&o.against, "against", "", "race this other build of bench only, and fail where ours is slower")
	flag.IntVar(&o.threads, "threads", runtime.GOMAXPROCS(0), "threads of each contestant")
	flag.IntVar(&o.rounds, "rounds", 9, "turns of each contestant")
	flag.Float64Var(&o.ms, "ms", 150, "milliseconds of a turn")
	flag.BoolVar(&o.list, "list", false, "list the works")
	flag.BoolVar(&o.stranger, "stranger", false, "time ours beside a process that burns one processor")
	flag.BoolVar(&o.profile, "profile", false, "time each instruction of ours")
	flag.BoolVar(&o.products, "products", false, "time matrix products against the peak of multiply-adds")
	flag.BoolVar(&o.whole, "whole", false, "time whole trainings of configs/mnist-mlp.yaml, from start to saved model")
	flag.BoolVar(&o.clusters, "clusters", false, "time clusters of processes on this machine against one worker")
	flag.BoolVar(&o.faults, "faults", false, "break clusters of processes on this machine, and see how they end; some faults need root")
	flag.BoolVar(&o.goodput, "goodput", false, "time trainings of which a worker is killed every 10 s against the same in peace")
	flag.DurationVar(&o.lasts, "lasts", 65*time.Second, "how long the first training of -goodput is to last at least")
	flag.IntVar(&o.repeat, "repeat", 0, "how often each fault is tried, 0: 20; or pairs of -goodput, 0: 3")
	flag.StringVar(&o.only, "only", "", "faults to try, with commas; empty: all")
	flag.Uint64Var(&o.seed, "seed", 0, "of the moments of faults; 0: another each time")
	flag.BoolVar(&o.strategies, "strategies", false, "train configs/mnist-cluster.yaml with every strategy")
	flag.StringVar(&o.data, "data", "../shared/data/mnist", "folder with the files of MNIST, for -whole and -strategies")
	flag.StringVar(&o.scale, "scale", "", "`PICTURE.png` of how the cost of a step grows")
	flag.Parse()
	o.pause = 20 * time.Millisecond
	if err := run(&o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(o *options) error {
	switch {
	case o.serve == "gespann":
		return serve("Gespann", func(w *work) (engine, error) { return newGespannEngine(w) }, os.Stdin, os.Stdout)
	case o.serve == "gorgonia":
		return serve("Gorgonia v0.9.18 TapeMachine", newTapeEngine, os.Stdin, os.Stdout)
	case o.serve == "stranger":
		burn()
	case o.serve != "":
		return fmt.Errorf("-serve: got %q, want gespann or gorgonia", o.serve)
	}
	switch {
	case o.products:
		return raceProducts(o)
	case o.whole:
		return raceWhole(o)
	case o.clusters:
		return raceClusters(o)
	case o.strategies:
		return raceStrategies(o)
	case o.faults:
		return injectFaults(o)
	case o.goodput:
		return measureGoodput(o)
	case o.scale != "":
		return drawScale(o)
	}
	chosen, err := choose(o.works, o.threads)
	if err != nil {
		return err
	}
	if o.list {
		for _, w := range chosen {
			fmt.Printf("%-18s %s\n", w.Name, w.Title)
		}
		return nil
	}
	if o.profile {
		return profile(chosen, o)
	}
	if o.stranger {
		return besideStranger(chosen, o)
	}
	if o.against != "" {
		return check(chosen, o)
	}
	return raceAll(chosen, o)
}

// choose returns the works whose names begin with one of those given.
func choose(names string, threads int) ([]*work, error) {
	var chosen []*work
	for _, w := range works() {
		w.Threads = threads
		for name := range strings.SplitSeq(names, ",") {
			if strings.HasPrefix(w.Name, name) {
				chosen = append(chosen, w)
				break
			}
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("-works: no work begins with %q; see -list", names)
	}
	return chosen, nil
}

// raceAll races all contestants at the works, and reports.
func raceAll(works []*work, o *options) error {
	all, err := field(strings.Split(o.python, ","), strings.Split(o.skip, ","), os.Stderr)
	if err != nil {
		return err
	}
	defer func() {
		for _, c := range all {
			c.leave()
		}
	}()
	loads := []load{measureLoad(o.threads)}
	fmt.Fprintln(os.Stderr, loads[0])
	var results []*result
	for _, w := range works {
		r, err := race(w, all, o.plan, os.Stderr)
		if err != nil {
			return err
		}
		results = append(results, r)
		loads = append(loads, measureLoad(o.threads))
		for _, c := range r.runners {
			fmt.Fprintf(os.Stderr, "%-18s %-40s %s\n", w.Name, c.title(), spread(c.times))
		}
		fmt.Fprintf(os.Stderr, "%-18s ratio %.2f, goal %.1f; %v\n", w.Name, r.ratio(), w.Goal, loads[len(loads)-1])
	}
	table := render(results, loads)
	fmt.Print(table)
	if o.write == "" {
		return nil
	}
	return replaceTable(o.write, fmt.Sprintf("race on %d threads", o.threads), table)
}
