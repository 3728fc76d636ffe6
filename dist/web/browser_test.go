package web

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"image/png"
	"math"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// wantBrowser is set where the tests in a browser may not be skipped.
const wantBrowser = "GESPANN_TEST_BROWSER"

// A tab is one of a browser, with what its pages complained about.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string
}

// TestBrowser opens the pages in a browser. Without one it is skipped.
func TestBrowser(t *testing.T) {
	all := startBrowser(t)
	for _, c := range []struct {
		name string
		run  func(*testing.T, *tab)
	}{
		{"clicks", testClicks}, {"reader", testReader}, {"comes back", testComesBack},
		{"without script", testWithoutScript}, {"widths", testWidths}, {"policy", testPolicy},
		{"dark", testDark},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, openTab(t, all))
		})
	}
}

// startBrowser starts a browser that lives as long as the test.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser takes long to start")
	}
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = cmp.Or(path, found)
		}
	}
	if path == "" && os.Getenv(wantBrowser) != "" {
		t.Fatalf("%s is set, but there is no chromium", wantBrowser)
	}
	if path == "" {
		t.Skip("no browser: neither chromium, chromium-browser nor google-chrome is in PATH")
	}
	// The sandbox does not work for root and in containers; the pages are ours.
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox)
	all, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, leave := chromedp.NewContext(all)
	t.Cleanup(leave)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// openTab opens an empty tab. Complaints of the browser are errors.
func openTab(t *testing.T, browser context.Context) *tab {
	t.Helper()
	ctx, leave := chromedp.NewContext(browser)
	b := &tab{t: t, ctx: ctx}
	t.Cleanup(func() {
		leave()
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, text := range b.complaints {
			t.Errorf("the browser says: %s", text)
		}
	})
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	return b
}

// hear keeps errors of scripts and violations of the policy.
func (b *tab) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		b.complaints = append(b.complaints, fmt.Sprintf("%s: %s", e.Entry.Source, e.Entry.Text))
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, fmt.Sprintf("%+v", e.ExceptionDetails))
	}
}

func (b *tab) complained() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.complaints)
}

// forgive drops the complaints so far.
func (b *tab) forgive() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.complaints = nil
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// ask returns what an expression gives in the page.
func ask[T any](b *tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// until waits for an expression to become true, also over the load of a page.
func (b *tab) until(expression string) {
	b.t.Helper()
	for range 600 {
		if yes, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](expression)); err == nil && yes {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	b.t.Fatalf("%s: does not become true; the page says:\n%s", expression, ask[string](b, "document.body.innerText"))
}

// testClicks clicks through the pages while a job goes on.
func testClicks(t *testing.T, b *tab) {
	src := running(0.25)
	address, _ := serving(t, src)
	b.do(chromedp.Navigate(address))
	b.until(`document.querySelectorAll("#workers tbody tr").length === 4`)
	b.until(`document.querySelectorAll("#lost tbody tr").length === 2`)
	b.until(`document.getElementById("live").textContent === "live"`)

	// It moves without being loaded again.
	ask[int](b, `window.kept = 1`)
	curve := ask[string](b, `document.querySelector("polyline.train").getAttribute("points")`)
	bar := ask[float64](b, `document.querySelector("progress").value`)
	speed := ask[string](b, `document.querySelector("#workers tbody tr").innerText`)
	src.set(runningView(0.5))
	b.until(fmt.Sprintf(`document.querySelector("polyline.train").getAttribute("points") !== %q`, curve))
	b.until(fmt.Sprintf(`document.querySelector("progress").value > %v`, bar))
	b.until(fmt.Sprintf(`document.querySelector("#workers tbody tr").innerText !== %q`, speed))
	b.until(`document.title.startsWith("50 %")`)
	if ask[int](b, `window.kept`) != 1 {
		t.Error("the page was loaded again")
	}

	// To the job, and back.
	b.do(chromedp.Click(chromedp.CSS("#active h2 a")))
	b.until(`location.pathname === "/jobs/mnist-cnn-3fa1c0" && document.readyState === "complete"`)
	b.until(`document.querySelector("h1").textContent === "mnist-cnn" &&
		document.querySelector("pre.spec").textContent.includes("conv2d") &&
		document.querySelector("pre.log").textContent.includes("epoch 2/10")`)
	curve = ask[string](b, `document.querySelector("polyline.val").getAttribute("points")`)
	src.set(runningView(0.75))
	b.until(fmt.Sprintf(`document.querySelector("polyline.val").getAttribute("points") !== %q`, curve))
	b.do(chromedp.Click(chromedp.CSS(".back a")))
	b.until(`location.pathname === "/" && document.querySelectorAll("#history tbody tr").length === 3`)

	if foreign := ask[int](b, `performance.getEntriesByType("resource").filter(
		(e) => !e.name.startsWith(location.origin)).length`); foreign > 0 {
		t.Errorf("the page loads %d things from elsewhere", foreign)
	}
}

// testReader checks that what a reader does survives changes: the focus, a
// selection, where a log is scrolled to.
func testReader(t *testing.T, b *tab) {
	src := running(0.25)
	src.logs["mnist-cnn-3fa1c0"] = strings.Repeat("a line\n", 200)
	address, _ := serving(t, src)
	b.do(chromedp.Navigate(address))
	b.until(`document.getElementById("live").textContent === "live"`)
	ask[bool](b, `document.querySelector("#active h2 a").focus(), true`)
	src.set(runningView(0.5))
	b.until(`document.title.startsWith("50 %")`)
	b.until(`document.activeElement.getAttribute("href") === "/jobs/mnist-cnn-3fa1c0"`)
	ask[bool](b, `getSelection().selectAllChildren(document.querySelector("#active h2")), true`)
	src.set(runningView(0.75))
	b.until(`document.title.startsWith("75 %")`)
	if got := ask[string](b, `getSelection().toString()`); strings.TrimSpace(got) != "mnist-cnn" {
		t.Errorf("the selection: got %q, want mnist-cnn", got)
	}
	if got := ask[string](b, `document.querySelector("#active strong").textContent`); got != "50 %" {
		t.Errorf("a part with a selection: got %s, want it as it was", got)
	}
	ask[bool](b, `getSelection().removeAllRanges(), true`)
	b.until(`document.querySelector("#active strong").textContent === "75 %"`)

	b.do(chromedp.Navigate(address + "/jobs/mnist-cnn-3fa1c0"))
	const atEnd = `(() => { const l = document.querySelector("pre.log");
		return l.scrollTop > 0 && l.scrollTop + l.clientHeight >= l.scrollHeight - 8; })()`
	b.until(atEnd)
	src.mu.Lock()
	src.logs["mnist-cnn-3fa1c0"] += strings.Repeat("more\n", 100)
	src.mu.Unlock()
	src.set(runningView(0.8))
	b.until(`document.querySelector("pre.log").textContent.endsWith("more\n")`)
	b.until(atEnd)
}

// testComesBack checks that a page says when its coordinator is gone, and
// goes on when that is back.
func testComesBack(t *testing.T, b *tab) {
	src := running(0.25)
	address, end := serving(t, src)
	b.do(chromedp.Navigate(address))
	b.until(`document.getElementById("live").className === "on"`)
	end()
	b.until(`document.getElementById("live").textContent.startsWith("not connected")`)
	l, err := net.Listen("tcp", strings.TrimPrefix(address, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- ServeOn(ctx, l, handler(src)) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	src.set(runningView(0.5))
	b.until(`document.getElementById("live").className === "on"`)
	b.until(`document.querySelector("#active strong").textContent === "50 %"`)
	b.forgive() // the browser says that it could not connect
}

// testWithoutScript checks that the pages work without JavaScript: they
// show all, links work, and they load themselves again.
func testWithoutScript(t *testing.T, b *tab) {
	src := running(0.25)
	address, _ := serving(t, src)
	if _, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled,
		emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.Navigate(address))
	b.until(`document.querySelectorAll("#workers tbody tr").length === 4`)
	if got := ask[string](b, `document.getElementById("live").textContent`); got != "" {
		t.Errorf("scripts run: %q", got)
	}
	src.set(runningView(0.5))
	b.until(`document.querySelector("#active strong").textContent === "50 %"`)
	b.do(chromedp.Click(chromedp.CSS("#active h2 a")))
	b.until(`location.pathname === "/jobs/mnist-cnn-3fa1c0" && document.querySelector("h1").textContent === "mnist-cnn"`)
	b.do(chromedp.Click(chromedp.CSS(".back a")))
	b.until(`location.pathname === "/"`)
}

// testWidths checks that no page is wider than its window, and that none
// of its texts runs code.
func testWidths(t *testing.T, b *tab) {
	src := hostileSource()
	address, _ := serving(t, src)
	other, _ := serving(t, running(0.6))
	bare, _ := serving(t, newFake(emptyView()))
	for _, url := range []string{address, address + "/jobs/mnist-cnn-3fa1c0", other, other + "/jobs/mnist-cnn-3fa1c0",
		other + "/jobs/digits-mlp-0b9e44", bare} {
		for _, width := range []int64{320, 390, 961, 1400} {
			b.do(chromedp.EmulateViewport(width, 844), chromedp.Navigate(url))
			b.until(`document.getElementById("live").textContent === "live"`)
			if got := ask[int64](b, `document.documentElement.scrollWidth`); got > width {
				t.Errorf("%s is %d wide in a window of %d", url, got, width)
			}
		}
	}
}

// testPolicy checks that the browser would not run what is not ours, if
// it ever came into a page.
func testPolicy(t *testing.T, b *tab) {
	address, _ := serving(t, running(0.25))
	b.do(chromedp.Navigate(address))
	ask[bool](b, `document.body.insertAdjacentHTML("beforeend",
		"<img src=/static/none onerror='window.evil = 1'><p style='color: red'>"), true`)
	for range 300 {
		if b.complained() >= 3 { // the handler, the style, and that there is no such picture
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if got := b.complained(); got < 3 {
		t.Errorf("got %d complaints of the browser, want 3", got)
	}
	if ask[bool](b, `"evil" in window`) {
		t.Error("a handler in the page runs")
	}
	b.forgive()
}

// testDark checks that the page follows the system's colours.
func testDark(t *testing.T, b *tab) {
	address, _ := serving(t, newFake(emptyView()))
	light := map[string]float64{}
	for _, scheme := range []string{"light", "dark"} {
		if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		}); err != nil {
			t.Fatal(err)
		}
		b.do(chromedp.Navigate(address))
		shot, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
		if err != nil {
			t.Fatal(err)
		}
		picture, err := png.Decode(bytes.NewReader(shot))
		if err != nil {
			t.Fatal(err)
		}
		r, g, blue, _ := picture.At(2, 2).RGBA()
		light[scheme] = float64(r+g+blue) / (3 * 0xffff)
	}
	if light["light"] < 0.8 || light["dark"] > 0.2 {
		t.Errorf("brightness of the page: got %v", light)
	}
}

var colour = regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{6});`)

// TestContrast checks the colours of both schemes: 4.5 for text, 3 for what is
// drawn.
//
// Source: W3C, Web Content Accessibility Guidelines 2.2, 1.4.3 and 1.4.11.
func TestContrast(t *testing.T) {
	style, err := embedded.ReadFile("assets/style.css")
	if err != nil {
		t.Fatal(err)
	}
	schemes := strings.SplitN(string(style), "@media (prefers-color-scheme: dark)", 2)
	for i, text := range schemes {
		colours := map[string]float64{}
		for _, m := range colour.FindAllStringSubmatch(text, -1) {
			colours[m[1]] = luminance(t, m[2])
		}
		for least, names := range map[float64]string{
			4.5: "text faint link good bad busy hold",
			3:   "train val compute wait comm",
		} {
			for _, name := range strings.Fields(names) {
				for _, ground := range []string{"page", "card", "soft"} {
					a, b := colours[name], colours[ground]
					ratio := (math.Max(a, b) + 0.05) / (math.Min(a, b) + 0.05)
					if !(ratio >= least) {
						t.Errorf("scheme %d: %s on %s: contrast %.2f, want %v", i, name, ground, ratio, least)
					}
				}
			}
		}
	}
}

// luminance of an sRGB colour, 0 to 1.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		v := float64(n) / 255
		if v <= 0.04045 {
			sum += weight * v / 12.92
		} else {
			sum += weight * math.Pow((v+0.055)/1.055, 2.4)
		}
	}
	return sum
}
