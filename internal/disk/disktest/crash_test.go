package disktest

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gespann/gespann/internal/disk"
	"github.com/gespann/gespann/internal/outfile"
)

// write writes a file step by step, as text has it.
func write(t *testing.T, path string, steps ...string) {
	t.Helper()
	f, err := disk.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range steps {
		err := error(nil)
		if step == "sync" {
			err = f.Sync()
		} else {
			_, err = f.Write([]byte(step))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// seen returns what may be left of a folder: the names with contents, sorted.
func seen(t *testing.T, r *Recorder) []string {
	t.Helper()
	var all []string
	for _, c := range r.Crashes(1) {
		folder := filepath.Join(t.TempDir(), "after")
		c.Make(t, folder)
		var text []string
		entries, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			b, err := os.ReadFile(filepath.Join(folder, e.Name()))
			if err != nil {
				b = []byte("folder")
			}
			text = append(text, e.Name()+"="+strings.ReplaceAll(string(b), "\x00", "0"))
		}
		all = append(all, strings.Join(text, " "))
	}
	slices.Sort(all)
	return all
}

// TestCrashes compares what is left behind with what file systems promise.
func TestCrashes(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(t *testing.T, folder string)
		want []string
	}{
		"a file that is not synced": {func(t *testing.T, folder string) { write(t, folder+"/a", "text") },
			[]string{"", "a=", "a=0000", "a=te", "a=text"}},
		"a name that is not synced": {func(t *testing.T, folder string) { write(t, folder+"/a", "text", "sync") },
			[]string{"", "a=", "a=0000", "a=te", "a=text"}},
		"a rename before the sync": {func(t *testing.T, folder string) {
			write(t, folder+"/t", "text")
			disk.Rename(folder+"/t", folder+"/a")
			disk.SyncFolder(folder)
		}, []string{"", "a=", "a=0000", "a=te", "a=text", "t=", "t=0000", "t=te", "t=text"}},
		"a folder that is removed": {func(t *testing.T, folder string) {
			disk.Mkdir(folder+"/d", 0o777)
			disk.SyncFolder(folder)
			disk.RemoveAll(folder + "/d")
		}, []string{"", "d=folder"}},
		"an end that is cut off": {func(t *testing.T, folder string) {
			write(t, folder+"/a", "text", "sync")
			disk.SyncFolder(folder)
			f, err := disk.OpenFile(folder+"/a", os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			f.Truncate(2)
			f.Write([]byte("st"))
			f.Sync()
		}, []string{"", "a=", "a=0000", "a=te", "a=te", "a=te0", "a=te00", "a=tes", "a=test", "a=text"}},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			r, stop := Record(t, folder)
			c.do(t, folder)
			stop()
			got := slices.Compact(seen(t, r))
			want := slices.Compact(slices.Clone(c.want))
			for _, s := range got {
				if !slices.Contains(want, s) {
					t.Errorf("%q is left, which cannot be; want one of %q", s, want)
				}
			}
			for _, s := range want {
				if !slices.Contains(got, s) && !strings.HasPrefix(s, "a=te0") && s != "a=tes" {
					t.Errorf("%q is not among what is left: %q", s, got)
				}
			}
		})
	}
}

// TestOutfile loses power while a file is replaced: what is there is the old contents or
// the new, and the new from when Write has returned.
func TestOutfile(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "a")
	r, stop := Record(t, folder)
	texts := []string{"first", "a second and longer text", "3"}
	for _, text := range texts {
		if err := outfile.Bytes(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		r.Mark(text)
	}
	stop()
	crashes := r.Crashes(1)
	if len(crashes) < 10 {
		t.Errorf("only %d states", len(crashes))
	}
	for _, c := range crashes {
		after := filepath.Join(t.TempDir(), "after")
		c.Make(t, after)
		text, err := os.ReadFile(filepath.Join(after, "a"))
		got := slices.Index(texts, string(text))
		if n := len(c.Confirmed); err == nil && got < n-1 || err != nil && n > 0 {
			t.Errorf("%v: got %q, %v, with %q confirmed", c, text, err, c.Confirmed)
		}
	}
}

// TestOutfileFails has each operation fail in turn: the contents are the old ones or the
// new, the error is told, and nothing hinders the next try.
func TestOutfileFails(t *testing.T) {
	for _, errno := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.EROFS} {
		for n := 0; ; n++ {
			folder := t.TempDir()
			path := filepath.Join(folder, "a")
			if err := outfile.Bytes(path, []byte("old")); err != nil {
				t.Fatal(err)
			}
			fault := &Fault{Root: folder, At: n, Err: errno}
			stop := disk.Watch(fault)
			err := outfile.Write(path, func(w io.Writer) error {
				_, err := io.WriteString(w, "new text")
				return err
			})
			stop()
			op, hit := fault.Hit()
			if !hit {
				if n < 6 {
					t.Errorf("only %d operations", n)
				}
				break
			}
			text, _ := os.ReadFile(path)
			told := err != nil && strings.HasSuffix(err.Error(), errno.Error())
			if s := string(text); s != "new text" && (s != "old" || !told) {
				t.Errorf("%v at %s: %q is there, and the error is %v", errno, op.Kind, s, err)
			}
			if !told && op.Kind != disk.KindRemove && (errno != syscall.EROFS || op.Kind != disk.KindOpen) {
				t.Errorf("%v at %s: got %v, want it told", errno, op.Kind, err)
			}
			if err := outfile.Bytes(path, []byte("again")); err != nil {
				t.Errorf("%v at %s: the next try: %v", errno, op.Kind, err)
			}
		}
	}
}
