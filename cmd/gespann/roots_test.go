//go:build unix

package main

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// openPort returns a loopback address that nobody listens at. A coordinator there that was
// told --insecure knows nobody, so that jobs are those of other accounts.
func openPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// coordinatorAt starts a coordinator, and waits until it answers.
func coordinatorAt(t *testing.T, dir, at string, flags ...string) (pid int) {
	t.Helper()
	pid = startProgram(t, dir, append([]string{"coordinator", "--listen", at, "--state", filepath.Join(dir, "state"), "--dashboard", "none"}, flags...)...)
	waitFor(t, "the coordinator", func() bool {
		ask := []string{"jobs", "--coordinator", at}
		if slices.Contains(flags, "--insecure") {
			ask = append(ask, "--insecure")
		}
		code, _, _ := gespann(t, "", ask...)
		return code == exitOK
	})
	return pid
}

const rootsModel = "\nmodel: [dense: 3]\nloss: sparse_categorical_crossentropy\ntrain: {epochs: 1}\n"

// rows3 is a table of three classes.
var rows3 = "a,b\n" + strings.Repeat("1,0\n2,1\n3,2\n", 8)

// TestJobRoots submits jobs of another account, with all ways to name files that are none
// of its business.
func TestJobRoots(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a process")
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache"))
	root := filepath.Join(dir, "root")
	for _, folder := range []string{"root/sub", "root/idx", "away/idx", "state"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"root/t.csv": rows3, "root/sub/t.csv": rows3, "token": "TOKEN:SECRET\n", "away/t.csv": rows3,
		"root/secret.csv": "a,b\n1,0\nSECRET,1\n2,0\n", "root/names.csv": "SECRET,PRIVATE\n1,0\n2,1\n",
		"root/words.csv": "SECRET\nPRIVATE SECRET\n", "root/bad.npy": "SECRET PRIVATE\n", "root/latin.csv": "a,b\nSECR\xc9T,1\n",
		"root/idx/train-images-idx3-ubyte": "SECRET PRIVATE", "root/idx/train-labels-idx1-ubyte": "SECRET PRIVATE",
		"away/idx/train-images-idx3-ubyte": "SECRET PRIVATE", "away/idx/train-labels-idx1-ubyte": "SECRET PRIVATE",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for path, to := range map[string]string{
		"root/out.csv": "../token", "root/gone.csv": "../nothing", "root/absolute.csv": filepath.Join(dir, "token"),
		"root/in.csv": "sub/t.csv", "way": root, "root/folder": "../away/idx",
	} {
		if err := os.Symlink(to, filepath.Join(dir, path)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(root, "pipe.csv"), 0o666); err != nil {
		t.Fatal(err)
	}
	at := openPort(t)
	coordinatorAt(t, dir, at, "--insecure", "--data-root", root, "--data-root", filepath.Join(dir, "way"))
	mine := filepath.Join(t.TempDir(), "mine.yaml")
	submit := func(data string, flags ...string) (int, string, string) {
		t.Helper()
		if err := os.WriteFile(mine, []byte("data:\n  "+data+rootsModel), 0o666); err != nil {
			t.Fatal(err)
		}
		return gespann(t, "", append([]string{"submit", mine, "--coordinator", at, "--insecure"}, flags...)...)
	}
	csv := func(path string) string { return "source: csv\n  csv: {path: " + path + "}" }
	const no = "may not be read: is not below "
	away := filepath.Join(dir, "token")
	for name, c := range map[string]struct{ data, want string }{
		"a token":          {"source: csv\n  csv: {path: " + away + `, delimiter: ":", header: false, categorical: ["0"]}`, "3:15: data.csv.path: " + away + ": " + no},
		"nothing there":    {csv(dir + "/nothing"), "3:15: data.csv.path: " + dir + "/nothing: " + no},
		"up":               {csv("../token"), "data.csv.path: " + root + "/../token: " + no},
		"up, by a folder":  {csv("sub/../../token"), no},
		"up, absolute":     {csv(root + "/../token"), no},
		"a link out":       {csv("out.csv"), "data.csv.path: " + root + "/out.csv: " + no},
		"a link to none":   {csv("gone.csv"), "data.csv.path: " + root + "/gone.csv: " + no},
		"an absolute link": {csv("absolute.csv"), no},
		"another root":     {"root: " + dir + "/away\n  " + csv("t.csv"), "data.csv.path: " + dir + "/away/t.csv: " + no},
		"root, up":         {"root: ..\n  " + csv("away/t.csv"), no},
		"test file":        {"source: csv\n  csv: {path: t.csv, test_path: ../away/t.csv}", "data.csv.test_path: " + root + "/../away/t.csv: " + no},
		"npy":              {"source: npy\n  npy: {x: " + away + ", y: t.npy}", "data.npy.x: " + away},
		"npy, y":           {"source: npy\n  npy: {x: bad.npy, y: ../token}", "data.npy.y: " + root + "/../token: " + no},
		"npz":              {"source: npy\n  npy: {x: '../a.npz:x', y: bad.npy}", "data.npy.x: " + root + "/../a.npz: " + no},
		"idx":              {"source: idx\n  dir: " + dir + "/away/idx", "data.dir: " + dir + "/away/idx: " + no},
		"mnist":            {"source: mnist\n  dir: ../away/idx", "data.dir: " + root + "/../away/idx: " + no},
		"idx, a link":      {"source: idx\n  dir: folder", "data.dir: " + root + "/folder: " + no},
		"a pipe":           {csv("pipe.csv"), "pipe.csv: is a pipe, want a regular file"},
		"proc":             {csv("/proc/self/environ"), no},
		"text":             {csv("secret.csv"), "secret.csv:3: column number 1: (6 letters): not a number\nhint: correct (6 letters), or leave the column out"},
		"names":            {"source: csv\n  csv: {path: names.csv, label: x}", "data.csv.label: no column \"x\", got 2 columns"},
		"too many":         {"source: csv\n  csv: {path: t.csv, test_path: words.csv}", "words.csv: "},
		"one column":       {csv("words.csv"), "no feature columns"},
		"no array":         {"source: npy\n  npy: {x: bad.npy, y: bad.npy}", "bad.npy: not an NPY file: starts with (17 letters), want"},
		"no images":        {"source: idx\n  dir: idx", "idx/train-images-idx3-ubyte: not an IDX file: starts with (8 letters), want"},
		"other letters":    {csv("latin.csv"), "latin.csv:2: byte (4 letters) is not UTF-8; in Windows-1252 it would be in (6 letters)"},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			code, out, words := submit(c.data)
			if code != exitRun || out != "" {
				t.Fatalf("exit code %d, want %d\n%s%s", code, exitRun, out, words)
			}
			contains(t, "submit", words, c.want)
			if strings.Contains(c.want, no) {
				contains(t, "submit", words, "mine.yaml:", "\nhint: a coordinator reads files for other accounts below its data roots only (gespann coordinator --data-root")
			}
			for _, secret := range []string{"SECR", "PRIV", "TOKEN", "no such file", "53 45 43"} {
				if strings.Contains(words, secret) {
					t.Errorf("it says what is in the file, or whether there is one: %q\n%s", secret, words)
				}
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
	for name, data := range map[string]string{
		"relative": csv("t.csv"), "absolute": csv(root + "/sub/t.csv"), "a link": csv("in.csv"), "by a link": csv(dir + "/way/t.csv"),
		"up and down": csv("sub/../sub/t.csv"), "root": "root: sub\n  " + csv("t.csv"),
		"root, up": "root: sub\n  " + csv("../t.csv"),
	} {
		if code, _, words := submit(data, "--workers", "9"); code != exitOK {
			t.Errorf("%s: exit code %d\n%s", name, code, words)
		}
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "state", "jobs", "*")); len(files) != 7 {
		t.Errorf("got jobs %q, want 7", files)
	}
}

// TestSpecWrites submits a job whose spec has every path that there is, and checks that its
// run writes nowhere but below the coordinator's folder.
func TestSpecWrites(t *testing.T) {
	if testing.Short() {
		t.Skip("trains")
	}
	dir := t.TempDir()
	for _, folder := range []string{"home", "away"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "home", "cache"))
	at := openPort(t)
	home := filepath.Join(dir, "home")
	coordinatorAt(t, home, at, "--insecure")
	startProgram(t, home, "worker", "--coordinator", at, "--insecure", "--backend", "cpu", "--threads", "1")
	mine := filepath.Join(t.TempDir(), "mine.yaml")
	away := filepath.Join(dir, "away")
	for _, name := range []string{"../../../../away/x", "x"} {
		text := "data: {source: digits}\nmodel: [flatten, dense: 10]\nloss: sparse_categorical_crossentropy\n" +
			"train: {epochs: 1, dir: " + away + ", name: " + name + "}\ncluster: {certs: " + away + "/certs, coordinator: 'unix:" + away + "/s'}\n"
		if err := os.WriteFile(mine, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		code, out, words := gespann(t, "", "submit", mine, "--coordinator", at, "--insecure", "--workers", "1")
		if code != exitOK {
			if !strings.Contains(words, "train.name") {
				t.Fatalf("exit code %d\n%s", code, words)
			}
			continue // the name is refused
		}
		contains(t, "logs", must(t, "logs", "-f", strings.TrimSpace(out), "--coordinator", at, "--insecure"), "has ended: its driver is done")
	}
	if all, err := os.ReadDir(away); err != nil || len(all) > 0 {
		t.Errorf("got %v, %v in the folder that the spec names, want nothing", all, err)
	}
}

// TestQueuedStaysConfined restarts a coordinator with other data roots: a job in its queue
// may read in those only.
func TestQueuedStaysConfined(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := t.TempDir()
	for _, folder := range []string{"one", "two"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, folder, "t.csv"), []byte(rows3), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	at := openPort(t)
	pid := coordinatorAt(t, dir, at, "--insecure", "--data-root", "one", "--data-root", "two")
	mine := filepath.Join(dir, "mine.yaml")
	var ids []string
	for _, path := range []string{"t.csv", filepath.Join(dir, "two", "t.csv")} {
		if err := os.WriteFile(mine, []byte("data:\n  source: csv\n  csv: {path: "+path+"}"+rootsModel), 0o666); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, strings.TrimSpace(must(t, "submit", mine, "--coordinator", at, "--insecure", "--workers", "1")))
	}
	syscall.Kill(pid, syscall.SIGTERM)
	gone(t, []int{pid})
	coordinatorAt(t, dir, at, "--insecure", "--data-root", "two")
	startProgram(t, dir, "worker", "--coordinator", at, "--insecure", "--backend", "cpu", "--threads", "1")
	contains(t, "logs", must(t, "logs", "-f", ids[0], "--coordinator", at, "--insecure"),
		"failed: "+mine+":3:15: data.csv.path: ", "/one/t.csv: may not be read: is not below ")
	contains(t, "logs", must(t, "logs", "-f", ids[1], "--coordinator", at, "--insecure"), "epoch 1/1")
}

// TestWorkerRoots has workers read rows for a driver of another account.
func TestWorkerRoots(t *testing.T) {
	if testing.Short() {
		t.Skip("trains")
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	here, there := filepath.Join(dir, "here"), filepath.Join(dir, "there")
	for _, folder := range []string{here, there} {
		if err := os.Mkdir(folder, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "t.csv"), []byte(rows3), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, path, data string
		flags            []string
		want             string // "": it trains
	}{
		{"no root, local", "t.csv", "local", nil, "may not be read: there is no data root\nhint: gespann worker --data-root DIR"},
		{"no root, auto", "t.csv", "auto", nil, ""},
		{"digits need none", "", "local", nil, ""},
		{"absolute, in a root", here + "/t.csv", "local", []string{"--data-root", here}, ""},
		{"relative, in a root", "t.csv", "local", []string{"--data-root", here}, ""},
		{"relative, in another root", "t.csv", "local", []string{"--data-root", there}, ""},
		{"data-dir", "t.csv", "local", []string{"--data-dir", there}, ""},
		{"absolute, not in data-dir", here + "/t.csv", "local", []string{"--data-dir", there}, here + "/t.csv: may not be read: is not below " + there},
		{"absolute, in a root besides data-dir", here + "/t.csv", "local", []string{"--data-dir", there, "--data-root", here}, ""},
		{"up, from data-dir", "../here/t.csv", "local", []string{"--data-dir", there}, "may not be read: is not below " + there},
		{"up, from a root", "../here/t.csv", "local", []string{"--data-root", there}, "may not be read: is not below " + there},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := openPort(t)
			folder := t.TempDir()
			coordinatorAt(t, folder, at, "--insecure")
			startProgram(t, folder, append([]string{"worker", "--coordinator", at, "--insecure", "--name", "wendy", "--backend", "cpu", "--threads", "1"}, c.flags...)...)
			data := "data:\n  source: csv\n  csv: {path: " + c.path + "}" + rootsModel
			if c.path == "" {
				data = "data: {source: digits}\nmodel: [flatten, dense: 10]\nloss: sparse_categorical_crossentropy\ntrain: {epochs: 1}\n"
			}
			config := filepath.Join(here, "c.yaml")
			if err := os.WriteFile(config, []byte(data), 0o666); err != nil {
				t.Fatal(err)
			}
			code, _, words := gespann(t, "", "train", config, "--runs", folder, "--backend", "cluster", "--coordinator", at,
				"--set", "cluster.insecure=true", "--set", "cluster.data="+c.data, "--set", "cluster.probe=false", "--set", "cluster.workers=1")
			if c.want == "" && code != exitOK || c.want != "" && code != exitRun {
				t.Errorf("exit code %d\n%s", code, words)
			}
			contains(t, "train", words, c.want)
			if c.want != "" {
				contains(t, "train", words, "worker wendy: ")
			}
		})
	}
}

// TestStuckJob lets the files of jobs hang: a cancelled one goes, the queue goes on, and the
// coordinator stops in time.
func TestStuckJob(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := t.TempDir()
	at := "unix:" + filepath.Join(socketDir(t), "c")
	pid := coordinatorAt(t, dir, at)
	table, mine := filepath.Join(dir, "t.csv"), filepath.Join(dir, "mine.yaml")
	submit := func(data string, more ...string) string {
		t.Helper()
		if err := os.WriteFile(mine, []byte("data:\n  "+data+rootsModel), 0o666); err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(must(t, append([]string{"submit", mine, "--coordinator", at, "--workers", "1"}, more...)...))
	}
	for _, path := range []string{table, filepath.Join(dir, "fine.csv")} {
		if err := os.WriteFile(path, []byte(rows3), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	csv := "source: csv\n  csv: {path: t.csv}"
	stuck, fine, again := submit(csv), submit("source: csv\n  csv: {path: fine.csv}"), submit(csv)
	if err := os.Remove(table); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(table, 0o666); err != nil {
		t.Fatal(err)
	}
	startProgram(t, dir, "worker", "--coordinator", at, "--backend", "cpu", "--threads", "1")
	state := func(id string) string {
		t.Helper()
		for line := range strings.Lines(must(t, "jobs", "--coordinator", at)) {
			if strings.Contains(line, id) {
				return line
			}
		}
		return ""
	}
	waitFor(t, "the stuck job to start", func() bool { return strings.Contains(state(stuck), "starting") })

	// Others that submit what hangs are not in the way of each other.
	var waiting []func() bool
	for range maxChecks + 1 {
		cmd, _, stderr := command(t, dir, "submit", mine, "--coordinator", at, "--set", "data.csv.path="+table)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { cmd.Wait(); close(ended) }()
		t.Cleanup(func() { cmd.Process.Kill(); <-ended })
		waiting = append(waiting, func() bool {
			select {
			case <-ended:
				t.Log(stderr)
				return false
			default:
				return true
			}
		})
	}
	time.Sleep(200 * time.Millisecond)
	began := time.Now()
	last := submit("source: csv\n  csv: {path: fine.csv}")
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("a submission beside ones that hang took %v", took)
	}
	if n := len(slices.DeleteFunc(waiting, func(w func() bool) bool { return !w() })); n < maxChecks {
		t.Errorf("%d submissions hang, want %d at least", n, maxChecks)
	}

	began = time.Now()
	must(t, "cancel", stuck, "--coordinator", at)
	waitFor(t, "the stuck job to be cancelled", func() bool { return strings.Contains(state(stuck), "cancelled") })
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("cancelled after %v", took)
	}
	waitFor(t, "the queue to go on", func() bool { return strings.Contains(state(fine), "done") })
	waitFor(t, "the next stuck job to start", func() bool { return strings.Contains(state(again), "starting") })
	began = time.Now()
	syscall.Kill(pid, syscall.SIGTERM)
	gone(t, []int{pid})
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("stopped after %v", took)
	}
	if err := os.Remove(table); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(table, []byte(rows3), 0o666); err != nil {
		t.Fatal(err)
	}
	coordinatorAt(t, dir, at)
	for _, id := range []string{again, last} {
		waitFor(t, "the job to be done", func() bool { return strings.Contains(state(id), "done") })
	}
}

// TestStuckTrain interrupts a run whose data does not come.
func TestStuckTrain(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := t.TempDir()
	pipe := filepath.Join(dir, "t.csv")
	if err := syscall.Mkfifo(pipe, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "c.yaml"), []byte("data:\n  source: csv\n  csv: {path: t.csv}"+rootsModel), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"open", "read"} {
		cmd, _, stderr := command(t, dir, "train", "c.yaml")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		if what == "read" {
			w, err := os.OpenFile(pipe, os.O_WRONLY, 0) // waits for the reader
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			w.WriteString("a,b\n1,0\n")
		}
		time.Sleep(500 * time.Millisecond)
		cmd.Process.Signal(os.Interrupt)
		select {
		case err := <-ended:
			if code := exitCode(t, err); code != 130 {
				t.Errorf("%s: exit code %d, want 130\n%s", what, code, stderr)
			}
		case <-time.After(5 * time.Second):
			cmd.Process.Kill()
			t.Errorf("%s: does not end\n%s", what, stderr)
		}
	}
}
