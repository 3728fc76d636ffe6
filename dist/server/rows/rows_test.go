package rows

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
func feed(r *Store, set *data.Set) error {
	return Send("j", set, func(f wire.Frame) error { return r.Add(f.Message.(*wire.Rows), f.Bytes) })
}

// TestStream sends rows to two workers, one of which asks before they are there, from
// memory and from a file.
func TestStream(t *testing.T) {
	set := testSet(1 << 20) // 4 MiB
	want := bytesOf(set)
	for name, memory := range map[string]int64{"memory": 1 << 30, "file": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			r := New("j", t.TempDir(), memory, 1<<30, nil)
			if !r.Ask() || r.Ask() {
				t.Fatal("the driver is to be asked once")
			}
			done := make(chan error, 2)
			got := make([][]byte, 2)
			take := func(i int) {
				done <- r.Stream(t.Context(), func(f wire.Frame) error {
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
			r.Close(errors.New("the job has ended"))
		})
	}
}

// TestRefused checks what a driver cannot send.
func TestRefused(t *testing.T) {
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
			r := New("j", "", 0, c.limit, nil)
			if c.asked {
				r.Ask()
			}
			var err error
			for _, f := range c.frames {
				if err == nil {
					err = r.Add(f.Message.(*wire.Rows), f.Bytes)
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

// TestDriverGone ends a stream that waits for rows.
func TestDriverGone(t *testing.T) {
	gone := errors.New("the driver is gone")
	r := New("j", "", 0, 1<<20, nil)
	done := make(chan error, 1)
	go func() { done <- r.Stream(context.Background(), func(wire.Frame) error { return nil }) }()
	r.Close(gone)
	if err := <-done; !errors.Is(err, gone) {
		t.Errorf("got %v, want %v", err, gone)
	}
}
