package strategy

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/numtest"
)

func TestTable(t *testing.T) {
	all := All()
	for i, s := range all {
		if got, ok := Lookup(s.Name); !ok || got.Name != s.Name {
			t.Errorf("Lookup(%q) = %q, %v", s.Name, got.Name, ok)
		}
		if err := Check(s.Name, Params{Named: s.Complete(nil), Rate: 0.01}); err != nil {
			t.Errorf("%s: defaults: %v", s.Name, err)
		}
		if (s.NewCenter == nil) != (s.Pattern == AllReduce) || (s.NewLocal == nil) != (s.Pattern == AllReduce) {
			t.Errorf("%s: has the wrong sides for its pattern", s.Name)
		}
		want := 700
		if k, ok := s.Complete(nil)["window"]; ok {
			want = int(k)
		}
		if got := s.Window(Params{Named: s.Complete(nil)}, 700); got != want {
			t.Errorf("%s: window %d, want %d", s.Name, got, want)
		}
		for _, other := range all[:i] {
			if other.Name == s.Name {
				t.Errorf("%s is there twice", s.Name)
			}
		}
	}
	all[0].Name = "changed"
	if All()[0].Name != "sync" {
		t.Errorf("the first is %s, want sync", All()[0].Name)
	}
}

func TestCheck(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		name   string
		params map[string]float64
		rate   float64
		want   string // "": no error
	}{
		{"sync", nil, 0, ""},
		{"sink", nil, 0, `strategy: got "sink", want one of sync, local_sgd,`},
		{"adag", nil, 1, "strategy: adag.window: is missing"},
		{"adag", map[string]float64{"window": 1}, 1, ""},
		{"adag", map[string]float64{"window": 0}, 1, "strategy: adag.window: got 0, want a whole number in [1, 1048576]"},
		{"adag", map[string]float64{"window": 2.5}, 1, "adag.window: got 2.5, want a whole number"},
		{"adag", map[string]float64{"window": nan}, 1, "adag.window: got NaN"},
		{"adag", map[string]float64{"window": 1 << 21}, 1, "adag.window: got 2.097152e+06"},
		{"adag", map[string]float64{"window": 3, "rho": 1}, 1, "strategy: adag.rho: there is no such parameter"},
		{"diloco", map[string]float64{"window": 3, "outer_learning_rate": 0, "outer_momentum": 1}, 1,
			"strategy: diloco.outer_learning_rate: got 0, want a number above 0\n" +
				"strategy: diloco.outer_momentum: got 1, want [0, 1)"},
		{"diloco", map[string]float64{"window": 3, "outer_learning_rate": math.Inf(1), "outer_momentum": 0}, 1,
			"diloco.outer_learning_rate: got +Inf"},
		{"aeasgd", map[string]float64{"window": 3, "rho": 5}, 0.19, ""},
		{"aeasgd", map[string]float64{"window": 3, "rho": 5}, 0.2,
			"strategy: aeasgd.rho: got 5, want below 5: worker and center move by rho·learning_rate of what is" +
				" between them, and that is 1\nhint: lower rho or the learning rate (0.2)"},
		{"eamsgd", map[string]float64{"window": 3, "rho": 5}, nan, "strategy: eamsgd.rho: got 5"},
	} {
		err := Check(c.name, Params{Named: c.params, Rate: c.rate})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("Check(%s, %v, rate %v) = %v, want %q", c.name, c.params, c.rate, err, c.want)
		}
	}
}

func TestParamsOf(t *testing.T) {
	job := wire.Job{Rate0: 0.5, Params: map[string]float64{"rho": 1}, Vars: []wire.Var{
		{Shape: []int{2, 3}, Role: "param"},
		{Shape: []int{3}, Role: "state"},
		{Shape: []int{9}, Role: "optimizer"},
		{Shape: []int{3}, Role: "state"},
		{Shape: []int{}, Role: "param"},
		{Shape: []int{2}, Role: "state"},
	}}
	p := ParamsOf(&job)
	if want := []Range{{6, 12}, {13, 15}}; !slices.Equal(p.States, want) || p.Rate != 0.5 || p.Named["rho"] != 1 || p.Moments != nil {
		t.Errorf("got %+v, want states %v", p, want)
	}
	for i, name := range []string{"a.kernel", "a.moving_mean", "m.a.kernel", "a.moving_variance", "b.gamma", "b.moving_variance"} {
		job.Vars[i].Name = name
	}
	if p, want := ParamsOf(&job), []Moments{{Range{6, 9}, Range{9, 12}}}; !slices.Equal(p.Moments, want) {
		t.Errorf("got %+v, want moments %v", p, want)
	}
}

// TestMoments checks that variances of several are those of all their rows, with weights
// as the means have: in every strategy E[variance + mean²] is what the linear rule makes
// of it.
func TestMoments(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	const why = "a few roundings of numbers below 40"
	tol := numtest.Tol{Abs: 2e-5, Why: why}
	vector := func() []float32 {
		return []float32{float32(r.NormFloat64()), float32(3 * r.NormFloat64()), float32(3 * r.NormFloat64()), float32(1 + r.Float64()), float32(r.Float64())}
	}
	// second returns a vector with E[x²] in the place of each variance, and back.
	second := func(v []float32, sign float64) []float32 {
		v = slices.Clone(v)
		for i := range 2 {
			v[3+i] = float32(float64(v[3+i]) + sign*float64(v[1+i])*float64(v[1+i]))
		}
		return v
	}
	for _, s := range All() {
		if s.NewCenter == nil {
			continue
		}
		plain := Params{Named: s.Complete(nil), Rate: 0.05, States: []Range{{1, 5}}}
		paired := plain
		paired.Moments = []Moments{{Range{1, 3}, Range{3, 5}}}
		for range 50 {
			c, commits, steps, staleness := vector(), [][]float32{vector(), vector(), vector()}, []int{1, 5, 2}, r.IntN(4)
			run := func(p Params, code func(v []float32, sign float64) []float32) (center, worker []float32) {
				center, local := code(c, 1), s.NewLocal(p)
				var sent [][]float32
				for _, w := range commits {
					x := code(w, 1)
					local.Commit(x, code(c, 1), 1)
					sent = append(sent, x)
				}
				if s.Pattern == Rounds {
					s.NewCenter(p).Round(center, sent, steps)
					return code(center, -1), nil
				}
				reply := slices.Clone(sent[0])
				s.NewCenter(p).Merge(center, reply, staleness)
				local.Receive(sent[0], reply)
				return code(center, -1), code(reply, -1)
			}
			got, gotWorker := run(paired, func(v []float32, _ float64) []float32 { return slices.Clone(v) })
			want, wantWorker := run(plain, second)
			if !numtest.Close(t, got[1:], want[1:], tol) || !numtest.Close(t, gotWorker, wantWorker, tol) {
				t.Fatalf("%s, staleness %d", s.Name, staleness)
			}
		}
	}
}

// sides returns both sides of a strategy with its defaults, for 12 elements of
// which the last four are states.
func sides(t *testing.T, name string, named map[string]float64) (Center, Local) {
	t.Helper()
	s, ok := Lookup(name)
	if !ok {
		t.Fatalf("no strategy %q", name)
	}
	p := Params{Named: s.Complete(named), Rate: 0.05, States: []Range{{8, 12}}}
	return s.NewCenter(p), s.NewLocal(p)
}

func randomVector(r *rand.Rand) []float32 {
	v := make([]float32, 12)
	for i := range v {
		v[i] = float32(r.NormFloat64())
		if i >= 8 {
			v[i] *= v[i] // a variance
		}
	}
	return v
}

// TestMeanOfEqual checks that averaging equal vectors changes no bit.
func TestMeanOfEqual(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	center, _ := sides(t, "local_sgd", nil)
	for range 300 {
		w, c := randomVector(r), randomVector(r)
		n := 1 + r.IntN(20)
		steps := make([]int, n)
		for i := range steps {
			steps[i] = 1 + r.IntN(1000)
		}
		center.Round(c, slices.Repeat([][]float32{w}, n), steps)
		if !slices.Equal(c, w) {
			t.Fatalf("the mean of %d times %v is %v", n, w, c)
		}
	}
}

// TestMeanOfMany checks that vectors of any length have the mean of each element, with
// sums in the order of commits.
func TestMeanOfMany(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	center, _ := sides(t, "local_sgd", nil)
	steps := []int{3, 1, 4}
	for _, n := range []int{0, 1, 1023, 1024, 1025, 2500} {
		commits := make([][]float32, len(steps))
		want := make([]float32, n)
		for k := range commits {
			commits[k] = make([]float32, n)
			for i := range commits[k] {
				commits[k][i] = float32(r.NormFloat64())
			}
		}
		for i := range want {
			sum := 0.0
			for k, s := range steps {
				sum += float64(float64(s) * float64(commits[k][i]))
			}
			want[i] = float32(sum / 8)
		}
		got := make([]float32, n)
		center.Round(got, commits, steps)
		if !slices.Equal(got, want) {
			t.Errorf("%d elements: other means", n)
		}
	}
}

// TestDownpourKin checks that adag with steps of one, and dynsgd without
// staleness, are downpour.
func TestDownpourKin(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for range 100 {
		c, w, p := randomVector(r), randomVector(r), randomVector(r)
		staleness := r.IntN(4)
		merged := func(name string, steps, staleness int) []float32 {
			center, local := sides(t, name, map[string]float64{"window": 1})
			commit, c := make([]float32, 12), slices.Clone(c)
			copy(commit, w)
			local.Commit(commit, p, steps)
			center.Merge(c, commit, staleness)
			if !slices.Equal(commit, c) {
				t.Fatalf("%s replies %v, want c = %v", name, commit, c)
			}
			return c
		}
		if got, want := merged("adag", 1, staleness), merged("downpour", 1, staleness); !slices.Equal(got, want) {
			t.Fatalf("adag: %v, downpour: %v", got, want)
		}
		if got, want := merged("dynsgd", 5, 0), merged("downpour", 5, 0); !slices.Equal(got, want) {
			t.Fatalf("dynsgd: %v, downpour: %v", got, want)
		}
	}
}

// TestElasticConserves checks that w + c stays what it was.
func TestElasticConserves(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for _, name := range []string{"aeasgd", "eamsgd"} {
		center, local := sides(t, name, map[string]float64{"rho": 7})
		for range 100 {
			c, w, p := randomVector(r), randomVector(r), make([]float32, 12)
			want, bound := make([]float64, 12), make([]float64, 12)
			for i := range want {
				want[i] = float64(w[i]) + float64(c[i])
				bound[i] = 3 * numtest.Gamma(1) * (math.Abs(float64(w[i])) + math.Abs(float64(c[i])))
			}
			commit, got := make([]float32, 12), make([]float64, 12)
			copy(commit, w)
			local.Commit(commit, p, 32)
			sent := slices.Clone(commit)
			center.Merge(c, commit, 1)
			local.Receive(sent, commit)
			copy(w, commit)
			for i := range got {
				got[i] = float64(w[i]) + float64(c[i])
			}
			numtest.Within(t, got, want, bound, "one rounding each of c + E and w - E")
		}
	}
}

// TestOuterPlain checks that diloco without momentum, at rate 1, is local_sgd.
func TestOuterPlain(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	outer, _ := sides(t, "diloco", map[string]float64{"outer_learning_rate": 1, "outer_momentum": 0})
	mean, _ := sides(t, "local_sgd", nil)
	for range 50 {
		got, want := make([]float32, 12), make([]float32, 12)
		copy(got, randomVector(r))
		copy(want, got)
		commits, steps := [][]float32{randomVector(r), randomVector(r)}, []int{8, 8}
		outer.Round(got, commits, steps)
		mean.Round(want, commits, steps)
		numtest.Close(t, got, want, numtest.Tol{Abs: 1e-6, Why: "two roundings of numbers below 8"})
	}
}

// TestStates checks that states stay between the least and the greatest that the
// center and the workers ever had, as a variance must, whatever becomes of parameters.
func TestStates(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for _, s := range All() {
		if s.NewCenter == nil {
			continue
		}
		center, local := sides(t, s.Name, nil)
		c := randomVector(r)
		low, high := slices.Min(c[8:]), slices.Max(c[8:])
		w, p := make([][]float32, 4), make([][]float32, 4)
		for i := range w {
			w[i], p[i] = slices.Clone(c), slices.Clone(c)
		}
		commit := make([]float32, 12)
		for step := range 400 {
			i := r.IntN(4)
			copy(w[i], randomVector(r))
			low, high = min(low, slices.Min(w[i][8:])), max(high, slices.Max(w[i][8:]))
			copy(commit, w[i])
			local.Commit(commit, p[i], 5)
			sent := slices.Clone(commit)
			if s.Pattern == Rounds {
				center.Round(c, [][]float32{commit}, []int{5})
				copy(commit, c)
			} else {
				center.Merge(c, commit, r.IntN(5))
			}
			local.Receive(sent, commit)
			copy(w[i], commit)
			copy(p[i], commit)
			for _, v := range [][]float32{c[8:], w[i][8:]} {
				if slices.Min(v) < low || slices.Max(v) > high*(1+0x1p-20) {
					t.Fatalf("%s, step %d: states %v, want %v to %v", s.Name, step, v, low, high)
				}
			}
		}
	}
}

// TestBothWays checks that Merge of Rounds is a round of one, and Round of the
// others one Merge after the other.
func TestBothWays(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	for _, s := range All() {
		if s.NewCenter == nil {
			continue
		}
		a, _ := sides(t, s.Name, nil)
		b, _ := sides(t, s.Name, nil)
		c := randomVector(r)
		d := slices.Clone(c)
		for range 3 {
			commits := [][]float32{randomVector(r), randomVector(r)}
			if s.Pattern == Rounds {
				commits = commits[:1]
			}
			for staleness, commit := range commits {
				b.Merge(d, slices.Clone(commit), staleness)
			}
			a.Round(c, commits, []int{3, 3}[:len(commits)])
			if !slices.Equal(c, d) {
				t.Errorf("%s: Round gives %v, Merge %v", s.Name, c, d)
			}
		}
	}
}
