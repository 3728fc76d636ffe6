package infile

import (
	"context"
	"io/fs"
	"os"
	"sync"
	"time"
)

// A file is read ahead, in pieces of this size, of which so many exist: one that the
// caller is at, one that waits, one that is being read.
const (
	pieceSize = 256 << 10
	pieces    = 3
)

// A File is an open file. Read and ReadAt return when its context ends or the patience of
// its Files does, with an error that is that of all later calls. They may not be called
// concurrently.
type File struct {
	path  string
	files Files
	// ctx ends all reads. It is kept here because a reader has no other place for it.
	ctx  context.Context
	file *os.File
	info fs.FileInfo

	pump  *pump // nil: nobody has called Read
	piece piece // at hand
	rest  []byte
	err   error // of all later calls of Read
	dead  error // of all later calls

	block   []byte // for ReadAt, with what the file has from blockAt on
	blockAt int64
}

func newFile(ctx context.Context, s Files, path string, o opened) *File {
	return &File{path: path, files: s, ctx: ctx, file: o.file, info: o.info}
}

// Info is what the file was when it was opened.
func (f *File) Info() fs.FileInfo { return f.info }

// Name returns the path with which it was opened.
func (f *File) Name() string { return f.path }

// Read reads what comes next.
func (f *File) Read(p []byte) (int, error) {
	for len(f.rest) == 0 {
		if f.err != nil {
			return 0, f.err
		}
		if f.pump == nil {
			f.pump = newPump(f.file, f.info)
		}
		if f.piece.buf != nil {
			f.pump.empty <- f.piece.buf
		}
		f.next()
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

// next waits for a piece.
func (f *File) next() {
	select {
	case f.piece = <-f.pump.full: // without a timer where there is no need to wait
	default:
		alarm, stop := f.files.alarm()
		defer stop()
		select {
		case f.piece = <-f.pump.full:
		case <-f.ctx.Done():
			f.giveUp(f.ctx.Err())
			return
		case <-alarm:
			f.giveUp(f.files.stuck(f.path, "no byte"))
			return
		}
	}
	f.rest, f.err = f.piece.buf[:f.piece.n], f.piece.err
	if f.ctx.Err() != nil {
		f.giveUp(f.ctx.Err())
	}
}

// giveUp ends reading, and leaves the pump behind if it hangs.
func (f *File) giveUp(err error) {
	f.piece, f.rest, f.err, f.dead = piece{}, nil, err, err
	f.pump.settle()
	if f.pump.abandon() {
		f.files.leave(f.path)
	}
}

// ReadAt reads at an offset, by way of blocks: who asks for little usually asks for what
// follows, too.
func (f *File) ReadAt(p []byte, at int64) (n int, err error) {
	for n < len(p) {
		from := at + int64(n) - f.blockAt
		if f.block == nil || from < 0 || from >= int64(len(f.block)) {
			if err := f.fetch(at + int64(n)); err != nil {
				return n, err
			}
			from = 0
		}
		n += copy(p[n:], f.block[from:])
	}
	return n, nil
}

// fetch reads the block at an offset.
func (f *File) fetch(at int64) error {
	if f.dead != nil {
		return f.dead
	}
	buf := f.block[:cap(f.block)]
	if len(buf) == 0 {
		buf = make([]byte, pieceFor(f.info))
	}
	f.block = nil // who is left behind keeps it
	type read struct {
		n   int
		err error
	}
	r, err := patiently(f.ctx, f.files, f.path, "no byte", func() (read, error) {
		n, err := f.file.ReadAt(buf, at)
		return read{n, err}, nil
	}, nil)
	switch {
	case err != nil:
		f.dead, f.err = err, err
		return err
	case r.n == 0:
		return r.err
	}
	f.block, f.blockAt = buf[:r.n], at // an error comes again
	return nil
}

// closing is how long a file may take to be closed.
const closing = 3 * time.Second

// Close closes the file. What hangs is left behind.
func (f *File) Close() error {
	f.err, f.dead, f.rest = fs.ErrClosed, fs.ErrClosed, nil
	s := f.files
	s.Patience = closing
	_, err := patiently(context.Background(), s, f.path, "could not be closed", func() (struct{}, error) {
		err := f.file.Close() // which wakes who reads from a pipe
		if f.pump != nil {
			f.pump.stop()
		}
		return struct{}{}, err
	}, nil)
	return err
}

// A pump reads a file ahead, until its end or the first error.
type pump struct {
	full  chan piece
	empty chan []byte
	quit  chan struct{}
	once  sync.Once // closes quit
	call  calling
}

// A piece is what a read has returned.
type piece struct {
	buf []byte
	n   int
	err error
}

// pieceFor returns how long the pieces of a file are.
func pieceFor(info fs.FileInfo) int {
	if info.Mode().IsRegular() {
		return int(min(max(info.Size()+1, 512), pieceSize))
	}
	return pieceSize
}

func newPump(file *os.File, info fs.FileInfo) *pump {
	p := &pump{
		full: make(chan piece, pieces), empty: make(chan []byte, pieces),
		quit: make(chan struct{}), call: calling{over: make(chan struct{})},
	}
	size := pieceFor(info)
	p.empty <- make([]byte, size)
	for range pieces - 1 {
		if size == pieceSize { // a small file is one piece
			p.empty <- make([]byte, size)
		}
	}
	go func() {
		p.run(file)
		p.call.returns(func() {})
	}()
	return p
}

// run reads until quit.
func (p *pump) run(file *os.File) {
	for {
		select {
		case <-p.quit:
			return
		case buf := <-p.empty:
			n, err := file.Read(buf)
			p.full <- piece{buf, n, err} // it has room for all
			if err != nil {
				return
			}
		}
	}
}

// settle gives the pump a moment to end.
func (p *pump) settle() {
	p.once.Do(func() { close(p.quit) })
	soon := time.NewTimer(moment)
	defer soon.Stop()
	select {
	case <-p.call.over:
	case <-soon.C:
	}
}

// abandon ends the pump; true: it hangs, and is left behind.
func (p *pump) abandon() bool {
	p.once.Do(func() { close(p.quit) })
	return p.call.leave()
}

// stop ends the pump, and waits for it unless it was left behind.
func (p *pump) stop() {
	p.once.Do(func() { close(p.quit) })
	if !p.call.left() {
		<-p.call.over
	}
}
