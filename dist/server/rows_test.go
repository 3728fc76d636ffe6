package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/data"
)

func testSet(n int) *data.Set {
	set := &data.Set{Classes: 2, Source: "test"}
	x := make([]byte, 3*n)
	for i := range x {
		x[i] = byte(i)
	}
	set.Parts[data.Train] = data.Part{Rows: n, X: data.Table{Shape: []int{3}, U8: x}, Y: data.Table{Shape: []int{}, U8: make([]byte, n)}}
	return set
}

// bytesOf returns all bytes of a set.
func bytesOf(set *data.Set) []byte {
	var all []byte
	for p := range set.Pieces() {
		all = append(all, p...)
	}
	return all
}

// feed adds the rows of a set, as a driver does.
func feed(r *rows, set *data.Set) error {
	return streamSet("j", set, func(f wire.Frame) error { return r.add(f.Message.(*wire.Rows), f.Bytes) })
}

// TestRows sends rows to two workers, one of which asks before they are there, from
// memory and from a file.
func TestRows(t *testing.T) {
	set := testSet(1 << 20) // 4 MiB
	want := bytesOf(set)
	for name, memory := range map[string]int64{"memory": 1 << 30, "file": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			r := newRows("j", t.TempDir(), memory, 1<<30)
			if !r.ask() || r.ask() {
				t.Fatal("the driver is to be asked once")
			}
			done := make(chan error, 2)
			got := make([][]byte, 2)
			take := func(i int) {
				done <- r.stream(t.Context(), func(f wire.Frame) error {
					got[i] = append(got[i], f.Bytes...)
					return nil
				})
			}
			go take(0)
			if err := feed(r, set); err != nil {
				t.Fatal(err)
			}
			go take(1)
			for range 2 {
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
			if !bytes.Equal(got[0], want) || !bytes.Equal(got[1], want) {
				t.Errorf("got %d and %d bytes, want the %d of the set", len(got[0]), len(got[1]), len(want))
			}
			if (r.file != nil) != (name == "file") {
				t.Errorf("file: got %t", r.file != nil)
			}
			r.close(errFreed)
		})
	}
}

// TestRowsRefused checks what a driver cannot send.
func TestRowsRefused(t *testing.T) {
	layout := testSet(4).Layout()
	size := int(must(layout.Bytes(1 << 20)))
	first := &wire.Rows{Table: &layout}
	for name, c := range map[string]struct {
		limit  int64
		asked  bool
		frames []wire.Frame
		want   string
	}{
		"unasked":  {1 << 20, false, []wire.Frame{{Message: first}}, "rows: nobody asked for more"},
		"headless": {1 << 20, true, []wire.Frame{{Message: &wire.Rows{}}}, "rows: the first frame has no layout"},
		"large":    {4, true, []wire.Frame{{Message: first}}, "rows: layout: got 12 bytes of data, want at most 4"},
		"long": {1 << 20, true, []wire.Frame{{Message: first}, {Message: &wire.Rows{}, Bytes: make([]byte, size+1)}},
			fmt.Sprintf("rows: got %d bytes, want %d", size+1, size)},
		"short": {1 << 20, true, []wire.Frame{{Message: first}, {Message: &wire.Rows{Last: true}, Bytes: make([]byte, 1)}},
			fmt.Sprintf("rows: got 1 bytes, want %d", size)},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRows("j", "", 0, c.limit)
			if c.asked {
				r.ask()
			}
			var err error
			for _, f := range c.frames {
				if err == nil {
					err = r.add(f.Message.(*wire.Rows), f.Bytes)
				}
			}
			if err == nil || err.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestRowsDriverGone ends a stream that waits for rows.
func TestRowsDriverGone(t *testing.T) {
	r := newRows("j", "", 0, 1<<20)
	done := make(chan error, 1)
	go func() { done <- r.stream(context.Background(), func(wire.Frame) error { return nil }) }()
	r.close(errDriverGone)
	if err := <-done; !errors.Is(err, errDriverGone) {
		t.Errorf("got %v, want %v", err, errDriverGone)
	}
}

// TestSendRows trains with workers that have no rows: they come from the driver's
// connection, and from its process.
func TestSendRows(t *testing.T) {
	set := testSet(1000)
	want := len(bytesOf(set))
	job := testJob("a", "sync")
	job.DataFrom, job.Workers = "stream", 2
	t.Run("remote", func(t *testing.T) {
		s := start(t, Options{})
		hands := hire(t, s, 2)
		p := party{t, dial(t, "driver", s.Driver)}
		p.say(&wire.Attach{Protocol: wire.Protocol, Job: job})
		hear[*wire.WantRows](p)
		if err := streamSet("a", set, p.conn.Send); err != nil {
			t.Fatal(err)
		}
		hear[*wire.Attached](p)
		if hands[0].rows != want || hands[1].rows != want {
			t.Errorf("got %d and %d bytes, want %d", hands[0].rows, hands[1].rows, want)
		}
	})
	t.Run("local", func(t *testing.T) {
		s := start(t, Options{})
		hands := hire(t, s, 2)
		l := s.Connect()
		defer l.Close()
		l.Share(set)
		p := party{t, l}
		p.say(&wire.Attach{Protocol: wire.Protocol, Job: job})
		hear[*wire.Attached](p)
		if hands[0].rows != want || hands[1].rows != want {
			t.Errorf("got %d and %d bytes, want %d", hands[0].rows, hands[1].rows, want)
		}
	})
}
