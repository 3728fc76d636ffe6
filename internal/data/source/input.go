package source

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/gespann/gespann/internal/infile"
	"github.com/gespann/gespann/internal/memlimit"
)

// maxDeflate is the highest ratio at which deflate can compress: 258 bytes in
// two bits (RFC 1951), rounded up.
const maxDeflate = 1032

// chunk is how much is read without knowing that more will come.
const chunk = 64 << 10

// An input is a file being read, decompressed if it was compressed.
type input struct {
	io.Reader
	name   string
	size   int64 // in bytes; -1 unknown, as of streams and compressed files
	trust  int64 // bytes that may be allocated before they were read
	packed bool
	// claim is what a gzip file says of its bytes decompressed, modulo 2³², and most how many
	// it can have; most 0: not known.
	claim, most int64
	head        bool // only the header is wanted
	file        *infile.File
	room        func(bytes int64) error // or nil
}

// open opens a file, plain or gzip, whichever its first bytes say.
func open(ctx context.Context, files infile.Files, name string) (*input, error) {
	f, err := files.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	in, err := newInput(f, name)
	if err != nil {
		f.Close()
		return nil, err
	}
	in.room = files.Room
	return in, nil
}

// Bytes that are kept at a time for a byte of a file: of an array as it is, as numbers and
// normalised; of text, of which two characters can be a float64.
const (
	arrayCost = 3
	textCost  = 8
)

// asText has room asked for while text is read: nobody knows before how much of it there
// is.
func (in *input) asText() {
	if in.room != nil {
		in.Reader = bufio.NewReaderSize(&metered{in: in, r: in.Reader}, chunk)
	}
}

// metered asks for room for what it reads, in larger steps.
type metered struct {
	in   *input
	r    io.Reader
	left int64 // of what was asked for
}

func (m *metered) Read(p []byte) (int, error) {
	const step = 1 << 20
	if m.left < int64(len(p)) {
		if err := m.in.room(textCost * step); err != nil {
			return 0, fmt.Errorf("%s: %w", m.in.name, err)
		}
		m.left += step
	}
	n, err := m.r.Read(p)
	m.left -= int64(n)
	return n, err
}

func newInput(f *infile.File, name string) (*input, error) {
	info := f.Info()
	if info.IsDir() {
		return nil, fmt.Errorf("%s: is a directory, want a file", name)
	}
	in, err := newStream(f, name)
	if err != nil {
		return nil, err
	}
	in.file = f
	switch {
	case !info.Mode().IsRegular():
	case in.packed:
		// The last four bytes of a gzip file are its size decompressed, modulo 2^32.
		var tail [4]byte
		if _, err := f.ReadAt(tail[:], info.Size()-4); err == nil {
			claim := int64(binary.LittleEndian.Uint32(tail[:]))
			in.claim, in.most = claim, info.Size()*maxDeflate
			in.trust = min(claim, in.most)
		}
	default:
		in.size, in.trust = info.Size(), info.Size()
	}
	return in, nil
}

// newStream reads from r, decompressed if it starts as gzip does.
func newStream(r io.Reader, name string) (*input, error) {
	in := &input{Reader: bufio.NewReaderSize(r, chunk), name: name, size: -1}
	if start, _ := in.Reader.(*bufio.Reader).Peek(2); !bytes.Equal(start, []byte{0x1f, 0x8b}) {
		return in, nil
	}
	gz, err := gzip.NewReader(in.Reader)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	in.Reader, in.packed = bufio.NewReaderSize(gz, chunk), true
	return in, nil
}

// Close closes the file.
func (in *input) Close() error {
	if in.file == nil {
		return nil
	}
	return in.file.Close()
}

// A sizeError says that contents and header disagree.
type sizeError struct {
	want int64 // bytes
	got  int64 // bytes there; -1 for more, of a file whose size is not known
}

func (e *sizeError) Error() string {
	if e.got < 0 {
		return fmt.Sprintf("need %d bytes, file has more", e.want)
	}
	return fmt.Sprintf("need %d bytes, file has %d", e.want, e.got)
}

// about makes a sentence of what a header announces and an error of elements.
func about(what string, err error) error {
	var size *sizeError
	if errors.As(err, &size) {
		return fmt.Errorf("%s %w", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// elements reads what is left of the input: count elements of width bytes each,
// after header bytes already read. It calls convert with whole elements. It
// fails with a *sizeError before it reads anything when the size is known.
func (in *input) elements(header, count int64, width int, convert func([]byte) error) error {
	want := header + count*int64(width)
	if in.size >= 0 && in.size != want {
		return &sizeError{want, in.size}
	}
	buf := make([]byte, min(count*int64(width), chunk))
	for done := header; done < want; {
		n, err := io.ReadFull(in, buf[:min(int64(len(buf)), want-done)])
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return &sizeError{want, done + int64(n)}
		}
		if err != nil {
			return err
		}
		if err := convert(buf[:n]); err != nil {
			return err
		}
		done += int64(n)
	}
	// Reading up to the end also checks the checksum of gzip.
	switch n, err := io.ReadFull(in, buf[:1:1]); {
	case n > 0:
		return &sizeError{want, -1}
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

// affords returns an error where count elements of width bytes are more than memory has,
// if the file has that many, or a gzip file says so: one that may claim more is read until
// it ends.
func (in *input) affords(header, count int64, width int) error {
	bytes := count * int64(width)
	if in.room != nil && !in.head {
		if err := in.room(arrayCost * bytes); err != nil {
			return err
		}
	}
	if total := header + bytes; in.size == total || total <= in.most && total%(1<<32) == in.claim {
		return memlimit.Check(bytes)
	}
	return nil
}

// fits returns an error when the file cannot have what its header announces.
func (in *input) fits(header, count int64, width int) error {
	total := header + count*int64(width)
	if in.size >= 0 && in.size != total || in.packed && in.most > 0 && total > in.most {
		return &sizeError{total, in.size}
	}
	return nil
}

// rowsOf returns how many rows the header of a regular file announces, as decode says with
// only the header wanted; -1: it does not. Reading the file then tells why.
func rowsOf(ctx context.Context, files infile.Files, path string, decode func(*input) (rows int64, err error)) int64 {
	if info, err := files.Stat(ctx, path); err != nil || !info.Mode().IsRegular() {
		return -1 // a pipe is read once
	}
	in, err := open(ctx, files, path)
	if err != nil {
		return -1
	}
	defer in.Close()
	in.head = true
	if rows, err := decode(in); err == nil {
		return rows
	}
	return -1
}

// room returns an empty slice with room for count elements, or for as many as
// the input's trust justifies.
func room[T any](in *input, count int64, width int) []T {
	return make([]T, 0, min(count, max(in.trust, chunk)/int64(width)))
}

// grow makes room for more elements without ever exceeding count, so that a full
// slice has no slack.
func grow[T any](s []T, more int, count int64) []T {
	if len(s)+more <= cap(s) {
		return s
	}
	wider := make([]T, len(s), min(int64(len(s)+max(more, len(s))), count))
	copy(wider, s)
	return wider
}

// volume returns the number of elements of a shape, or false when its bytes do
// not fit an int.
func volume(shape []int64, width int) (int64, bool) {
	n := int64(1)
	for _, dim := range shape {
		if dim != 0 && n > (math.MaxInt-chunk)/int64(width)/dim {
			return 0, false
		}
		n *= dim
	}
	return n, true
}
