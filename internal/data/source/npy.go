package source

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/infile"
	"github.com/gespann/gespann/model/spec"
)

// An NPY file is "\x93NUMPY", a version, the length of a header, the header (a
// Python dict in text: descr, fortran_order, shape), and the elements.
//
// Source: NumPy Enhancement Proposal 1.

// readNPY reads features and targets from array files.
func readNPY(ctx context.Context, all spec.Data, opt Options) (*raw, error) {
	d := all.NPY
	if d.X == "" || d.Y == "" {
		return nil, fmt.Errorf("data.npy: x and y must name files, got x %q and y %q", d.X, d.Y)
	}
	if (d.TestX == "") != (d.TestY == "") {
		return nil, fmt.Errorf("data.npy: test_x and test_y go together, got %q and %q", d.TestX, d.TestY)
	}
	r := &raw{byteMax: 255, source: d.X, targets: d.Y, tested: d.TestY}
	exact := !normalizes(all)
	if opt.Prep != nil {
		exact = !opt.Prep.Normalizes()
	}
	var err error
	if r.parts[data.Train], err = r.readArrays(ctx, [2]string{d.X, d.Y}, exact, opt); err != nil {
		return nil, err
	}
	if d.TestX == "" {
		return r, nil
	}
	if r.parts[data.Test], err = r.readArrays(ctx, [2]string{d.TestX, d.TestY}, exact, opt); err != nil {
		return nil, err
	}
	train, test := &r.parts[data.Train], &r.parts[data.Test]
	if (train.X.U8 == nil) != (test.X.U8 == nil) || (train.Y.I32 == nil) != (test.Y.I32 == nil) {
		return nil, fmt.Errorf("%s, %s: element types differ in kind from those of %s, %s",
			d.TestX, d.TestY, d.X, d.Y)
	}
	return r, sameShape(r)
}

// readArrays reads a part from two files, of x and of y. With exact, float32 must hold the
// integers of x.
func (r *raw) readArrays(ctx context.Context, paths [2]string, exact bool, opt Options) (data.Part, error) {
	xPath, yPath := paths[0], paths[1]
	rows, want := arrayRows(ctx, opt.Files, yPath), arrayRows(ctx, opt.Files, xPath)
	if rows >= 0 && want >= 0 && rows != want {
		return data.Part{}, otherRows(yPath, rows, xPath, want) // before one of them fills the memory
	}
	x, err := openArray(ctx, opt.Files, xPath)
	if err != nil {
		return data.Part{}, err
	}
	if len(x.shape) == 1 {
		x.shape = append(x.shape, 1)
	}
	if strings.HasSuffix(x.dtype, "b1") {
		r.byteMax = 1
	}
	if opt.IntFeatures && (x.f32 != nil || x.f64 != nil) {
		return data.Part{}, fmt.Errorf("%s: %w", xPath, x.notIDs())
	}
	if exact && !opt.IntFeatures {
		if err := x.exact(); err != nil {
			return data.Part{}, fmt.Errorf("%s: %w", xPath, err)
		}
	}
	if x.lost != "" && opt.Log != nil {
		opt.Log("%s: %s: %s", xPath, x.lost, lostWords)
	}
	y, err := openArray(ctx, opt.Files, yPath)
	if err != nil {
		return data.Part{}, err
	}
	if y.shape[0] != x.shape[0] {
		return data.Part{}, otherRows(yPath, y.shape[0], xPath, x.shape[0])
	}
	part := data.Part{X: x.table(), Y: y.targets(), Rows: int(x.shape[0])}
	if y.whole && part.Y.F32 != nil {
		if part.Y.RowSize() > 1 {
			r.rows = fmt.Errorf("integers of shape %v per row", part.Y.Shape)
		} else {
			r.wide = y.tooWide()
		}
	}
	if opt.Log != nil && y.lost != "" && isRegression(opt.Loss) {
		opt.Log("%s: %s: targets are float32, as predictions are", yPath, y.lost)
	} else if i, v := y.rounded(); opt.Log != nil && i >= 0 && isRegression(opt.Loss) {
		opt.Log("%s: element %d: %v: targets are float32, as predictions are", yPath, i, &inexactError{v: v})
	}
	return part, nil
}

func otherRows(path string, rows int64, other string, want int64) error {
	return fmt.Errorf("%s: %d rows, but %s has %d", path, rows, other, want)
}

// arrayRows returns how many rows the header of an array announces, or -1.
func arrayRows(ctx context.Context, files infile.Files, path string) int64 {
	rows := func(in *input) (int64, error) {
		a, err := decodeNPY(in)
		if err != nil {
			return 0, err
		}
		return a.shape[0], nil
	}
	file, name, ok := ofNPZ(path)
	if !ok {
		return rowsOf(ctx, files, path, rows)
	}
	return rowsOf(ctx, files, file, func(in *input) (int64, error) {
		member, content, err := npzMember(in.file, in.size, name)
		if err != nil {
			return 0, err
		}
		defer content.Close()
		member.head = true
		return rows(member)
	})
}

// ofNPZ splits file.npz:name.
func ofNPZ(path string) (file, name string, ok bool) {
	i := strings.LastIndex(path, ".npz")
	if i < 0 || i+4 < len(path) && path[i+4] != ':' {
		return "", "", false
	}
	return path[:i+4], strings.TrimPrefix(path[i+4:], ":"), true
}

// An array is what an NPY file holds, row-major. One of u8, i32, f32 and f64 is set.
type array struct {
	dtype string
	shape []int64
	u8    []byte
	i32   []int32
	f32   []float32
	f64   []float64
	whole bool   // the type is one of integers or booleans
	lost  string // the first integer in the file that float64 does not have, in words
}

// notIDs says why the array is none of ids.
func (a *array) notIDs() error {
	if a.whole {
		return a.tooWide()
	}
	return fmt.Errorf("%s elements, but the model starts with an embedding, which takes integer ids", a.dtype)
}

// tooWide names the first integer of more than 32 bits.
func (a *array) tooWide() error {
	i := slices.IndexFunc(a.f64, func(v float64) bool { return v != float64(int32(v)) })
	if i < 0 {
		return nil
	}
	return fmt.Errorf("element %d is %s, want at most 32 bits", i, clip(fmt.Sprintf("%.0f", a.f64[i])))
}

// rounded returns the first integer that float32 does not have, and where it is,
// or -1.
func (a *array) rounded() (int, float64) {
	if !a.whole {
		return -1, 0
	}
	i := slices.IndexFunc(a.i32, func(v int32) bool { return float64(float32(v)) != float64(v) })
	if i >= 0 {
		return i, float64(a.i32[i])
	}
	if i = slices.IndexFunc(a.f64, func(v float64) bool { return float64(float32(v)) != v }); i >= 0 {
		return i, a.f64[i]
	}
	return -1, 0
}

// exact returns an error for integers that are features and that float32 does not
// have.
func (a *array) exact() error {
	i, v := a.rounded()
	if i < 0 && a.lost != "" {
		return errors.New(a.lost + "\nhint: " +
			"subtract the least before it is saved, or leave the column out if it only names something")
	} else if i < 0 {
		return nil
	}
	return fmt.Errorf("element %d: %w\nhint: data.normalize: standard or scale is computed from the number itself; "+
		"or, if rounding does no harm, save x.astype(numpy.float32)", i, &inexactError{v: v})
}

// table returns the array as rows.
func (a *array) table() data.Table {
	return data.Table{Shape: rowShape(a.shape), U8: a.u8, I32: a.i32, F32: a.f32, F64: a.f64}
}

// targets returns the array as targets: one integer per row, or rows of floats.
func (a *array) targets() data.Table {
	t := a.table()
	size := t.RowSize()
	if t.U8 != nil {
		t.I32 = make([]int32, len(t.U8))
		for i, v := range t.U8 {
			t.I32[i] = int32(v)
		}
		t.U8 = nil
	}
	switch {
	case t.I32 != nil && size == 1:
		t.Shape = []int{}
	case t.I32 != nil:
		t.F32 = make([]float32, len(t.I32))
		for i, v := range t.I32 {
			t.F32[i] = float32(v)
		}
		t.I32 = nil
	case t.F64 != nil:
		t.F32 = make([]float32, len(t.F64))
		for i, v := range t.F64 {
			t.F32[i] = float32(v)
		}
		t.F64 = nil
	}
	if t.I32 == nil && len(t.Shape) == 0 {
		t.Shape = []int{1}
	}
	return t
}

func rowShape(shape []int64) []int {
	row := make([]int, 0, len(shape))
	for _, dim := range shape[1:] {
		row = append(row, int(dim))
	}
	return row
}

// openArray reads a .npy file, or file.npz:name.
func openArray(ctx context.Context, files infile.Files, path string) (*array, error) {
	if file, name, ok := ofNPZ(path); ok {
		return openNPZ(ctx, files, file, name)
	}
	in, err := open(ctx, files, path)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	a, err := decodeNPY(in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return a, nil
}

// npyMagic is what an NPY file begins with.
const npyMagic = "\x93NUMPY"

// maxHeader bounds the header; that of a plain array has about 100 bytes.
const maxHeader = 64 << 10

// decodeNPY reads an array and converts its elements: bytes and booleans to u8,
// other integers to i32, or where one is longer to f64, floats to f32 or f64.
func decodeNPY(in *input) (*array, error) {
	if err := in.notForeign(npyMagic, "NPY"); err != nil {
		return nil, err
	}
	header, length, err := npyHeader(in)
	if err != nil {
		return nil, err
	}
	h, err := parseNPYHeader(header)
	if err != nil {
		return nil, fmt.Errorf("NPY header: %w", err)
	}
	if len(h.shape) == 0 {
		return nil, fmt.Errorf("shape () is a single number, want rows")
	}
	t, ok := npyTypes[strings.TrimLeft(h.descr, "<>|=")]
	if !ok {
		return nil, noNumbers(h.descr)
	}
	count, ok := volume(h.shape, max(t.width, 4))
	if !ok || count == 0 {
		return nil, fmt.Errorf("shape %s: want at least one element, and no more than memory can hold",
			h.words())
	}
	var order binary.ByteOrder = binary.LittleEndian
	if h.descr[0] == '>' {
		order = binary.BigEndian
	}
	a := &array{dtype: h.descr, shape: h.shape, whole: t.floats == nil}
	if in.head {
		return a, in.fits(length, count, t.width)
	}
	err = in.affords(length, count, t.width)
	if err == nil {
		err = in.elements(length, count, t.width, t.reader(a, in, count, order))
	}
	if err != nil {
		return nil, about(fmt.Sprintf("%s elements of shape %s", h.descr, h.words()), err)
	}
	if h.fortran && len(h.shape) > 1 {
		a.u8, a.i32 = rowMajor(a.u8, a.shape), rowMajor(a.i32, a.shape)
		a.f32, a.f64 = rowMajor(a.f32, a.shape), rowMajor(a.f64, a.shape)
	}
	return a, nil
}

// npyHeader returns the header's text and the number of bytes before the elements.
func npyHeader(in *input) (text string, length int64, err error) {
	var head [12]byte
	if _, err := io.ReadFull(in, head[:10]); err != nil {
		return "", 0, fmt.Errorf("no NPY header: %w", unexpected(err))
	}
	if string(head[:6]) != npyMagic {
		hint := ""
		if !bytes.ContainsFunc(head[:10], func(r rune) bool { return !unicode.IsPrint(r) && !unicode.IsSpace(r) }) {
			hint = "\nhint: it looks like text, which data.source: csv reads"
		}
		return "", 0, fmt.Errorf("not an NPY file: starts with %s, want 93 4e 55 4d 50 59%s", clip(fmt.Sprintf("% x", head[:6])), hint)
	}
	start := int64(10)
	size := int64(binary.LittleEndian.Uint16(head[8:]))
	switch version := head[6]; version {
	case 1:
	case 2, 3:
		if _, err := io.ReadFull(in, head[10:]); err != nil {
			return "", 0, fmt.Errorf("NPY header ends early: %w", unexpected(err))
		}
		size, start = int64(binary.LittleEndian.Uint32(head[8:])), 12
	default:
		return "", 0, fmt.Errorf("NPY version %d.%d, want 1.0, 2.0 or 3.0", version, head[7])
	}
	if size > maxHeader {
		return "", 0, fmt.Errorf("NPY header of %d bytes, want at most %d", size, maxHeader)
	}
	if in.size >= 0 && start+size > in.size {
		return "", 0, fmt.Errorf("NPY header of %d bytes, file has %d", size, in.size)
	}
	buf := make([]byte, size)
	if _, err := io.ReadFull(in, buf); err != nil {
		return "", 0, fmt.Errorf("NPY header ends early: %w", unexpected(err))
	}
	return string(buf), start + size, nil
}
