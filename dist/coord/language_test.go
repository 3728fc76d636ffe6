package coord

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/data"
)

// message reads a message of a transcript.
func message(t *testing.T, kind string, a map[string]string) wire.Message {
	job := a["job"]
	if job == "" {
		job = "a"
	}
	gen, at := number(a, "gen", 0), position(a["at"])
	cost := wire.Cost{Compute: float64(number(a, "compute", 0)), Rows: int64(number(a, "trained", 0))}
	switch kind {
	case "opened":
		o := &wire.Opened{Job: job, Err: a["err"]}
		if a["at"] != "" {
			o.At = &at
		}
		return o
	case "needdata":
		return &wire.NeedData{Job: job, Why: a["why"]}
	case "loaded":
		return &wire.Loaded{Job: job, At: at}
	case "state":
		return &wire.State{Job: job, At: at}
	case "ran":
		return &wire.Ran{Gen: gen, At: at, Cost: cost}
	case "broken":
		return &wire.Broken{Gen: gen, At: at, Peer: a["peer"], Err: a["err"]}
	case "aborted":
		return &wire.Aborted{Gen: gen, At: at}
	case "failed":
		f := &wire.Failed{Job: job, Err: a["err"], Fatal: a["fatal"] != ""}
		if step := number(a, "nan", 0); step > 0 {
			f.NotFinite = &wire.NotFinite{Step: int64(step), Layer: "dense", Value: "matmul output"}
		}
		return f
	case "commit":
		steps := number(a, "steps", 0)
		return &wire.Commit{Job: job, Lease: number(a, "lease", 0), Steps: steps, Stats: stats(a, 10*steps), Cost: cost}
	case "evaluated":
		e := &wire.Evaluated{Job: job, Task: number(a, "task", 0)}
		for _, loss := range strings.Fields(a["losses"]) {
			v, _ := strconv.ParseFloat(loss, 64)
			e.Stats = append(e.Stats, wire.Stats{Rows: 10, Loss: wire.Number(v)})
		}
		return e
	case "leave":
		return &wire.Leave{}
	case "beat":
		return &wire.Beat{Done: int64(number(a, "done", 0)), Phase: a["phase"], Cost: cost}
	}
	return request(t, kind, a)
}

// request reads a message of a driver.
func request(t *testing.T, kind string, a map[string]string) wire.Message {
	switch kind {
	case "restore":
		return &wire.Restore{At: position(a["at"])}
	case "train":
		return &wire.Train{Span: span(t, a), Sums: stats(a, 0), Steps: number(a, "epoch", 1000)}
	case "probe":
		return &wire.Probe{Span: span(t, a)}
	case "stop":
		return &wire.Stop{}
	case "snapshot":
		return &wire.Snapshot{}
	case "test":
		return &wire.Test{Split: data.Validation}
	case "bill":
		return &wire.Bill{}
	case "detach":
		return &wire.Detach{Err: a["err"]}
	}
	t.Fatalf("%q is not a message", kind)
	return nil
}

// span reads steps=first..last done=n, where done is first unless it is there.
func span(t *testing.T, a map[string]string) wire.Span {
	var s wire.Span
	if _, err := fmt.Sscanf(a["steps"], "%d..%d", &s.First, &s.Last); err != nil {
		t.Fatalf("steps=%s: %v", a["steps"], err)
	}
	s.Done = int64(number(a, "done", s.First))
	s.Epoch = number(a, "in", 0)
	s.Rates = make(wire.Floats, s.Last-s.First)
	return s
}

func stats(a map[string]string, rows int) wire.Stats {
	loss, _ := strconv.ParseFloat(a["loss"], 64)
	return wire.Stats{Rows: int64(number(a, "rows", rows)), Loss: wire.Number(loss)}
}

func position(text string) wire.Position {
	done, rest, ok := strings.Cut(text, "/")
	n, _ := strconv.Atoi(done)
	p := wire.Position{Done: int64(n), Index: n}
	if ok {
		_, _ = fmt.Sscanf(rest, "%d:%d", &p.Epoch, &p.Index)
	}
	return p
}

// describe writes an action; "" for what transcripts leave out.
func describe(a Action) string {
	switch a := a.(type) {
	case Tell:
		switch a.Msg.(type) {
		case *wire.Welcome, *wire.Ping:
			return ""
		}
		return fmt.Sprintf("%s <- %s%s", a.ID, say(a.Msg), with(a.With))
	case Answer:
		return fmt.Sprintf("%s <- %s%s", a.Job, say(a.Msg), with(a.With))
	case Refuse:
		return fmt.Sprintf("%s refused: %s", a.Job, a.Reason)
	case Drop:
		return fmt.Sprintf("drop %s, retry=%t: %s", a.ID, a.Retry, a.Reason)
	case Keep:
		return fmt.Sprintf("keep %s at=%s center=%t", a.Job, place(a.At), a.Center)
	case Merge:
		return fmt.Sprintf("merge %s staleness=%d member=%d", a.ID, a.Staleness, a.Member)
	case Hold:
		return fmt.Sprintf("hold %s steps=%d", a.ID, a.Steps)
	case Round:
		return fmt.Sprintf("round of %s", strings.Join(a.IDs, " "))
	case SendRows:
		return fmt.Sprintf("rows of %s to %s", a.Job, a.ID)
	case Free:
		return fmt.Sprintf("free %s", a.Job)
	case Note:
		return fmt.Sprintf("%5.2f %s", a.Time.Seconds(), a.Text)
	}
	return fmt.Sprintf("%#v", a)
}

func with(w With) string {
	return []string{"", " +base", " +center", " +reply", " +whole"}[w]
}

func place(p wire.Position) string {
	s := fmt.Sprint(p.Done)
	if p.Epoch > 0 || int64(p.Index) != p.Done {
		s = fmt.Sprintf("%d/%d:%d", p.Done, p.Epoch, p.Index)
	}
	return s
}

func sums(s wire.Stats) string { return fmt.Sprintf(" rows=%d loss=%v", s.Rows, float64(s.Loss)) }

func steps(s wire.Span) string {
	text := fmt.Sprintf(" steps=%d..%d", s.First, s.Last)
	if s.Done != int64(s.First) || s.Epoch != 0 {
		text += fmt.Sprintf(" in=%d done=%d", s.Epoch, s.Done)
	}
	if len(s.Rates) != s.Last-s.First {
		text += fmt.Sprintf(" WITH %d RATES", len(s.Rates))
	}
	return text
}

// say writes a message of the coordinator.
func say(msg wire.Message) string {
	switch m := msg.(type) {
	case *wire.Load:
		return "load at=" + place(m.At)
	case *wire.Form:
		var members []string
		for _, w := range m.Members {
			members = append(members, fmt.Sprintf("%s:%d", w.ID, w.Share))
		}
		return fmt.Sprintf("form gen=%d rank=%d of %s", m.Gen, m.Rank, strings.Join(members, " "))
	case *wire.Run:
		return fmt.Sprintf("run gen=%d%s", m.Gen, steps(m.Span))
	case *wire.Stop:
		return fmt.Sprintf("stop gen=%d", m.Gen)
	case *wire.Abort:
		return fmt.Sprintf("abort gen=%d", m.Gen)
	case *wire.Lease:
		return fmt.Sprintf("lease %d%s member=%d load=%t", m.Lease, steps(m.Span), m.Member, m.Load)
	case *wire.Merged:
		return fmt.Sprintf("merged %d", m.Lease)
	case *wire.Evaluate:
		return fmt.Sprintf("evaluate task=%d batches=%d..%d", m.Task, m.First, m.Last)
	case *wire.Queued:
		return "queued: " + m.Reason
	case *wire.Attached:
		return fmt.Sprintf("attached workers=%d", m.Workers)
	case *wire.Probed:
		return fmt.Sprintf("probed rows=%d seconds=%g", m.Rows, m.Seconds)
	case *wire.Progress:
		return "progress at=" + place(m.At)
	case *wire.Trained:
		text := "trained at=" + place(m.At) + sums(m.At.Sums)
		if m.NotFinite != nil {
			text += fmt.Sprintf(" not finite in step %d", m.NotFinite.Step)
		}
		return text
	case *wire.Warned:
		return "warned: " + m.Text
	case *wire.Lost:
		return "lost: " + m.Reason
	case *wire.Fault:
		return "fault: " + m.Err
	case *wire.Variables:
		return "variables at=" + place(m.At)
	case *wire.Tested:
		return "tested" + sums(m.Stats)
	case *wire.Billed:
		return fmt.Sprintf("billed %+v", m.Account)
	}
	return msg.Kind()
}
