package web

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A family is a metric as an exposition has it.
type family struct{ name, kind, help, labels string }

// families returns the metrics of a text, in its order.
func families(text string) (all []family) {
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if m := helpLine.FindStringSubmatch(line); m != nil {
			all = append(all, family{name: m[1], help: m[2]})
			continue
		}
		last := &all[len(all)-1]
		if m := typeLine.FindStringSubmatch(line); m != nil {
			last.kind = m[2]
		} else if m := sampleLine.FindStringSubmatch(line); m != nil && last.labels == "" {
			var names []string
			for _, l := range labelName.FindAllStringSubmatch(m[3], -1) {
				names = append(names, "`"+l[1]+"`")
			}
			last.labels = strings.Join(names, ", ")
		}
	}
	return all
}

// exported returns what a coordinator and a worker in the middle of a job export.
func exported(t *testing.T) (coordinator, worker []family) {
	t.Helper()
	return families(get(t, handler(running(0.25)), "/metrics").Body.String()),
		families(get(t, WorkerHandler(busy(), nil), "/metrics").Body.String())
}

// TestMetricsTable compares the tables of docs/metrics.md with what is exported.
func TestMetricsTable(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "metrics.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	was := string(text)
	coordinator, worker := exported(t)
	own := func(f family) bool { return strings.HasPrefix(f.name, "gespann_") }
	other := func(f family) bool { return !own(f) }
	now := was
	for name, all := range map[string][]family{
		"coordinator": slices.DeleteFunc(slices.Clone(coordinator), other),
		"worker":      slices.DeleteFunc(slices.Clone(worker), other),
		"process":     slices.DeleteFunc(slices.Clone(worker), own),
	} {
		var b strings.Builder
		b.WriteString("\n| metric | kind | labels | |\n|---|---|---|---|\n")
		for _, f := range all {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.name, f.kind, f.labels, f.help)
		}
		b.WriteString("\n")
		begin, end := "<!-- "+name+": written by go test ./dist/web -update -->\n", "<!-- end of "+name+" -->\n"
		before, rest, ok := strings.Cut(now, begin)
		_, after, also := strings.Cut(rest, end)
		if !ok || !also {
			t.Fatalf("%s has no %q and %q", path, begin, end)
		}
		now = before + begin + b.String() + end + after
	}
	if *update {
		if err := os.WriteFile(path, []byte(now), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	if now != was {
		t.Errorf("%s is not what is exported: go test ./dist/web -run TestMetricsTable -update", path)
	}
}

// metricName matches metrics of ours and of processes in a query.
var metricName = regexp.MustCompile(`\b(?:gespann|process|go)_[a-z_]+\b`)

// TestQueries checks that the dashboard and the alerts ask for what is exported only, and
// that every panel can be drawn: with an ID and a place of its own, on the data source that
// is chosen.
func TestQueries(t *testing.T) {
	names := map[string]bool{}
	coordinator, worker := exported(t)
	for _, f := range slices.Concat(coordinator, worker) {
		names[f.name] = true
	}
	check := func(where, query string) {
		t.Helper()
		found := metricName.FindAllString(query, -1)
		if len(found) == 0 {
			t.Errorf("%s: %s: asks for no metric", where, query)
		}
		for _, name := range found {
			if !names[name] {
				t.Errorf("%s: %s is not exported", where, name)
			}
		}
	}
	rules, err := os.ReadFile(filepath.Join("..", "..", "deploy", "prometheus", "gespann.rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^ +expr: (.*)$`).FindAllStringSubmatch(string(rules), -1) {
		check("rules", m[1])
	}

	path := filepath.Join("..", "..", "deploy", "grafana", "gespann.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	type source struct{ Type, UID string }
	var board struct {
		UID, Title    string
		SchemaVersion int
		Templating    struct {
			List []struct{ Type, Name, Definition string }
		}
		Panels []struct {
			ID          int
			Type, Title string
			Datasource  source
			GridPos     struct{ X, Y, W, H int }
			Targets     []struct {
				Expr, RefID string
				Datasource  source
			}
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if board.UID == "" || board.Title == "" || board.SchemaVersion < 39 {
		t.Errorf("got %q, %q, schema %d", board.UID, board.Title, board.SchemaVersion)
	}
	variables := map[string]bool{"__rate_interval": true}
	for _, v := range board.Templating.List {
		if variables[v.Name] = true; v.Type == "query" {
			check("variable "+v.Name, v.Definition)
		}
	}
	ids, taken := map[int]string{}, map[[2]int]string{}
	for _, p := range board.Panels {
		if ids[p.ID] != "" {
			t.Errorf("panels %s and %s have the same ID", ids[p.ID], p.Title)
		}
		ids[p.ID] = p.Title
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("panel %q is in the place of %q, or outside", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if (p.Type == "row") != (len(p.Targets) == 0) {
			t.Errorf("panel %q: %d queries", p.Title, len(p.Targets))
		}
		for _, q := range p.Targets {
			check("panel "+p.Title, q.Expr)
			if q.Datasource != (source{"prometheus", "${datasource}"}) || q.RefID == "" {
				t.Errorf("panel %q: got %+v, want the data source that is chosen", p.Title, q)
			}
			for _, v := range regexp.MustCompile(`\$(\w+)`).FindAllStringSubmatch(q.Expr, -1) {
				if !variables[v[1]] {
					t.Errorf("panel %q: there is no variable %s", p.Title, v[1])
				}
			}
		}
	}
}
