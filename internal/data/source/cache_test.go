package source

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gespann/gespann/internal/disk"
	"github.com/gespann/gespann/internal/disk/disktest"
)

// TestCacheFails has each operation of a download fail in turn, as full and broken disks
// do: the message names the folder and how to have another, no file is there that is not
// whole, and the next try goes on where this one stopped.
func TestCacheFails(t *testing.T) {
	var ranges []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ranges = append(ranges, r.Header.Get("Range"))
		serve(w, r)
	}))
	defer server.Close()
	m := mirror{}
	for i := range idxFiles {
		m.sums[i] = fmt.Sprintf("%x", sha256.Sum256([]byte(content)))
	}
	opt := Options{BaseURL: server.URL, Log: func(string, ...any) {}}
	resumed := false
	for i, errno := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO} {
		for n := i; ; n += 1 + 3*i {
			root := disktest.Folder(t)
			dir := filepath.Join(root, "gespann", "mnist")
			fault := &disktest.Fault{Root: root, At: n, Err: errno}
			stop := disk.Watch(fault)
			err := download(t.Context(), m, dir, opt)
			stop()
			op, hit := fault.Hit()
			if !hit {
				if n < 20 {
					t.Errorf("only %d operations", n)
				}
				break
			}
			what := fmt.Sprintf("%v at operation %d, %s %s", errno, n, op.Kind, filepath.Base(op.Path))
			if !errors.Is(err, errno) || !strings.Contains(err.Error(), "name it in data.dir") {
				t.Errorf("%s: got %v", what, err)
			}
			if want := "the cache of downloads " + dir; errno != syscall.EIO &&
				(!strings.HasPrefix(fmt.Sprint(err), want) || !strings.Contains(err.Error(), "XDG_CACHE_HOME")) {
				t.Errorf("%s: got %v, want %s and XDG_CACHE_HOME", what, err, want)
			}
			whole, _ := filepath.Glob(filepath.Join(dir, "*.gz"))
			for _, path := range whole {
				if text, err := os.ReadFile(path); err != nil || string(text) != content {
					t.Errorf("%s: %s has %d bytes, %v", what, path, len(text), err)
				}
			}
			ranges = nil
			if err := download(t.Context(), m, dir, opt); err != nil {
				t.Errorf("%s: the next try: %v", what, err)
			}
			resumed = resumed || slices.ContainsFunc(ranges, func(r string) bool { return r != "" })
		}
	}
	if !resumed {
		t.Error("no download went on where it had stopped")
	}
}

// TestCachePowerLoss loses power during a download: the next one has the files.
func TestCachePowerLoss(t *testing.T) {
	root := filepath.Join(disktest.Folder(t), "root")
	if err := os.Mkdir(root, 0o777); err != nil {
		t.Fatal(err)
	}
	f := newFetch(t, serve)
	f.path = filepath.Join(root, "f.gz")
	r, stop := disktest.Record(t, root)
	if err := f.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop()
	for i, c := range r.Crashes(1) {
		after := filepath.Join(disktest.Folder(t), fmt.Sprint(i))
		c.Make(t, after)
		f.path = filepath.Join(after, "f.gz")
		err := f.run(t.Context())
		if err != nil && strings.Contains(err.Error(), "; removed it") { // its contents were lost
			err = f.run(t.Context())
		}
		if err != nil {
			t.Errorf("%v: %v", c, err)
		}
		f.wantFile(t)
	}
}
