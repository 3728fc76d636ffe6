package server

import (
	"math"
	"strings"
	"testing"

	"github.com/gespann/gespann/dist/coord"
	"github.com/gespann/gespann/dist/strategy"
	"github.com/gespann/gespann/dist/wire"
)

// TestLook finds what is not finite wherever it is, and the norm of parameters alone.
func TestLook(t *testing.T) {
	f := newForm([]wire.Var{
		{Name: "a", Shape: []int{3, 5}, Role: "param"}, {Name: "m", Shape: []int{3, 5}, Role: "optimizer"},
		{Name: "s", Shape: []int{7}, Role: "state"}, {Name: "b", Shape: []int{}, Role: "param"},
	})
	if f.all != 38 || f.shared != 23 {
		t.Fatalf("lengths are %d and %d", f.all, f.shared)
	}
	for _, n := range []int{f.all, f.shared, 3 * f.all} {
		v := make([]float32, n)
		for i := range v {
			v[i] = 2
		}
		params := 16 * max(n/f.all, 1)
		l, ok := f.look(v)
		if want := math.Sqrt(4 * float64(params)); !ok || !l.finite || l.norm != want || l.params != params {
			t.Errorf("%d numbers: got %+v, want norm %v of %d", n, l, want, params)
		}
		for i := range v {
			for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
				v[i] = float32(bad)
				if l, _ := f.look(v); l.finite {
					t.Errorf("%d numbers: %v at %d is finite", n, bad, i)
				}
			}
			v[i] = math.MaxFloat32
			if l, _ := f.look(v); !l.finite {
				t.Errorf("%d numbers: the largest number at %d is not finite", n, i)
			}
			v[i] = 2
		}
	}
	if _, ok := f.look(make([]float32, 24)); ok {
		t.Error("24 numbers are of the job")
	}
}

// TestYardstick compares results with others.
func TestYardstick(t *testing.T) {
	finite := func(norm float64) look { return look{norm: norm, params: 100, finite: true} }
	var y yardstick
	commit := &wire.Commit{}
	if got := y.odd("w1", commit, look{norm: 1}); got != coord.NotFinite {
		t.Errorf("not finite: got %q", got)
	}
	y.restored(finite(7))
	for _, c := range []struct {
		id   string
		norm float64
		want string
	}{
		{"w1", 70, ""},
		{"w1", 71, "sent numbers of norm 71, where the parameters began with 7"},
		{"w1", 0.01, ""}, {"w1", 0.02, ""}, {"w1", 0.03, ""}, {"w1", 0.01, ""},
		{"w1", 71, "sent numbers of norm 71, where the parameters began with 7"}, // its own do not count
		{"w2", 60, ""}, {"w2", 0.2, ""}, // fewer than w1's
		{"w3", 69, ""},
		{"w3", 71, "sent numbers of norm 71, where those of others have 0.02"},
	} {
		l := finite(c.norm)
		got := y.odd(c.id, commit, l)
		if got != c.want {
			t.Errorf("%s, norm %v: got %q, want %q", c.id, c.norm, got, c.want)
		}
		if got == "" && c.norm < 50 {
			y.used(c.id, l)
		}
	}
	y.used("w1", finite(5000))
	y.used("w1", finite(5000))
	y.used("w1", finite(5000))
	if got := y.odd("w2", commit, finite(1e12)); got != "" || !y.wild(y.others("w2")) {
		t.Errorf("a run that diverges: got %q, want nobody to be blamed", got)
	}
}

// TestRestoreNotFinite refuses a driver's variables that are not finite.
func TestRestoreNotFinite(t *testing.T) {
	s := start(t, Options{})
	hire(t, s, 1)
	p := party{t, dial(t, "10.0.1.1:1", s.Driver)}
	p.say(&wire.Attach{Protocol: wire.Protocol, Job: testJob("a", "downpour")})
	hear[*wire.Attached](p)
	vars := make([]float32, 13)
	vars[12] = float32(math.NaN())
	p.say(&wire.Restore{}, vars...)
	if f, _ := hear[*wire.Fault](p); !strings.Contains(f.Err, "restore: the variables are not finite") {
		t.Errorf("got %q", f.Err)
	}
}

// BenchmarkLook is what a look at a commit takes, beside what the center does with it.
func BenchmarkLook(b *testing.B) {
	const n = 1 << 20
	f := newForm([]wire.Var{{Name: "w", Shape: []int{n}, Role: "param"}})
	v, c := make([]float32, n), make([]float32, n)
	b.Run("look", func(b *testing.B) {
		b.SetBytes(4 * n)
		for b.Loop() {
			f.look(v)
		}
	})
	for _, name := range []string{"downpour", "aeasgd"} {
		s, _ := strategy.Lookup(name)
		center := s.NewCenter(strategy.Params{Named: s.Complete(nil), Rate: 0.01})
		b.Run(name, func(b *testing.B) {
			b.SetBytes(4 * n)
			for b.Loop() {
				center.Merge(c, v, 0)
			}
		})
	}
}
