// Package rows keeps the data of a job on its way from the driver to workers, for
// those that ask later, too. Rows are not decoded here.
package rows

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/memlimit"
	"github.com/gespann/gespann/internal/outfile"
)

// A Store has the rows of a job, in memory, or in a file when they are many. Its
// methods may be called concurrently, except Add with itself.
type Store struct {
	job    string
	folder string           // for the file; "": always in memory
	memory int64            // what is longer goes to the file
	limit  int64            // of all
	budget *memlimit.Budget // that rows in memory are taken from

	mu      sync.Mutex
	changed chan struct{} // closed at the next change
	asked   bool          // the driver
	layout  *data.Layout
	want    int64 // bytes
	got     int64
	file    *os.File
	taken   int64 // of the budget
	pieces  []piece
	done    bool
	err     error
}

// A piece is what one frame brought.
type piece struct {
	bytes  []byte // nil: in the file
	offset int64
	size   int
}

// minPiece bounds the number of pieces by the number of bytes.
const minPiece = 1 << 10

// New returns a store of at most limit bytes. More than memory go to a file in a
// folder, unless that is "", and so do those for which the budget has no room. Close it
// when done.
func New(job, folder string, memory, limit int64, budget *memlimit.Budget) *Store {
	return &Store{job: job, folder: folder, memory: memory, limit: limit, budget: budget, changed: make(chan struct{})}
}

// Ask reports whether the driver is still to be asked, and remembers that it was.
func (r *Store) Ask() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := r.asked
	r.asked = true
	return !asked
}

// Complete reports whether all rows are here.
func (r *Store) Complete() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.done && r.err == nil
}

// Add takes a frame of the driver. After an error, no stream comes to its end.
func (r *Store) Add(m *wire.Rows, bytes []byte) error {
	p, err := r.take(m, bytes)
	// The lock is not held while the disk is at work.
	if err == nil && p.bytes == nil && p.size > 0 {
		_, err = r.file.WriteAt(bytes, p.offset)
		if err != nil {
			err = fmt.Errorf("rows: %d of %d bytes are kept: %w", p.offset, r.want, err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
	}
	if r.err == nil {
		if p.size > 0 {
			r.pieces = append(r.pieces, p)
		}
		r.done = m.Last
	}
	close(r.changed)
	r.changed = make(chan struct{})
	return r.err
}

// take checks a frame, and says where its bytes go.
func (r *Store) take(m *wire.Rows, bytes []byte) (piece, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.err != nil:
		return piece{}, r.err
	case !r.asked || r.done:
		return piece{}, errors.New("rows: nobody asked for more")
	case len(r.pieces) > int(r.want/minPiece)+16:
		return piece{}, fmt.Errorf("rows: got %d pieces for %d bytes", len(r.pieces), r.got)
	}
	if r.layout == nil {
		if err := r.begin(m); err != nil {
			return piece{}, err
		}
	}
	p := piece{size: len(bytes), offset: r.got}
	if r.got += int64(len(bytes)); r.got > r.want || m.Last && r.got != r.want {
		return piece{}, fmt.Errorf("rows: got %d bytes, want %d", r.got, r.want)
	}
	if r.file == nil {
		p.bytes = bytes
	}
	return p, nil
}

func (r *Store) begin(m *wire.Rows) error {
	if m.Table == nil {
		return errors.New("rows: the first frame has no layout")
	}
	want, err := m.Table.Bytes(r.limit)
	if err != nil {
		return fmt.Errorf("rows: %w", err)
	}
	r.layout, r.want = m.Table, want
	if r.folder == "" || want <= r.memory {
		err := r.budget.Try(want, "the rows of a job")
		if err == nil {
			r.taken = want
			return nil
		}
		if r.folder == "" {
			return fmt.Errorf("rows: %w", err)
		}
	}
	r.file, err = os.Create(filepath.Join(r.folder, outfile.TempPrefix+"rows-"+r.job))
	if err == nil {
		// It needs no name: it is of use to this process alone, and goes with it.
		err = os.Remove(r.file.Name())
	}
	return err
}

// Stream sends the rows, waiting for those that are not there yet.
func (r *Store) Stream(ctx context.Context, send func(wire.Frame) error) error {
	for at := -1; ; {
		r.mu.Lock()
		changed, pieces, layout, done, err := r.changed, r.pieces, r.layout, r.done, r.err
		r.mu.Unlock()
		if err != nil {
			return err
		}
		if at < 0 && layout != nil {
			if err := send(wire.Frame{Message: &wire.Rows{Job: r.job, Table: layout}}); err != nil {
				return err
			}
			at = 0
		}
		for ; at >= 0 && at < len(pieces); at++ {
			bytes, err := r.load(pieces[at])
			if err != nil {
				return err
			}
			if err := send(wire.Frame{Message: &wire.Rows{Job: r.job}, Bytes: bytes}); err != nil {
				return err
			}
		}
		if done {
			return send(wire.Frame{Message: &wire.Rows{Job: r.job, Last: true}})
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r *Store) load(p piece) ([]byte, error) {
	if p.bytes != nil {
		return p.bytes, nil
	}
	b := make([]byte, p.size)
	_, err := io.ReadFull(io.NewSectionReader(r.file, p.offset, int64(p.size)), b)
	return b, err
}

// Close ends all streams with err, and forgets the rows.
func (r *Store) Close(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
	}
	if r.file != nil {
		r.file.Close()
	}
	r.pieces = nil
	r.budget.Give(r.taken)
	r.taken = 0
	close(r.changed)
	r.changed = make(chan struct{})
}

// Send sends the rows of a set.
func Send(job string, set *data.Set, send func(wire.Frame) error) error {
	layout := set.Layout()
	if err := send(wire.Frame{Message: &wire.Rows{Job: job, Table: &layout}}); err != nil {
		return err
	}
	for bytes := range set.Pieces() {
		if err := send(wire.Frame{Message: &wire.Rows{Job: job}, Bytes: bytes}); err != nil {
			return err
		}
	}
	return send(wire.Frame{Message: &wire.Rows{Job: job, Last: true}})
}
