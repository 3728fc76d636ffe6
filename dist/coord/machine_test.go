package coord

import (
	"strings"
	"testing"
	"time"

	"github.com/gespann/gespann/dist/wire"
)

// TestPoison checks that a job ends, and says why, when every worker that takes a
// certain step dies of it, though new ones come for ever.
func TestPoison(t *testing.T) {
	for _, c := range []struct{ strategy, want string }{
		{"sync", "20 groups have tried to take step 1"},
		{"adag", "11 workers were lost with the same steps"},
	} {
		t.Run(c.strategy, func(t *testing.T) {
			p := &player{t: t, m: New(Options{}), silent: map[string]bool{}, beats: map[string]*wire.Beat{}}
			p.line("a attaches workers=1 strategy=" + c.strategy)
			p.line("w1 joins")
			p.line("w1: opened")
			p.line("a: restore at=0")
			p.line("w1: loaded at=0")
			p.line("a: train steps=0..10")
			for range 30 {
				p.line("w1 leaves killed")
				p.line("w1 joins")
				p.line("w1: opened")
				if len(p.m.Jobs()) == 0 {
					break
				}
				p.line("w1: loaded at=0")
			}
			if got := p.out.String(); !strings.Contains(got, "fault: "+c.want) {
				t.Errorf("got no fault with %q:\n%s", c.want, got)
			}
		})
	}
}

// TestPoisonLater is the same in a later span, which the driver can only begin
// again from its latest snapshot.
func TestPoisonLater(t *testing.T) {
	p := &player{t: t, m: New(Options{}), silent: map[string]bool{}, beats: map[string]*wire.Beat{}}
	p.line("a attaches workers=1")
	for range 10 {
		p.line("w1 joins")
		p.line("w1: opened")
		p.line("a: restore at=0")
		p.line("w1: loaded at=0")
		p.line("a: train steps=0..10")
		w := p.m.workers[0]
		p.step(FromWorker{ID: "w1", Msg: &wire.Ran{Gen: w.gen, At: wire.Position{Done: 10, Index: 10}}})
		p.line("a: train steps=10..20")
		p.line("w1 leaves killed")
		p.wait((7 * time.Second).String())
		if len(p.m.Jobs()) == 0 {
			break
		}
	}
	const want = "fault: all workers were lost 6 times before step 11 was taken"
	if got := p.out.String(); !strings.Contains(got, want) {
		t.Errorf("got no %q:\n%s", want, got)
	}
}

// TestAsleep checks that a machine that was asleep blames nobody for it.
func TestAsleep(t *testing.T) {
	p := &player{t: t, m: New(Options{}), silent: map[string]bool{}, beats: map[string]*wire.Beat{}}
	p.line("w1 joins")
	p.wait("5s")
	p.now += time.Hour
	p.step(Tick{})
	if n := len(p.m.Workers()); n != 1 {
		t.Fatalf("%d workers after an hour's sleep, want 1:\n%s", n, p.out.String())
	}
	p.silent["w1"] = true
	p.wait("4s")
	if n := len(p.m.Workers()); n != 0 {
		t.Errorf("%d workers after 4 s of silence, want none:\n%s", n, p.out.String())
	}
}

// TestManyBeats checks that beats of many workers leave nothing behind.
func TestManyBeats(t *testing.T) {
	m := New(Options{})
	var now time.Duration
	for i := range 64 {
		m.Step(now, WorkerJoined{Hello: wire.Hello{Protocol: wire.Protocol, ID: string(rune('A' + i))}})
	}
	for range 100_000 / 64 {
		now += time.Second
		for i := range 64 {
			if n := len(m.Step(now, FromWorker{ID: string(rune('A' + i)), Msg: &wire.Beat{}})); n != 0 {
				t.Fatalf("%d actions after a beat, want none", n)
			}
		}
		if n := len(m.Step(now, Tick{})); n != 64 {
			t.Fatalf("%d actions after a second, want 64 pings", n)
		}
	}
	if n := len(m.Workers()); n != 64 {
		t.Errorf("%d workers, want 64", n)
	}
}
