package strategy

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata")

// TestTranscripts plays the files of testdata, one for each strategy that has a
// center. Lines that begin with > say what happens, those below what becomes of it:
//
//	> strategy NAME PARAMETER=VALUE ... rate=VALUE states=LO-HI
//	> center c...             sets c, and all workers' w = p = c
//	> A takes 5 steps: w...   A has now this w, and commits
//	> round                   the end of a round, in the order of names
func TestTranscripts(t *testing.T) {
	for _, s := range All() {
		if s.NewCenter == nil {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			path := filepath.Join("testdata", s.Name+".txt")
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(text))
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(text) {
				t.Errorf("%s: got\n%s\nwant\n%s", path, got, text)
			}
			if !strings.Contains(got, "> strategy "+s.Name+" ") && !strings.Contains(got, "> strategy "+s.Name+"\n") {
				t.Errorf("%s does not play %s", path, s.Name)
			}
		})
	}
}

// A stage is a center and workers, by name.
type stage struct {
	t       *testing.T
	pattern Pattern
	params  Params
	center  Center
	local   Local
	c       []float32
	workers map[string]*actor
	order   []string // in which workers have committed in this round
	merged  int      // commits so far
	out     strings.Builder
}

type actor struct {
	w, p         []float32
	commit, sent []float32
	got          int // commits when it last got c
	steps        int
}

// play returns text with its answers, as they are.
func play(t *testing.T, text string) string {
	t.Helper()
	s := &stage{t: t, workers: map[string]*actor{}}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") || line == "" {
			fmt.Fprintln(&s.out, line)
			continue
		}
		command, ok := strings.CutPrefix(line, "> ")
		if !ok {
			continue // an answer
		}
		fmt.Fprintln(&s.out, line)
		words := strings.Fields(command)
		switch {
		case words[0] == "strategy":
			s.begin(words[1], words[2:])
		case words[0] == "center":
			s.c = s.vector(words[1:])
			clear(s.workers)
		case words[0] == "round":
			s.round()
		case len(words) > 4 && words[1] == "takes":
			s.take(words[0], words[2], words[4:])
		default:
			t.Fatalf("line %q is not understood", line)
		}
	}
	return s.out.String()
}

func (s *stage) number(text string) float64 {
	s.t.Helper()
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

func (s *stage) vector(words []string) []float32 {
	s.t.Helper()
	var v []float32
	for _, w := range words {
		v = append(v, float32(s.number(w)))
	}
	return v
}

func (s *stage) begin(name string, words []string) {
	s.t.Helper()
	strategy, ok := Lookup(name)
	if !ok {
		s.t.Fatalf("no strategy %q", name)
	}
	named := map[string]float64{}
	s.params = Params{}
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "rate":
			s.params.Rate = s.number(value)
		case "states":
			lo, hi, _ := strings.Cut(value, "-")
			s.params.States = []Range{{int(s.number(lo)), int(s.number(hi))}}
		default:
			named[key] = s.number(value)
		}
	}
	s.params.Named = strategy.Complete(named)
	if err := Check(name, s.params); err != nil {
		s.t.Fatal(err)
	}
	s.pattern = strategy.Pattern
	s.center, s.local = strategy.NewCenter(s.params), strategy.NewLocal(s.params)
}

// actor returns a worker, which begins with the center.
func (s *stage) actor(name string) *actor {
	a := s.workers[name]
	if a == nil {
		a = &actor{commit: make([]float32, len(s.c)), got: s.merged}
		a.w, a.p = append(a.w, s.c...), append(a.p, s.c...)
		s.workers[name] = a
	}
	return a
}

func (s *stage) take(name, steps string, w []string) {
	s.t.Helper()
	if len(s.workers) == 0 {
		for _, other := range []string{"A", "B", "C"} {
			s.actor(other) // all begin together
		}
	}
	a := s.actor(name)
	a.w, a.steps = s.vector(w), int(s.number(steps))
	copy(a.commit, a.w)
	s.local.Commit(a.commit, a.p, a.steps)
	a.sent = slices.Clone(a.commit)
	if s.pattern == Rounds {
		s.order = append(s.order, name)
		s.say("%s commits %v", name, a.commit)
		return
	}
	staleness := s.merged - a.got
	s.say("%s commits %v, staleness %d", name, a.commit, staleness)
	s.center.Merge(s.c, a.commit, staleness)
	s.merged++
	a.got = s.merged
	s.say("center c = %v, replies %v", s.c, a.commit)
	s.receive(name, a.commit)
}

func (s *stage) round() {
	var commits [][]float32
	var steps []int
	for _, name := range s.order {
		commits, steps = append(commits, s.workers[name].commit), append(steps, s.workers[name].steps)
	}
	s.center.Round(s.c, commits, steps)
	s.say("center c = %v", s.c)
	for _, name := range s.order {
		s.receive(name, s.c)
	}
	s.order = nil
}

func (s *stage) receive(name string, reply []float32) {
	a := s.workers[name]
	if s.pattern != Members { // who get nothing
		a.w = slices.Clone(reply)
		s.local.Receive(a.sent, a.w)
		a.p = slices.Clone(a.w)
	}
	s.say("%s has w = %v, p = %v", name, a.w, a.p)
}

func (s *stage) say(format string, args ...any) { fmt.Fprintf(&s.out, "  "+format+"\n", args...) }
