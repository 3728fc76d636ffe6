package strategy

import "fmt"

// elastic is the center of aeasgd and eamsgd.
//
//	commit  w
//	center  E = α·(w − c),  c = c + E,  reply E
//	then    w = w − E
//
// where α = rho·learning rate. Worker and center move towards each other by the same
// E, as if a spring were between them; w + c stays what it was. In the paper a worker
// reads c̃ when its period is over, and both moves use the difference from that c̃.
// Here the center computes it, so that one round trip is enough, and the c of E is
// the one that E is added to, though other workers commit meanwhile. The paper takes
// the gradient that follows at the w before the move; here the next step begins
// after it.
//
// States take the same rule: for α ≤ 1 both become weighted means of w and c. Variances
// become those of both together, which adds B = α·(1−α)·(mean(w) − mean(c))² to both: the
// reply is E + B, and the worker, which knows E of the mean, takes w − E + B.
//
// In eamsgd the worker's optimiser is SGD with Nesterov's momentum, whose velocity is
// its own: the exchange leaves it as it is.
//
// Source: Zhang, Choromanska and LeCun, Deep learning with elastic averaging SGD,
// NIPS 2015, arXiv 1412.6651, alg. 1 (asynchronous EASGD) and alg. 2 (EAMSGD).
type elastic struct {
	Params
	alpha float32
}

func newElastic(p Params) Center { return elastic{p, alphaOf(p)} }

func alphaOf(p Params) float32 { return float32(p.Named["rho"] * p.Rate) }

func (e elastic) Merge(c, commit []float32, _ int) {
	c = c[:len(commit)]
	e.apart(c, commit, e.alpha)
	for i, w := range commit {
		d := float32(e.alpha * (w - c[i]))
		c[i] += d
		commit[i] = d
	}
}

func (e elastic) Round(c []float32, commits [][]float32, _ []int) { mergeInOrder(e, c, commits) }

// pulled is the worker's side of elastic.
type pulled struct {
	Params
	alpha float32
}

func newPulled(p Params) Local { return pulled{p, alphaOf(p)} }

func (pulled) Commit(_, _ []float32, _ int) {}

func (l pulled) Receive(w, reply []float32) {
	w = w[:len(reply)]
	for _, m := range l.Moments {
		if l.alpha == 0 {
			break // nothing moves
		}
		for i := range m.Mean.Hi - m.Mean.Lo {
			d := reply[m.Mean.Lo+i] / l.alpha
			reply[m.Variance.Lo+i] -= float32(2 * l.alpha * (1 - l.alpha) * float32(d*d))
		}
	}
	for i, d := range reply {
		reply[i] = w[i] - d
	}
}

// checkAlpha checks that worker and center do not pass each other.
func checkAlpha(name string, rho, rate float64) error {
	if rho*rate < 1 {
		return nil
	}
	return fmt.Errorf("strategy: %s.rho: got %v, want below %.4g: worker and center move by rho·learning_rate"+
		" of what is between them, and that is %.4g\nhint: lower rho or the learning rate (%v)",
		name, rho, 1/rate, rho*rate, rate)
}
