package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gespann/gespann/model/spec"
)

// content is what the test server has; several chunks long.
var content = strings.Repeat("0123456789abcdef", 20000)

// newFetch is a fetch of content from a server with the given handler.
func newFetch(t *testing.T, handler http.HandlerFunc) *fetch {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	sum := sha256.Sum256([]byte(content))
	return &fetch{
		url: server.URL + "/f.gz", path: filepath.Join(t.TempDir(), "f.gz"),
		sum: hex.EncodeToString(sum[:]), pause: time.Millisecond, log: func(string, ...any) {},
	}
}

// wantFile checks that the file is there, and no part of it.
func (f *fetch) wantFile(t *testing.T) {
	t.Helper()
	if got, err := os.ReadFile(f.path); err != nil || string(got) != content {
		t.Errorf("file has %d bytes, error %v, want the %d served", len(got), err, len(content))
	}
	if _, err := os.Stat(f.part()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the part is still there: %v", err)
	}
}

// serve serves content, with ranges.
func serve(w http.ResponseWriter, r *http.Request) {
	http.ServeContent(w, r, "f.gz", time.Time{}, strings.NewReader(content))
}

// cutAfter serves content, but breaks the connection after so many bytes.
func cutAfter(bytes int, ranges bool, requests *[]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		*requests = append(*requests, r.Header.Get("Range"))
		first := 0
		if ranges {
			fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &first)
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(content)-first))
		if first > 0 {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, len(content)-1, len(content)))
			w.WriteHeader(http.StatusPartialContent)
		}
		rest := content[first:]
		if len(rest) <= bytes {
			w.Write([]byte(rest))
			return
		}
		w.Write([]byte(rest[:bytes]))
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

func TestFetch(t *testing.T) {
	f := newFetch(t, serve)
	if err := f.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.wantFile(t)
	f.url = "http://127.0.0.1:1/" // not asked again
	if err := f.run(t.Context()); err != nil {
		t.Errorf("second time: %v", err)
	}
}

// TestFetchTogether gets one file with two processes' worth of descriptors.
func TestFetchTogether(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no lock")
	}
	asked := make(chan struct{}, 9)
	waiting := make(chan struct{}, 9)
	f := newFetch(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-waiting // until the second one waits for the first
		serve(w, r)
	})
	second := *f
	second.client = http.Client{}
	second.log = func(string, ...any) { waiting <- struct{}{} }
	results := make(chan error, 2)
	go func() { results <- f.run(t.Context()) }()
	<-asked
	go func() { results <- second.run(t.Context()) }()
	for range 2 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	f.wantFile(t)
	if len(asked) > 0 {
		t.Error("the file was asked for twice")
	}
}

func TestFetchResumes(t *testing.T) {
	var requests []string
	f := newFetch(t, cutAfter(100000, true, &requests))
	if err := f.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.wantFile(t)
	if got, want := strings.Join(requests, " "), " bytes=100000- bytes=200000- bytes=300000-"; got != want {
		t.Errorf("ranges %q, want %q", got, want)
	}
}

func TestFetchResumesAfterRestart(t *testing.T) {
	f := newFetch(t, serve)
	if err := os.WriteFile(f.part(), []byte(content[:12345]), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := f.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.wantFile(t)
}

func TestFetchCompletePart(t *testing.T) {
	f := newFetch(t, serve)
	if err := os.WriteFile(f.part(), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := f.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.wantFile(t)
}

func TestFetchPartTooLong(t *testing.T) {
	f := newFetch(t, serve)
	if err := os.WriteFile(f.part(), []byte(content+"more"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := f.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.wantFile(t)
}

func TestFetchWithoutRanges(t *testing.T) {
	f := newFetch(t, func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(content)) })
	if err := os.WriteFile(f.part(), []byte("0123 of something else"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := f.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.wantFile(t)
}

func TestFetchGivesUp(t *testing.T) {
	var requests []string
	f := newFetch(t, cutAfter(70000, false, &requests))
	err := f.run(t.Context())
	wantError(t, err, "-", f.url+": unexpected EOF; gave up after 5 attempts")
	if f.have() != 70000 {
		t.Errorf("part has %d bytes, want 70000", f.have())
	}
}

func TestFetchServerErrors(t *testing.T) {
	requests := 0
	f := newFetch(t, func(w http.ResponseWriter, r *http.Request) {
		if requests++; requests < 3 {
			http.Error(w, "later", http.StatusServiceUnavailable)
			return
		}
		serve(w, r)
	})
	if err := f.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.wantFile(t)

	f = newFetch(t, http.NotFound)
	wantError(t, f.run(t.Context()), "-", f.url+": server says 404 Not Found")
}

func TestFetchWrongSum(t *testing.T) {
	f := newFetch(t, serve)
	sum := f.sum
	f.sum = strings.Repeat("0", 64)
	wantError(t, f.run(t.Context()), "-", fmt.Sprintf("%s: SHA-256 is %s, want %s; removed it", f.url, sum, f.sum))
	for _, path := range []string{f.path, f.part()} {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is there: %v", path, err)
		}
	}
}

func TestFetchCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := newFetch(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		w.Write([]byte(content[:70000]))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	f.log = func(string, ...any) { time.AfterFunc(50*time.Millisecond, cancel) }
	if err := f.run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	if _, err := os.Stat(f.part()); err != nil {
		t.Errorf("the part was not kept: %v", err)
	}
}

// TestFetchDiskFull writes to a device that is always full.
func TestFetchDiskFull(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /dev/full")
	}
	f := newFetch(t, serve)
	if err := os.Symlink("/dev/full", f.part()); err != nil {
		t.Fatal(err)
	}
	wantError(t, f.run(t.Context()), filepath.Dir(f.path), f.url+": write f.gz.part: no space left on device")
	if _, err := os.Lstat(f.part()); err != nil {
		t.Errorf("the part was not kept: %v", err)
	}
}

func TestFetchTooLarge(t *testing.T) {
	block := make([]byte, 1<<20)
	f := newFetch(t, func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	wantError(t, f.run(t.Context()), "-", f.url+": more than 67108864 bytes, the file has fewer")
}

// TestDownload gets the four files of a mirror, once.
func TestDownload(t *testing.T) {
	requests := 0
	files := map[string]string{}
	m := mirror{}
	for i, name := range idxFiles {
		files["/"+name+".gz"] = name
		m.sums[i] = fmt.Sprintf("%x", sha256.Sum256([]byte(name)))
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		w.Write([]byte(files[r.URL.Path]))
	}))
	defer server.Close()
	dir := filepath.Join(t.TempDir(), "new", "mnist")
	opt := Options{BaseURL: server.URL, Log: func(string, ...any) {}}
	for range 2 {
		if err := download(t.Context(), m, dir, opt); err != nil {
			t.Fatal(err)
		}
	}
	if requests != 4 {
		t.Errorf("%d requests, want 4", requests)
	}
	if got, err := os.ReadFile(filepath.Join(dir, idxFiles[3]+".gz")); err != nil || string(got) != idxFiles[3] {
		t.Errorf("got %q, %v, want %q", got, err, idxFiles[3])
	}
}

// TestLoadDownloads goes through Load, from a server with another file.
func TestLoadDownloads(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(serve))
	defer server.Close()
	cache := t.TempDir()
	var log strings.Builder
	_, err := Load(t.Context(), spec.Data{Source: "mnist"}, Options{
		CacheDir: cache, BaseURL: server.URL,
		Log: func(format string, args ...any) { fmt.Fprintf(&log, format+"\n", args...) },
	})
	sum := sha256.Sum256([]byte(content))
	wantError(t, err, "-", fmt.Sprintf("%s/train-images-idx3-ubyte.gz: SHA-256 is %x, want %s; removed it"+
		"\nhint: put the files into a folder and name it in data.dir", server.URL, sum, mirrors["mnist"].sums[0]))
	if want := server.URL + "/train-images-idx3-ubyte.gz: 0.0 of 0.3 MB\n"; log.String() != want {
		t.Errorf("log %q, want %q", log.String(), want)
	}
}

// TestOffline checks that nothing is downloaded where that is not wanted.
func TestOffline(t *testing.T) {
	asked := false
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer server.Close()
	_, err := Load(t.Context(), spec.Data{Source: "mnist"},
		Options{CacheDir: t.TempDir(), BaseURL: server.URL, Offline: true})
	if !errors.Is(err, fs.ErrNotExist) || asked {
		t.Errorf("got %v (asked: %v), want that the file is not there", err, asked)
	}
}
