package server

import (
	"testing"

	"github.com/gespann/gespann/dist/server/rows"
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
		if err := rows.Send("a", set, p.conn.Send); err != nil {
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
