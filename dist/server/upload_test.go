package server

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gespann/gespann/dist/server/client"
	"github.com/gespann/gespann/dist/wire"
)

// litter returns what is left of data that no job has.
func litter(t testing.TB, state string) []string {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(state, "jobs", ".tmp-*"))
	if err != nil {
		t.Fatal(err)
	}
	return left
}

// fileOf makes a file that is to have a path at the coordinator.
func fileOf(t testing.TB, path string, content []byte) client.File {
	t.Helper()
	from := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(from, content, 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := client.NewFile(from, path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// pattern returns bytes that differ by where they are.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * (1 + i>>16))
	}
	return b
}

// TestUpload sends data along with two jobs at a time, of more than a window, and of
// none at all, and checks where it is: at the check, at the run, not among what is
// fetched, and nowhere once the job is removed.
func TestUpload(t *testing.T) {
	contents := map[string][]byte{"a.csv": []byte("1,2\n"), "mnist/images": pattern(wire.UploadWindow + wire.MaxPiece + 7), "empty": {}}
	same := func(dir string) error {
		for path, want := range contents {
			if got, err := os.ReadFile(filepath.Join(dir, path)); err != nil || !bytes.Equal(got, want) {
				return errors.Join(err, errors.New(path+" is not what was sent"))
			}
		}
		return nil
	}
	var mu sync.Mutex
	checked, ran := 0, 0
	state := t.TempDir()
	s := start(t, Options{
		State: state,
		Check: func(_ context.Context, q Request) (Plan, error) {
			mu.Lock()
			defer mu.Unlock()
			checked++
			if !filepath.IsAbs(q.DataDir) {
				t.Errorf("check: got %q, want an absolute path", q.DataDir)
			}
			return Plan{}, same(q.DataDir)
		},
		RunJob: func(_ context.Context, j Submission) error {
			mu.Lock()
			defer mu.Unlock()
			ran++
			if want := filepath.Join(state, "jobs", j.ID, "data"); j.DataDir != want {
				t.Errorf("run: got %q, want %q", j.DataDir, want)
			}
			return errors.Join(same(j.DataDir), os.WriteFile(filepath.Join(j.Dir, "model"), nil, 0o666))
		},
	})
	var files []client.File
	for path, content := range contents {
		files = append(files, fileOf(t, path, content))
	}
	var all sync.WaitGroup
	for range 2 {
		c := visitor(t, s)
		all.Go(func() {
			sent := int64(0)
			if _, err := c.SubmitWith("job", nil, nil, files, func(n int64) { sent = n }); err != nil {
				t.Error(err)
			}
			if want := int64(len(contents["mnist/images"]) + 4); sent != want {
				t.Errorf("told that %d bytes were sent, want %d", sent, want)
			}
		})
	}
	all.Wait()
	c := visitor(t, s)
	list, err := c.List()
	if err != nil || len(list) != 2 {
		t.Fatalf("got %v, %v, want 2 jobs", list, err)
	}
	for _, j := range list {
		eventually(t, "the job is done", func() bool { return stateOf(s, j.ID) == wire.JobDone })
	}
	if end, err := c.Fetch(list[0].ID, t.TempDir(), nil); err != nil || end.Files != 1 {
		t.Errorf("fetch: got %+v, %v, want the model alone", end, err)
	}
	if checked != 2 || ran != 2 {
		t.Errorf("%d were checked and %d ran, want 2 of each", checked, ran)
	}
	if _, err := c.Prune(0); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(filepath.Join(state, "jobs")); err != nil || len(left) > 0 {
		t.Errorf("after prune: got %v, %v, want nothing", left, err)
	}
}

// TestUploadRefused checks that what cannot be a job leaves nothing behind, and the
// connection as it was.
func TestUploadRefused(t *testing.T) {
	state := t.TempDir()
	s := start(t, Options{
		State: state, MaxUpload: 1 << 20,
		RunJob: func(context.Context, Submission) error { return nil },
		Check: func(_ context.Context, q Request) (Plan, error) {
			if string(q.Spec) == "bad" {
				return Plan{}, errors.New("the spec is bad")
			}
			return Plan{}, nil
		},
	})
	changed := fileOf(t, "x", []byte("abcd"))
	if err := os.WriteFile(changed.From, []byte("abce"), 0o666); err != nil {
		t.Fatal(err)
	}
	shorter := fileOf(t, "x", []byte("abcd"))
	if err := os.WriteFile(shorter.From, []byte("ab"), 0o666); err != nil {
		t.Fatal(err)
	}
	huge := fileOf(t, "x", nil)
	huge.Size = 1 << 62
	for name, c := range map[string]struct {
		file client.File
		spec string
		want string
	}{
		"too large":   {fileOf(t, "x", make([]byte, 1<<20+1)), "", "data: has 1048577 bytes, and this coordinator takes 1048576"},
		"far larger":  {huge, "", "and this coordinator takes 1048576"},
		"other bytes": {changed, "", "data: x: changed while it was sent: got SHA-256 "},
		"fewer bytes": {shorter, "", "changed while it was sent"},
		"bad spec":    {fileOf(t, "x", []byte("1")), "bad", "the spec is bad"},
	} {
		_, err := visitor(t, s).SubmitWith("job", []byte(c.spec), nil, []client.File{c.file}, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q in it", name, err, c.want)
		}
	}
	// Which of them the client itself has given up is known when its connection has ended.
	if got := s.View().Jobs; len(got) > 0 {
		t.Errorf("got jobs %v, want none", got)
	}
	if _, err := visitor(t, s).SubmitWith("job", nil, nil, []client.File{fileOf(t, "x", []byte("1"))}, nil); err != nil {
		t.Errorf("after those: %v", err)
	}
}

// TestUploadNames checks that paths which lead elsewhere, or cannot be beside each
// other, are taken by neither side.
func TestUploadNames(t *testing.T) {
	state := t.TempDir()
	s := start(t, Options{State: state, RunJob: func(context.Context, Submission) error { return nil }})
	sum := strings.Repeat("0", 64)
	for _, paths := range [][]string{
		{"../x"}, {"/etc/passwd"}, {"a/../../x"}, {"a\x1bb"}, {"a\nb"}, {""}, {"."}, {"a//b"}, {`a\b`}, {"c:x"}, {".tmp-x"},
		{"a/.hidden"}, {"\xff"}, {strings.Repeat("x", wire.MaxName+1)}, {"x", "x"}, {"x", "x/y"}, {"x/y", "x"},
	} {
		m := &wire.Submit{Name: "job"}
		for _, p := range paths {
			m.Files = append(m.Files, wire.Upload{Path: p, Size: 1, SHA256: sum})
		}
		if err := wire.Validate(m); err == nil {
			t.Errorf("%q: got nil, want an error", paths)
		}
		conn := dial(t, "client", s.Client)
		p := party{t, conn}
		p.say(&wire.Visit{Protocol: wire.Protocol})
		if _, err := conn.Recv(); err != nil {
			t.Fatal(err)
		}
		p.say(m)
		for {
			f, err := conn.Recv()
			if err != nil {
				break
			}
			if f.Kind() == "ready" || f.Kind() == "submitted" {
				t.Errorf("%q: got %s, want the end", paths, f.Kind())
				break
			}
		}
		conn.Close()
	}
	if got := litter(t, state); len(got) > 0 {
		t.Errorf("got %v, want nothing", got)
	}
}

// TestUploadBroken ends uploads in the middle: the client goes, says something else,
// or the coordinator ends. Nothing is left of the bytes.
func TestUploadBroken(t *testing.T) {
	state := t.TempDir()
	o := Options{State: state, RunJob: func(context.Context, Submission) error { return nil }}
	s := start(t, o)
	begin := func() (party, func() error) {
		conn := dial(t, "client", s.Client)
		p := party{t, conn}
		p.say(&wire.Visit{Protocol: wire.Protocol})
		p.say(&wire.Submit{Name: "job", Files: []wire.Upload{{Path: "x", Size: 100, SHA256: strings.Repeat("0", 64)}}})
		for range 2 { // visited, ready
			if _, err := conn.Recv(); err != nil {
				t.Fatal(err)
			}
		}
		if err := conn.Send(wire.Frame{Message: &wire.File{Path: "x", Size: 100}, Bytes: make([]byte, 10)}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "bytes are there", func() bool { return len(litter(t, state)) == 1 })
		return p, conn.Close
	}
	gone := func(what string) {
		t.Helper()
		eventually(t, what, func() bool { return len(litter(t, state)) == 0 })
		eventually(t, what+", and what it announced", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.uploading == 0
		})
	}
	_, leave := begin()
	leave()
	gone("a client that left is forgotten")
	for name, m := range map[string]wire.Frame{
		"a gap":        {Message: &wire.File{Path: "x", Size: 100, Offset: 50}, Bytes: make([]byte, 10)},
		"another file": {Message: &wire.File{Path: "y", Size: 100, Offset: 10}, Bytes: make([]byte, 10)},
		"no bytes":     {Message: &wire.File{Path: "x", Size: 100, Offset: 10}},
		"too many":     {Message: &wire.File{Path: "x", Size: 100, Offset: 10}, Bytes: make([]byte, 91)},
		"a question":   {Message: &wire.List{}},
	} {
		p, leave := begin()
		if err := p.conn.Send(m); err != nil {
			t.Fatal(err)
		}
		gone(name)
		leave()
	}
	begin()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if got := litter(t, state); len(got) > 0 {
		t.Errorf("after the coordinator's end: got %v, want nothing", got)
	}
	// As after a kill -9.
	left := filepath.Join(state, "jobs", ".tmp-data-1")
	if err := os.MkdirAll(left, 0o777); err != nil {
		t.Fatal(err)
	}
	start(t, o)
	if got := litter(t, state); len(got) > 0 {
		t.Errorf("a coordinator that starts: got %v, want nothing", got)
	}
}
