package server

import (
	"fmt"
	"math"
	"slices"

	"github.com/gespann/gespann/dist/coord"
	"github.com/gespann/gespann/dist/strategy"
	"github.com/gespann/gespann/dist/wire"
)

const (
	// leap is how many times as long as the parameters that were restored a result must
	// be to be hard to believe, besides coord.Absurd times as long as those of others:
	// parameters grow, and change more when little has changed before.
	leap = 10
	// wild is how many times as long the results of others are in a run that diverges.
	wild = 100
	// usualSize of a parameter: shorter vectors that are restored count as if they had that.
	usualSize = 0.05
	// normsKept is how many results of each worker are compared with.
	normsKept = 4
)

// A form is what vectors of a job look like. It does not change.
type form struct {
	all, shared int // lengths: all variables; parameters and states
	// Where all variables have the parameters, and where parameters and states alone do;
	// and the rest of each.
	inAll, inShared parts
}

// Parts are where a vector has parameters, and where something else.
type parts struct{ params, others []strategy.Range }

func newForm(vars []wire.Var) *form {
	f := &form{}
	for _, v := range vars {
		n := size(v)
		if v.Role != roleOptimizer {
			f.inShared.add(v.Role, f.shared, n)
			f.shared += n
		}
		f.inAll.add(v.Role, f.all, n)
		f.all += n
	}
	return f
}

func (p *parts) add(role string, at, n int) {
	of := &p.params
	if role != "param" {
		of = &p.others
	}
	if k := len(*of); k > 0 && (*of)[k-1].Hi == at {
		(*of)[k-1].Hi += n
		return
	}
	*of = append(*of, strategy.Range{Lo: at, Hi: at + n})
}

// A look is what one pass over a vector has found.
type look struct {
	norm   float64 // Euclidean, of the parameters
	params int     // how many they are
	finite bool    // all of it
}

// look looks at a vector of the job: of all variables, of those of several members of
// an ensemble, or of parameters and states. Others are not of the job.
func (f *form) look(v []float32) (look, bool) {
	p, each := &f.inAll, f.all
	if len(v) == f.shared {
		p, each = &f.inShared, f.shared
	}
	if each == 0 || len(v)%each != 0 {
		return look{}, false
	}
	var params, others float64
	n := 0
	for ; len(v) > 0; v = v[each:] {
		for _, r := range p.params {
			params += squares(v[r.Lo:r.Hi])
			n += r.Hi - r.Lo
		}
		for _, r := range p.others {
			others += squares(v[r.Lo:r.Hi])
		}
	}
	return look{math.Sqrt(params), n, !math.IsNaN(params+others) && !math.IsInf(params+others, 0)}, true
}

// squares returns the sum of squares: finite exactly when all of v is, as none of them
// overflows. Four sums at once keep the processor busy.
func squares(v []float32) float64 {
	var s0, s1, s2, s3 float64
	for len(v) >= 4 {
		a, b, c, d := float64(v[0]), float64(v[1]), float64(v[2]), float64(v[3])
		s0 += a * a
		s1 += b * b
		s2 += c * c
		s3 += d * d
		v = v[4:]
	}
	for _, x := range v {
		s0 += float64(x) * float64(x)
	}
	return s0 + s1 + s2 + s3
}

// A yardstick is what results of a job are compared with.
type yardstick struct {
	center float64              // norm of what was restored last, or a usual one if that is less
	recent map[string][]float64 // norms of the latest results that were used, by worker
}

// restored begins anew.
func (y *yardstick) restored(l look) {
	*y = yardstick{max(l.norm, 1, usualSize*math.Sqrt(float64(l.params))), map[string][]float64{}}
}

// used notes a result that was used.
func (y *yardstick) used(id string, l look) {
	if !l.finite || y.recent == nil {
		return
	}
	of := append(y.recent[id], l.norm)
	y.recent[id] = of[max(0, len(of)-normsKept):]
}

// odd says why a worker's result is hard to believe, or "". What a strategy commits is
// parameters or a change of them.
func (y *yardstick) odd(id string, m wire.Message, l look) string {
	if !l.finite {
		return coord.NotFinite
	}
	if _, ok := m.(*wire.Commit); !ok || y.recent == nil {
		return ""
	}
	others := y.others(id)
	if l.norm <= max(coord.Absurd*others, leap*y.center) || y.wild(others) {
		return ""
	}
	if others == 0 {
		return fmt.Sprintf("sent numbers of norm %.3g, where the parameters began with %.3g", l.norm, y.center)
	}
	return fmt.Sprintf("sent numbers of norm %.3g, where those of others have %.3g", l.norm, others)
}

// wild reports whether results like those of others are of a run that diverges.
func (y *yardstick) wild(others float64) bool { return others > wild*y.center }

// others returns the median norm of what other workers have committed lately; 0: they
// have not.
func (y *yardstick) others(id string) float64 {
	var all []float64
	for other, norms := range y.recent {
		if other != id {
			all = append(all, norms...)
		}
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2]
}
