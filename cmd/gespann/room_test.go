package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/server"
	"github.com/gespann/gespann/internal/memlimit"
)

// TestDataHasRoom has others submit small files that are large when they are opened: the
// coordinator's memory is asked while they are read, and what was taken for a check is given
// back.
func TestDataHasRoom(t *testing.T) {
	dir := t.TempDir()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	for range 1 << 13 {
		w.Write(bytes.Repeat([]byte("1,2,0\n2,1,1\n"), 128))
	}
	w.Close()
	header := "{'descr': '<f4', 'fortran_order': False, 'shape': (65536, 64), }"
	header += strings.Repeat(" ", 117-len(header)) + "\n"
	array := append([]byte("\x93NUMPY\x01\x00v\x00"), header...)
	array = append(array, make([]byte, 65536*64*4)...)
	labels := strings.Replace(header, "(65536, 64)", "(65536,)", 1)
	labels = strings.Replace(labels, "<f4", "|u1", 1)
	labels = strings.TrimRight(labels, " \n") + strings.Repeat(" ", 117-len(strings.TrimRight(labels, " \n"))) + "\n"
	y := append([]byte("\x93NUMPY\x01\x00v\x00"), labels...)
	y = append(y, make([]byte, 65536)...)
	for name, content := range map[string][]byte{"t.csv.gz": packed.Bytes(), "x.npy": array, "y.npy": y} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const model = "\nmodel: [dense: 2]\nloss: sparse_categorical_crossentropy\n"
	for name, data := range map[string]string{
		"a table":  "source: csv, csv: {path: t.csv.gz, header: false}",
		"an array": "source: npy, npy: {x: x.npy, y: y.npy}",
	} {
		memory := memlimit.NewBudget(16 << 20)
		k := newKeeper([]string{dir}, memory, slog.New(slog.DiscardHandler))
		ask := func(owner dist.Principal) error {
			_, err := k.check(context.Background(), server.Request{Spec: []byte("data: {" + data + "}" + model), Owner: owner})
			return err
		}
		if err := ask(dist.Principal{Name: "alice"}); err == nil || !strings.Contains(err.Error(), "out of memory: its data takes") {
			t.Errorf("%s: got %v, want that memory is out", name, err)
		}
		if held := memory.Held(); held != 0 {
			t.Errorf("%s: %d bytes are still held", name, held)
		}
		if err := ask(dist.Principal{Account: true}); err != nil && strings.Contains(err.Error(), "out of memory") {
			t.Errorf("%s, of the account itself: got %v", name, err)
		}
	}
}

// TestFetchFolder checks which folders a job may be fetched to.
func TestFetchFolder(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	for range 2 { // the second time with its own files in it
		if err := ofJob(out, "a-1"); err != nil {
			t.Error(err)
		}
	}
	if err := ofJob(out, "b-2"); err == nil || err.Error() != out+`: has the job "a-1" already`+"\nhint: -o names another folder" {
		t.Errorf("of another job: got %v", err)
	}
	if err := ofJob(dir, "a-1"); err == nil || !strings.Contains(err.Error(), "has other files already") {
		t.Errorf("with something else: got %v", err)
	}
}
