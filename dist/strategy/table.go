package strategy

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// A Param describes a parameter: its default, and the bounds of what it may be.
type Param struct {
	Name     string
	Default  float64
	Min, Max float64
	// Open says that Min and Max are not allowed themselves.
	OpenMin, OpenMax bool
	Whole            bool // no fractions
}

// maxWindow is far more steps than an epoch has, and small enough to multiply.
const maxWindow = 1 << 20

func windowOf(k float64) Param {
	return Param{Name: "window", Default: k, Min: 1, Max: maxWindow, Whole: true}
}

func above0(name string, def float64) Param {
	return Param{Name: name, Default: def, Max: math.MaxFloat64, OpenMin: true}
}

// table has all strategies. Their formulas are in the comments of the types that
// NewCenter makes.
var table = []Strategy{
	{
		Name: "sync", Pattern: AllReduce, Window: epoch,
		Source: "Patarasuk and Yuan, J. Parallel Distrib. Comput. 69 (2009)",
	}, {
		Name: "local_sgd", Pattern: Rounds, Window: window,
		Params:    []Param{windowOf(8)},
		Source:    "Stich, ICLR 2019, arXiv 1805.09767",
		NewCenter: newMean, NewLocal: newWhole,
	}, {
		Name: "diloco", Pattern: Rounds, Window: window,
		Params: []Param{windowOf(500), above0("outer_learning_rate", 0.7),
			{Name: "outer_momentum", Default: 0.9, Max: 1, OpenMax: true}},
		Source:    "Douillard et al., 2023, arXiv 2311.08105",
		NewCenter: newOuter, NewLocal: newWhole,
	}, {
		Name: "averaging", Pattern: Rounds, Window: epoch,
		Source:    "McDonald, Hall and Mann, NAACL 2010",
		NewCenter: newMean, NewLocal: newWhole,
	}, {
		Name: "single", Pattern: Alone, Window: epoch,
		NewCenter: newLatest, NewLocal: newWhole,
	}, {
		Name: "ensemble", Pattern: Members, Window: epoch,
		// The default is that of cluster.workers.
		Params:    []Param{{Name: "members", Default: 2, Min: 1, Max: 1024, Whole: true}},
		Source:    "Hansen and Salamon, IEEE Trans. Pattern Anal. Mach. Intell. 12 (1990)",
		NewCenter: newLatest, NewLocal: newWhole,
	}, {
		Name: "downpour", Pattern: Windows, Window: window,
		Params:    []Param{windowOf(5)},
		Source:    "Dean et al., NIPS 2012",
		NewCenter: newSum, NewLocal: newDelta,
	}, {
		Name: "adag", Pattern: Windows, Window: window,
		Params:    []Param{windowOf(12)},
		Source:    "Hermans, Spanakis and Moeckel, ACML 2017, arXiv 1710.02368",
		NewCenter: newSum, NewLocal: newDeltaPerStep,
	}, {
		Name: "dynsgd", Pattern: Windows, Window: window,
		Params:    []Param{windowOf(10)},
		Source:    "Jiang, Cui, Zhang and Yu, SIGMOD 2017",
		NewCenter: newStale, NewLocal: newDelta,
	}, {
		Name: "aeasgd", Pattern: Windows, Window: window,
		Params:    []Param{windowOf(32), above0("rho", 5)},
		Source:    "Zhang, Choromanska and LeCun, NIPS 2015, arXiv 1412.6651",
		NewCenter: newElastic, NewLocal: newPulled,
	}, {
		Name: "eamsgd", Pattern: Windows, Window: window,
		Params:    []Param{windowOf(32), above0("rho", 5)},
		Source:    "Zhang, Choromanska and LeCun, NIPS 2015, arXiv 1412.6651",
		NewCenter: newElastic, NewLocal: newPulled,
	},
}

// All returns all strategies; sync, the usual one, is the first.
func All() []Strategy { return slices.Clone(table) }

// Lookup returns the strategy of a name, and whether there is one.
func Lookup(name string) (Strategy, bool) {
	i := slices.IndexFunc(table, func(s Strategy) bool { return s.Name == name })
	if i < 0 {
		return Strategy{}, false
	}
	return table[i], true
}

// Complete returns named with defaults for what is missing.
func (s Strategy) Complete(named map[string]float64) map[string]float64 {
	all := maps.Clone(named)
	if all == nil {
		all = map[string]float64{}
	}
	for _, p := range s.Params {
		if _, ok := all[p.Name]; !ok {
			all[p.Name] = p.Default
		}
	}
	return all
}

// Check returns an error unless there is a strategy of the name, and params has
// its parameters, all of them and no others, within their bounds; for elastic
// averaging also rho·Rate < 1.
func Check(name string, params Params) error {
	s, ok := Lookup(name)
	if !ok {
		var names []string
		for _, s := range table {
			names = append(names, s.Name)
		}
		return fmt.Errorf("strategy: got %q, want one of %s", name, strings.Join(names, ", "))
	}
	var errs []error
	left := maps.Clone(params.Named)
	for _, p := range s.Params {
		v, ok := left[p.Name]
		delete(left, p.Name)
		if !ok {
			errs = append(errs, fmt.Errorf("strategy: %s.%s: is missing", name, p.Name))
		} else if !p.allows(v) {
			errs = append(errs, fmt.Errorf("strategy: %s.%s: got %v, want %v", name, p.Name, v, p))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(left)) {
		errs = append(errs, fmt.Errorf("strategy: %s.%s: there is no such parameter", name, key))
	}
	if rho, ok := params.Named["rho"]; ok && len(errs) == 0 {
		errs = append(errs, checkAlpha(name, rho, params.Rate))
	}
	return errors.Join(errs...)
}

func (p Param) allows(v float64) bool {
	above := v > p.Min || v == p.Min && !p.OpenMin
	below := v < p.Max || v == p.Max && !p.OpenMax
	return above && below && (!p.Whole || v == math.Trunc(v))
}

// String says what the parameter may be.
func (p Param) String() string {
	from, to, kind := "[", "]", ""
	if p.OpenMin {
		from = "("
	}
	if p.OpenMax {
		to = ")"
	}
	if p.Whole {
		kind = "a whole number in "
	}
	if p.Max == math.MaxFloat64 {
		return fmt.Sprintf("%sa number above %v", kind, p.Min)
	}
	return fmt.Sprintf("%s%s%v, %.10g%s", kind, from, p.Min, p.Max, to)
}
