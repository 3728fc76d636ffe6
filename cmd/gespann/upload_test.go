//go:build unix

package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// npyOf returns an array of n rows of a type of numpy in its file format.
func npyOf(t *testing.T, kind string, rows, columns int, values any) []byte {
	t.Helper()
	shape := fmt.Sprintf("(%d,)", rows)
	if columns > 0 {
		shape = fmt.Sprintf("(%d, %d)", rows, columns)
	}
	head := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': %s, }", kind, shape)
	head += strings.Repeat(" ", 117-len(head)) + "\n"
	b := append([]byte("\x93NUMPY\x01\x00"), byte(len(head)), 0)
	b, err := binary.Append(append(b, head...), binary.LittleEndian, values)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// idxOf returns bytes in the format of MNIST.
func idxOf(dims []uint32, values []byte) []byte {
	b := []byte{0, 0, 8, byte(len(dims))}
	for _, d := range dims {
		b = binary.BigEndian.AppendUint32(b, d)
	}
	return append(b, values...)
}

// TestSubmitUpload submits jobs whose data only the submitter has, in each format, and
// checks that they train, with which names files are told, and where they are.
func TestSubmitUpload(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	there, here := t.TempDir(), t.TempDir()
	at := "unix:" + filepath.Join(socketDir(t), "c")
	startProgram(t, there, "coordinator", "--listen", at, "--state", "state", "--dashboard", "none", "--max-upload", "1")
	startProgram(t, there, "worker", "--coordinator", at, "--backend", "cpu", "--threads", "1")
	waitFor(t, "the coordinator", func() bool {
		code, _, _ := gespann(t, "", "jobs", "--coordinator", at)
		return code == exitOK
	})
	write := func(name string, content []byte) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(here, name)), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(here, name), content, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	const rest = "\nmodel: [flatten, dense: {units: 2, activation: softmax}]\nloss: sparse_categorical_crossentropy\ntrain: {epochs: 2}\n"
	write("t\x1b[31m.csv", []byte("a,b\n"+strings.Repeat("1,0\n2,1\n", 20)))
	floats, labels := make([]float32, 80), make([]int32, 40)
	for i := range labels {
		labels[i], floats[2*i] = int32(i%2), float32(i%2)
	}
	write("x/v.npy", npyOf(t, "<f4", 40, 2, floats))
	write("y/v.npy", npyOf(t, "<i4", 40, 0, labels))
	pixels, classes := make([]byte, 40*4), make([]byte, 40)
	for i := range classes {
		classes[i], pixels[4*i] = byte(i%2), byte(100*(i%2))
	}
	for _, set := range []string{"train", "t10k"} {
		write("digits/"+set+"-images-idx3-ubyte", idxOf([]uint32{40, 2, 2}, pixels))
		write("digits/"+set+"-labels-idx1-ubyte", idxOf([]uint32{40}, classes))
	}
	write("digits/secret", []byte("is none of the data"))
	for name, c := range map[string]struct {
		data, told string
		files      []string
	}{
		"csv": {`{source: csv, csv: {path: "t\e[31m.csv"}}`, "t_[31m.csv: 40 rows", []string{"t_[31m.csv"}},
		"npy": {"{source: npy, npy: {x: x/v.npy, y: y/v.npy}}", "v.npy, 2-v.npy: 40 rows", []string{"2-v.npy", "v.npy"}},
		"idx": {"{source: idx, dir: digits}", "digits: 80 rows", []string{"digits"}},
	} {
		t.Run(name, func(t *testing.T) {
			write(name+".yaml", []byte("data: "+c.data+rest))
			code, out, words := gespann(t, "", "submit", filepath.Join(here, name+".yaml"), "--upload", "--workers", "1", "--coordinator", at)
			if code != exitOK {
				t.Fatalf("exit code %d\n%s", code, words)
			}
			contains(t, "submit", words, "data   "+c.told+"\n")
			id := strings.TrimSpace(out)
			contains(t, "logs", must(t, "logs", "-f", id, "--coordinator", at), "epoch 2/2")
			kept, err := os.ReadDir(filepath.Join(there, "state", "jobs", id, "data"))
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, f := range kept {
				names = append(names, f.Name())
			}
			if got, want := strings.Join(names, " "), strings.Join(c.files, " "); got != want {
				t.Errorf("kept %q, want %q", got, want)
			}
			if _, err := os.Stat(filepath.Join(there, "state", "jobs", id, "data", "digits", "secret")); err == nil {
				t.Error("a file that is none of the data was sent")
			}
			to := filepath.Join(t.TempDir(), "run")
			must(t, "fetch", id, "-o", to, "--coordinator", at)
			if _, err := os.Stat(filepath.Join(to, "model.safetensors")); err != nil {
				t.Error(err)
			}
		})
	}
	refused := func(name, data string, want ...string) {
		t.Helper()
		write(name+".yaml", []byte("data: "+data+rest))
		code, out, words := gespann(t, "", "submit", filepath.Join(here, name+".yaml"), "--upload", "--coordinator", at)
		if code == exitOK || out != "" {
			t.Errorf("%s: exit code %d, want an error\n%s%s", name, code, out, words)
		}
		contains(t, name, words, want...)
		if strings.Contains(words, ".tmp-") || strings.Contains(words, there) {
			t.Errorf("%s: got %s, want no path of the coordinator", name, words)
		}
	}
	write("bad.csv", []byte("a,b\n1,0\n3\n"))
	refused("bad", "{source: csv, csv: {path: bad.csv}}", "bad.csv:3")
	refused("none", "{source: digits}", "--upload: the data of ", "is in no file")
	refused("missing", "{source: csv, csv: {path: nowhere.csv}}", "nowhere.csv: no such file")
	write("large.csv", make([]byte, 1<<20+1))
	refused("large", "{source: csv, csv: {path: large.csv}}", "this coordinator takes 1048576 with a job\nhint: ", "--max-upload")
	if err := syscall.Mkfifo(filepath.Join(here, "pipe.csv"), 0o666); err != nil {
		t.Fatal(err)
	}
	refused("pipe", "{source: csv, csv: {path: pipe.csv}}", "want a regular file")
	if left, _ := filepath.Glob(filepath.Join(there, "state", "jobs", ".tmp-*")); len(left) > 0 {
		t.Errorf("got %v, want nothing left of what was refused", left)
	}
}

// TestUploadKilled kills a submit in the middle of its upload, then a coordinator, and
// checks that nothing is left.
func TestUploadKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := t.TempDir()
	at := "unix:" + filepath.Join(socketDir(t), "c")
	begin := func() func() error {
		cmd, _, _ := command(t, dir, "coordinator", "--listen", at, "--state", "state", "--dashboard", "none")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			cmd.Process.Kill()
			cmd.Wait()
		})
		waitFor(t, "the coordinator", func() bool {
			code, _, _ := gespann(t, "", "jobs", "--coordinator", at)
			return code == exitOK
		})
		return func() error {
			cmd.Process.Kill()
			return cmd.Wait()
		}
	}
	kill := begin()
	big := filepath.Join(dir, "big.csv")
	if err := os.WriteFile(big, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(big, 900<<20); err != nil {
		t.Fatal(err)
	}
	text := "data: {source: csv, csv: {path: big.csv}}\nmodel: [dense: 2]\nloss: sparse_categorical_crossentropy\n"
	if err := os.WriteFile(filepath.Join(dir, "big.yaml"), []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	litter := func() int {
		left, err := filepath.Glob(filepath.Join(dir, "state", "jobs", ".tmp-*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(left)
	}
	for _, who := range []string{"submit", "coordinator"} {
		cmd, _, stderr := command(t, dir, "submit", "big.yaml", "--upload", "--coordinator", at)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "bytes", func() bool { return litter() > 0 })
		if who == "submit" {
			cmd.Process.Kill()
			cmd.Wait()
			waitFor(t, "the coordinator to notice", func() bool { return litter() == 0 })
			continue
		}
		kill()
		if code := exitCode(t, cmd.Wait()); code != 1 || !strings.Contains(stderr.String(), "connection") {
			t.Errorf("submit to a coordinator that is killed: got %d, %s, want 1 and a word about it", code, stderr)
		}
		begin()
		if n := litter(); n > 0 {
			t.Errorf("after a restart: got %d folders, want none", n)
		}
	}
	if out := must(t, "jobs", "--coordinator", at); strings.Count(out, "\n") != 1 {
		t.Errorf("got %s, want no jobs", out)
	}
}
