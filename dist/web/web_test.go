package web

import (
	"context"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gespann/gespann/dist/server/jobs"
	"github.com/gespann/gespann/dist/wire"
)

// TestMethods checks that there is nothing but reading.
func TestMethods(t *testing.T) {
	h := handler(running(0.5))
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE", "X"} {
		r := httptest.NewRequest(method, "/", strings.NewReader("x"))
		r.Host = "localhost"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s /: got %d, Allow %q, want 405", method, w.Code, w.Header().Get("Allow"))
		}
	}
}

// TestHost checks who may ask where.
func TestHost(t *testing.T) {
	loopback := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}
	for _, c := range []struct {
		local net.Addr
		host  string
		want  int
	}{
		{loopback, "localhost:8080", 200},
		{loopback, "LOCALHOST", 200},
		{loopback, "127.0.0.1:8080", 200},
		{loopback, "127.8.8.8", 200},
		{loopback, "[::1]:8080", 200},
		{loopback, "[::1]", 200},
		{&net.TCPAddr{IP: net.IPv6loopback}, "localhost:1", 200},
		{loopback, "evil.example:8080", 421},
		{loopback, "localhost.evil.example", 421},
		{loopback, "127.0.0.1.evil.example", 421},
		{loopback, "10.0.0.1:8080", 421},
		{loopback, "", 421},
		{nil, "evil.example", 421},
		{&net.UnixAddr{Name: "/tmp/x"}, "evil.example", 421},
		{&net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)}, "cluster.example:8080", 200},
	} {
		r := httptest.NewRequest(http.MethodGet, "/healthz", nil)
		r.Host = c.host
		if c.local != nil {
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, c.local))
		}
		w := httptest.NewRecorder()
		handler(newFake(emptyView())).ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("Host %q on %v: got %d, want %d", c.host, c.local, w.Code, c.want)
		}
	}
}

// TestHeaders checks what every answer says to browsers.
func TestHeaders(t *testing.T) {
	h := handler(running(0.5))
	for _, path := range []string{"/", "/nix", "/metrics", "/api/v1/jobs", "/static/live.js"} {
		header := get(t, h, path).Header()
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
				"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
			"X-Content-Type-Options":       "nosniff",
			"Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := header.Get(name); got != want {
				t.Errorf("GET %s: %s: got %q, want %q", path, name, got, want)
			}
		}
	}
}

func TestHealth(t *testing.T) {
	sick, stuck := emptyView(), emptyView()
	sick.Warning = "write jobs/x/job.json: no space left on device"
	stuck.Elapsed = -time.Minute
	const full, late = "write jobs/x/job.json: no space left on device\n", "the coordinator has not moved for 60 s\n"
	for _, c := range []struct {
		src  *fake
		path string
		code int
		body string
	}{
		{newFake(emptyView()), "/healthz", 200, "ok\n"},
		{newFake(sick), "/healthz", 200, "ok\n"}, // to start it again makes no room
		{newFake(stuck), "/healthz", 503, late},
		{newFake(emptyView()), "/readyz", 200, "ok\n"},
		{newFake(sick), "/readyz", 503, full},
		{newFake(stuck), "/readyz", 503, late},
	} {
		w := get(t, handler(c.src), c.path)
		if w.Code != c.code || w.Body.String() != c.body {
			t.Errorf("%s: got %d %q, want %d %q", c.path, w.Code, w.Body, c.code, c.body)
		}
	}
}

// A broken source panics.
type broken struct{ *fake }

func (b broken) Curve(string) (*jobs.Curve, error) { panic("broken") }

func TestFault(t *testing.T) {
	w := get(t, handler(broken{running(0.5)}), "/jobs/digits-resnet-77ab01")
	if w.Code != http.StatusInternalServerError {
		t.Errorf("got %d, want 500", w.Code)
	}
}

func TestFormats(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct{ got, want string }{
		{count(0), "0"}, {count(-1234567), "-1,234,567"}, {count(999), "999"}, {count(1000), "1,000"},
		{count(math.MinInt64), "-9,223,372,036,854,775,808"},
		{speed(0), "–"}, {speed(nan), "–"}, {speed(inf), "–"}, {speed(-1), "–"}, {speed(0.52), "0.5"},
		{speed(42), "42"}, {speed(999.4), "999"}, {speed(999.6), "1.00k"}, {speed(31240), "31.2k"}, {speed(1.5e20), "150000000T"},
		{bytesOf(-1), "0 B"}, {bytesOf(0), "0 B"}, {bytesOf(999), "999 B"}, {bytesOf(1234), "1.23 kB"}, {bytesOf(math.MaxInt64), "9.22 EB"},
		{span(nan), "–"}, {span(inf), "–"}, {span(-1), "–"}, {span(0), "0 s"}, {span(0.08), "80 ms"}, {span(0.9996), "1.0 s"},
		{span(4.25), "4.2 s"}, {span(9.96), "10 s"}, {span(59.6), "1 min 00 s"}, {span(3599.7), "1 h 00 min"}, {span(90061), "1 d 1 h"},
		{about(4), "some seconds"}, {about(44), "about 40 s"}, {about(100), "about 2 min"}, {about(3590), "about 1 h 00 min"},
		{percent(nan), "–"}, {percent(0.624), "62 %"},
		{value(wire.Value(nan)), "not finite"}, {value(0), "0.0000"}, {value(0.00012), "0.00012"}, {value(0.98213), "0.9821"},
		{value(123.456), "123.5"}, {value(-1e300), "-1e+300"},
		{stamp(time.Time{}), ""}, {stamp(noon), "2 Mar 12:00 UTC"},
		{short(3, "abcd"), "abc…"}, {short(4, "a\u202eb\x00c\nd"), "abc\n…"}, {line("a\nb"), "a"},
		{stateWord("running"), "state running"}, {stateWord(`x" y`), "state"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestShares(t *testing.T) {
	for _, c := range []struct{ in, want shares }{
		{shares{1, 2, 1}, shares{0.25, 0.5, 0.25}},
		{shares{}, shares{}},
		{shares{math.NaN(), 1, 1}, shares{}},
		{shares{math.Inf(1), 1, 1}, shares{}},
		{shares{3, -1, 1}, shares{}},
		{shares{1e308, 1e308, 0}, shares{}},
	} {
		if got := sharesOf(c.in.Compute, c.in.Wait, c.in.Comm); got != c.want {
			t.Errorf("sharesOf(%v) = %v, want %v", c.in, got, c.want)
		}
	}
}

func TestJoin(t *testing.T) {
	for _, c := range []struct{ join, host, want string }{
		{":7077", "localhost:8080", "localhost:7077"},
		{":7077", "big.example", "big.example:7077"},
		{":7077", "[::1]:8080", "[::1]:7077"},
		{":7077", "[::1]", "[::1]:7077"},
		{"0.0.0.0:7077", "big.example:80", "big.example:7077"},
		{"[::]:7077", "big.example:80", "big.example:7077"},
		{"other.example:7077", "big.example:80", "other.example:7077"},
		{"10.0.0.1:7077", "big.example:80", "10.0.0.1:7077"},
		{"unix:/run/gespann", "localhost:8080", "unix:/run/gespann"},
		{"", "localhost:8080", ""},
	} {
		if got := joinAt(c.join, c.host); got != c.want {
			t.Errorf("joinAt(%q, %q) = %q, want %q", c.join, c.host, got, c.want)
		}
	}
}

// TestTicks checks the labels of axes.
func TestTicks(t *testing.T) {
	for _, c := range []struct {
		a    axis
		want string
	}{
		{axis{low: 0, high: 10, from: 0, to: 100}, "0 2 4 6 8 10"},
		{axis{low: 0, high: 0.3, from: 0, to: 100}, "0.0 0.1 0.2 0.3"},
		{axis{low: 0.93, high: 0.98, from: 0, to: 100}, "0.93 0.94 0.95 0.96 0.97 0.98"},
		{axis{low: -1, high: 1, from: 0, to: 100}, "-1.0 -0.5 0.0 0.5 1.0"},
		{axis{low: 0, high: 3e7, from: 0, to: 100}, "0 1e+07 2e+07 3e+07"},
		{axis{low: 0.02, high: 4, from: 0, to: 100, log: true}, "0.02 0.05 0.1 0.2 0.5 1 2"},
		{axis{low: 1e-9, high: 1e9, from: 0, to: 100, log: true}, "1e-09 1e-06 0.001 1 1e+03 1e+06 1e+09"},
	} {
		var got []string
		for _, tick := range c.a.ticks(5) {
			got = append(got, tick.Text)
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%+v: got %s, want %s", c.a, text, c.want)
		}
	}
}

// TestChart checks gaps, the choice of axes, and what has no chart.
func TestChart(t *testing.T) {
	curve := func(values ...float64) *jobs.Curve {
		c := &jobs.Curve{}
		for i, v := range values {
			c.AddTrain(jobs.Point{Step: int64(i + 1), Epoch: float64(i + 1), Rows: 1,
				Values: map[string]wire.Value{"loss": wire.Value(v)}})
		}
		return c
	}
	nan := math.NaN()
	for _, c := range []struct {
		name  string
		curve *jobs.Curve
		lines []int // points of each
		log   bool
	}{
		{"one", curve(1), []int{1}, false},
		{"equal", curve(2, 2, 2), []int{3}, false},
		{"zero", curve(0, 0), []int{2}, false},
		{"gap", curve(3, 2, nan, 1, math.Inf(1), 1, 1), []int{2, 1, 2}, false},
		{"log", curve(1000, 1), []int{2}, true},
		{"sign", curve(1000, -1), []int{2}, false},
		{"small", curve(5e-324, 1e-323), []int{2}, false},
		{"none", curve(nan, nan), nil, false},
		{"empty", &jobs.Curve{}, nil, false},
		{"nil", nil, nil, false},
		{"overflow", curve(1e308, -1e308), nil, false},
	} {
		all := charts(c.curve)
		if len(all) != min(len(c.lines), 1) {
			t.Errorf("%s: got %d charts", c.name, len(all))
			continue
		}
		if len(all) == 0 {
			continue
		}
		var got []int
		for _, line := range all[0].Train {
			got = append(got, strings.Count(line, ","))
			if strings.Contains(line, "NaN") || strings.Contains(line, "Inf") {
				t.Errorf("%s: got line %s", c.name, line)
			}
		}
		points := 0
		for _, n := range got {
			if n == 1 {
				points++
			}
		}
		if len(all[0].Dots) != points {
			t.Errorf("%s: got dots %v, want one for each of %d points without a neighbour", c.name, all[0].Dots, points)
		}
		if !slices.Equal(got, c.lines) || all[0].Log != c.log {
			t.Errorf("%s: got lines of %v points, log %v, want %v, %v", c.name, got, all[0].Log, c.lines, c.log)
		}
	}
}

// TestCharts checks which metrics have one, in which order.
func TestCharts(t *testing.T) {
	c := &jobs.Curve{}
	values := map[string]wire.Value{"loss": 1, "accuracy": 0.5, "zeta": 1, "alpha": 1, "mean": 1, "beta": 1}
	c.AddTrain(jobs.Point{Step: 1, Epoch: 1, Values: values, Rows: 1})
	var got []string
	for _, one := range charts(c) {
		got = append(got, one.Name)
	}
	if want := []string{"loss", "accuracy", "alpha", "beta"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestPrivate checks that the page of a private job says for whom its spec and log are.
func TestPrivate(t *testing.T) {
	f := running(0.5)
	j := &f.view.Jobs[0]
	j.Private, j.Owner = true, "alice"
	f.specs[j.ID], f.logs[j.ID] = "the spec", "the log\n"
	w := get(t, handler(f), "/jobs/"+j.ID)
	text := w.Body.String()
	if strings.Contains(text, "the spec") || strings.Contains(text, "the log") || strings.Count(text, "It is for alice") != 2 ||
		!strings.Contains(text, "alice&#39;s") && !strings.Contains(text, "alice's") {
		t.Errorf("got\n%s\nwant that log and spec are for alice", text)
	}
}
