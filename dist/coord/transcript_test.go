package coord

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gespann/gespann/dist/wire"
)

var update = flag.Bool("update", false, "write testdata/*.txt as the machine is now")

// TestTranscripts plays testdata/*.txt. A line at the margin is an event, or time
// that passes; the lines below it, indented, are the actions that follow, without
// Welcome and Ping. While time passes, all workers beat but those that are silent.
//
//	w1 joins [host=h] [name=n]       a attaches strategy=sync workers=2 ...
//	w1 leaves REASON                 a again ...
//	w1: KIND key=value ...           a leaves
//	w1 silent                        a: KIND key=value ...
//	wait 3s                          cancel a REASON
//
// A position is done, or done/epoch:index.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 20 {
		t.Fatalf("found %d transcripts: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("%s: %s", file, firstDifference(got, string(want)))
			}
		})
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			other := "the end"
			if i < len(w) {
				other = w[i]
			}
			return fmt.Sprintf("line %d: got\n%s\nwant\n%s", i+1, g[i], other)
		}
	}
	return fmt.Sprintf("got the end after line %d, want\n%s", len(g), w[len(g)])
}

// A player is a machine with the time and the workers of a transcript.
type player struct {
	t      *testing.T
	m      *Machine
	now    time.Duration
	silent map[string]bool
	beats  map[string]*wire.Beat
	out    strings.Builder
}

func play(t *testing.T, text string) string {
	t.Helper()
	p := &player{t: t, m: New(Options{}), silent: map[string]bool{}, beats: map[string]*wire.Beat{}}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "    ") {
			continue
		}
		fmt.Fprintln(&p.out, line)
		if line != "" && line[0] != '#' {
			p.line(line)
		}
	}
	return p.out.String()
}

func (p *player) step(e Event) {
	for _, a := range p.m.Step(p.now, e) {
		if s := describe(a); s != "" {
			fmt.Fprintf(&p.out, "    %s\n", s)
		}
	}
}

func (p *player) line(line string) {
	words := strings.Fields(line)
	who, rest := words[0], words[1:]
	if who == "wait" {
		p.wait(rest[0])
		return
	}
	if who == "cancel" {
		p.step(Cancel{Job: rest[0], Reason: strings.Join(rest[1:], " ")})
		return
	}
	worker := who[0] == 'w'
	if id, ok := strings.CutSuffix(who, ":"); ok {
		args := fields(rest[1:])
		msg := message(p.t, rest[0], args)
		if worker {
			if b, ok := msg.(*wire.Beat); ok {
				p.beats[id] = b
			}
			p.step(FromWorker{ID: id, Msg: msg, Odd: args["odd"], Size: float64(number(args, "size", 1)), Wild: args["wild"] != ""})
		} else {
			p.step(FromDriver{Job: id, Msg: msg})
		}
		return
	}
	args := fields(rest[1:])
	switch verb := rest[0]; {
	case verb == "joins":
		p.silent[who], p.beats[who] = false, &wire.Beat{}
		p.step(WorkerJoined{Hello: hello(who, args)})
	case verb == "leaves" && worker:
		p.step(WorkerGone{ID: who, Reason: strings.Join(rest[1:], " ")})
	case verb == "silent":
		p.silent[who] = true
	case verb == "attaches" || verb == "again":
		p.step(DriverJoined{Attach: wire.Attach{Protocol: wire.Protocol, Again: verb == "again", Job: jobFrom(who, args)}})
	case verb == "leaves":
		p.step(DriverGone{Job: who})
	default:
		p.t.Fatalf("%q is not an event", line)
	}
}

// wait lets time pass, a quarter of a second at a time.
func (p *player) wait(text string) {
	d, err := time.ParseDuration(text)
	if err != nil {
		p.t.Fatal(err)
	}
	const tick = 250 * time.Millisecond
	for end := p.now + d; p.now < end; {
		p.now += min(tick, end-p.now)
		if p.now%time.Second == 0 {
			for _, w := range p.m.Workers() {
				if id := w.Hello.ID; !p.silent[id] {
					p.step(FromWorker{ID: id, Msg: p.beats[id]})
				}
			}
		}
		p.step(Tick{})
	}
}

func hello(id string, args map[string]string) wire.Hello {
	return wire.Hello{
		Protocol: number(args, "protocol", wire.Protocol), ID: id, Name: args["name"], Backend: "cpu",
		Host: args["host"], Peer: []string{"unix:/" + id},
	}
}

func jobFrom(id string, args map[string]string) wire.Job {
	j := wire.Job{
		ID: id, Strategy: "sync", BatchSize: number(args, "batch", 10), Accumulate: 1,
		Workers: number(args, "workers", 2), Shards: number(args, "shards", 0),
		Rows: [3]int{100, number(args, "validation", 35), 20}, Rate0: 0.01,
	}
	if s := args["strategy"]; s != "" {
		j.Strategy = s
	}
	j.Params = map[string]float64{}
	for _, name := range []string{"window", "members"} {
		if s, ok := args[name]; ok {
			j.Params[name], _ = strconv.ParseFloat(s, 64)
		}
	}
	return j
}

// fields reads key=value words; a value ends at the next key.
func fields(words []string) map[string]string {
	all, last := map[string]string{}, ""
	for _, w := range words {
		if k, v, ok := strings.Cut(w, "="); ok {
			all[k], last = v, k
		} else if last != "" {
			all[last] += " " + w
		}
	}
	return all
}

func number(args map[string]string, key string, otherwise int) int {
	if v, err := strconv.Atoi(args[key]); err == nil {
		return v
	}
	return otherwise
}
