package source

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/infile"
	"github.com/gespann/gespann/model/spec"
)

// npyText makes an NPY file of version 1.0 with any header.
func npyText(header string, elements []byte) string {
	b := append([]byte("\x93NUMPY\x01\x00"), byte(len(header)), byte(len(header)>>8))
	return string(b) + header + string(elements)
}

// npy makes an NPY file from a Go slice of fixed-size elements.
func npy(descr, shape string, values any) string {
	return npyOrder(descr, shape, "False", values)
}

func npyOrder(descr, shape, fortran string, values any) string {
	var b bytes.Buffer
	var order binary.ByteOrder = binary.LittleEndian
	if descr[0] == '>' {
		order = binary.BigEndian
	}
	binary.Write(&b, order, values)
	header := fmt.Sprintf("{'descr': '%s', 'fortran_order': %s, 'shape': %s, }", descr, fortran, shape)
	return npyText(header+strings.Repeat(" ", 117-len(header))+"\n", b.Bytes())
}

func npz(t *testing.T, method uint16, files map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, content := range files {
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: method})
		if err != nil {
			t.Fatal(err)
		}
		f.Write([]byte(content))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestNPYTypes(t *testing.T) {
	tests := []struct {
		file string
		want any
	}{
		{npy("|u1", "(3,)", []byte{0, 7, 255}), []byte{0, 7, 255}},
		{npy("|b1", "(3,)", []byte{0, 1, 2}), []byte{0, 1, 1}},
		{npy("|i1", "(2,)", []int8{-128, 127}), []int32{-128, 127}},
		{npy("<u2", "(2,)", []uint16{1, 65535}), []int32{1, 65535}},
		{npy(">i2", "(2,)", []int16{-2, 3}), []int32{-2, 3}},
		{npy("<i4", "(2,)", []int32{math.MinInt32, math.MaxInt32}), []int32{math.MinInt32, math.MaxInt32}},
		{npy(">u4", "(1,)", []uint32{70000}), []int32{70000}},
		{npy("<i8", "(2,)", []int64{-5, 1 << 30}), []int32{-5, 1 << 30}},
		{npy(">i8", "(1,)", []int64{-5}), []int32{-5}},
		{npy("<u8", "(1,)", []uint64{9}), []int32{9}},
		{npy("<f4", "(2,)", []float32{-0.5, 3e38}), []float32{-0.5, 3e38}},
		{npy(">f4", "(1,)", []float32{1.5}), []float32{1.5}},
		{npy("<f8", "(2,)", []float64{0.1, -1e30}), []float64{0.1, -1e30}},
		{npy(">f8", "(1,)", []float64{0.1}), []float64{0.1}},
		{npy("<i8", "(3,)", []int64{7, -1 << 40, 1<<53 - 1}), []float64{7, -1 << 40, 1<<53 - 1}},
		{npy(">u4", "(2,)", []uint32{1, 1<<32 - 1}), []float64{1, 1<<32 - 1}},
		{npy("<u8", "(2,)", []uint64{1, 1 << 63}), []float64{1, 1 << 63}},
		{npyOrder("<i8", "(2, 2)", "True", []int64{1, 1 << 33, 2, 4}), []float64{1, 2, 1 << 33, 4}},
		// float16: 1, −2, the greatest, the least normal, the least, a third, −0.
		{npy("<f2", "(7,)", []uint16{0x3c00, 0xc000, 0x7bff, 0x0400, 0x0001, 0x3555, 0x8000}),
			[]float32{1, -2, 65504, 0x1p-14, 0x1p-24, 0.333251953125, float32(math.Copysign(0, -1))}},
		{npy(">f2", "(1,)", []uint16{0x3c00}), []float32{1}},
		{npyOrder("<i4", "(2, 3)", "True", []int32{0, 3, 1, 4, 2, 5}), []int32{0, 1, 2, 3, 4, 5}},
		{npyOrder("|u1", "(2, 2, 2)", "True", []byte{0, 4, 2, 6, 1, 5, 3, 7}), []byte{0, 1, 2, 3, 4, 5, 6, 7}},
		{zipped(npy("|u1", "(3,)", []byte{1, 2, 3})), []byte{1, 2, 3}},
		{npyText(`{"shape":(2L,1),"fortran_order":False,"descr":"<i4"}`, make([]byte, 8)), []int32{0, 0}},
		{"\x93NUMPY\x02\x00\x37\x00\x00\x00{'descr': '|u1', 'fortran_order': False, 'shape': (1,)}\x05", []byte{5}},
		{"\x93NUMPY\x03\x00\x37\x00\x00\x00{'descr': '|u1', 'fortran_order': False, 'shape': (1,)}\x05", []byte{5}},
	}
	for _, test := range tests {
		a, err := openArray(t.Context(), infile.Files{}, write(t, "x.npy", test.file))
		if err != nil {
			t.Errorf("%.80q: %v", test.file, err)
			continue
		}
		var got any
		switch {
		case a.u8 != nil:
			got = a.u8
		case a.i32 != nil:
			got = a.i32
		case a.f64 != nil:
			got = a.f64
		default:
			got = a.f32
		}
		if fmt.Sprint(got) != fmt.Sprint(test.want) || fmt.Sprintf("%T", got) != fmt.Sprintf("%T", test.want) {
			t.Errorf("%.80q: %T %v, want %T %v", test.file, got, got, test.want, test.want)
		}
	}
}

const (
	elementTypes = "want one of b1, u1, i1, u2, i2, u4, i4, u8, i8, f2, f4, f8"
	textHint     = "\nhint: in Python, for class labels: numpy.save(\"y.npy\", numpy.unique(y, return_inverse=True)[1]); for numbers: x.astype(numpy.float32)"
	floatHint    = "\nhint: in Python: numpy.save(\"x.npy\", x.astype(numpy.float32))"
)

func TestNPYErrors(t *testing.T) {
	good := npy("<f4", "(2, 2)", []float32{1, 2, 3, 4})
	dict := func(s string) string { return npyText(s, make([]byte, 16)) }
	const rest = "'fortran_order': False, 'shape': (4,)}"
	tests := []struct{ name, file, want string }{
		{"empty", "", "no NPY header: unexpected EOF"},
		{"not NPY", "1,2,3\n4,5,6\n", "not an NPY file: starts with 31 2c 32 2c 33 0a, want 93 4e 55 4d 50 59\nhint: it looks like text, which data.source: csv reads"},
		{"not text", "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a", "not an NPY file: starts with 01 02 03 04 05 06, want 93 4e 55 4d 50 59"},
		{"version", "\x93NUMPY\x09\x01" + good[8:], "NPY version 9.1, want 1.0, 2.0 or 3.0"},
		{"cut header", good[:50], "NPY header of 118 bytes, file has 50"},
		{"cut header, compressed", zipped(good[:50]), "NPY header ends early: unexpected EOF"},
		{"huge header", "\x93NUMPY\x02\x00\xff\xff\xff\xff", "NPY header of 4294967295 bytes, want at most 65536"},
		{"cut", good[:140], "<f4 elements of shape (2, 2) need 144 bytes, file has 140"},
		{"long", good + "!", "<f4 elements of shape (2, 2) need 144 bytes, file has 145"},
		{"long, compressed", zipped(good + "!"), "<f4 elements of shape (2, 2) need 144 bytes, file has more"},
		{"objects", dict("{'descr': '|O', " + rest), `NPY header: element type "|O" holds Python objects, want plain numbers` + floatHint},
		{"structured", dict("{'descr': [('a', '<f4')], " + rest), "NPY header: structured elements, want plain numbers\nhint: in Python: import numpy.lib.recfunctions; numpy.save(\"x.npy\", numpy.lib.recfunctions.structured_to_unstructured(x))"},
		{"text", dict("{'descr': '<U8', " + rest), `element type "<U8" is text, ` + elementTypes + textHint},
		{"bytes as text", dict("{'descr': '|S3', " + rest), `element type "|S3" is text, ` + elementTypes + textHint},
		{"dates", dict("{'descr': '<M8[ns]', " + rest), `element type "<M8[ns]" is dates or times, ` + elementTypes + "\nhint: in Python: numpy.save(\"x.npy\", x.astype(numpy.int64)), and set data.normalize: standard"},
		{"complex", dict("{'descr': '<c8', " + rest), `element type "<c8" is complex numbers, ` + elementTypes + "\nhint: in Python: numpy.save(\"x.npy\", numpy.stack([x.real, x.imag], -1))"},
		{"long double", dict("{'descr': '<f16', " + rest), `element type "<f16", ` + elementTypes + floatHint},
		{"no type", dict("{'descr': '', " + rest), `element type "", ` + elementTypes + floatHint},
		{"half NaN", npy("<f2", "(2,)", []uint16{0, 0x7e00}), "<f2 elements of shape (2): element 1 is NaN, want a finite float32"},
		{"half infinity", npy("<f2", "(1,)", []uint16{0xfc00}), "<f2 elements of shape (1): element 0 is -Inf, want a finite float32"},
		{"PNG", "\x89PNG\r\n\x1a\n", "is a PNG image, want NPY\nhint: " + imageHint},
		{"pickle", "\x80\x04\x95", "is a Python pickle, want NPY\nhint: " + datasetHint},
		{"no dict", dict("descr"), `NPY header: got "descr", want {`},
		{"unknown key", dict("{'evil': 1}"), `NPY header: unknown key "evil"`},
		{"missing key", dict("{'descr': '<f4', 'fortran_order': False}"), `NPY header: no key "shape"`},
		{"twice", dict("{'descr': '<f4', 'descr': '<f4', " + rest), `NPY header: key "descr" twice`},
		{"rest", dict("{'descr': '<f4', " + rest + " import os"), `NPY header: got "import os", want the end`},
		{"negative", npy("<f4", "(-4,)", []float32{1}), fmt.Sprintf(`NPY header: shape: got "-4,), }             ", want a size from 0 to %d`, math.MaxInt)},
		{"overflow", npy("<f4", "(4611686018427387904, 4)", []float32{}), "shape (4611686018427387904, 4): want at least one element, and no more than memory can hold"},
		{"beyond 64 bits", npy("<f4", "(99999999999999999999,)", []float32{}), fmt.Sprintf(`NPY header: shape: got "99999999999999999999", want a size from 0 to %d`, math.MaxInt)},
		{"terabytes", npy("<f4", "(1099511627776,)", []float32{}), "<f4 elements of shape (1099511627776) need 4398046511232 bytes, file has 128"},
		{"no rows", npy("<f4", "(0, 5)", []float32{}), "shape (0, 5): want at least one element, and no more than memory can hold"},
		{"scalar", npy("<f4", "()", []float32{1}), "shape () is a single number, want rows"},
		{"axes", dict("{'descr': '<f4', 'fortran_order': False, 'shape': (" + strings.Repeat("1,", 33) + ")}"), "NPY header: shape: more than 32 axes"},
		{"NaN", npy("<f4", "(2,)", []float32{1, float32(math.NaN())}), "<f4 elements of shape (2): element 1 is NaN, want a finite float32"},
		{"too large", npy("<f8", "(2,)", []float64{1, 1e300}), "<f8 elements of shape (2): element 1 is 1e+300, want a finite float32"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, "x.npy", test.file)
			_, err := openArray(t.Context(), infile.Files{}, path)
			wantError(t, tell(err, false), strings.TrimSuffix(path, "/x.npy"), "x.npy: "+test.want)
		})
	}
}

func TestNPZ(t *testing.T) {
	x, y := npy("|u1", "(2, 3)", []byte{1, 2, 3, 4, 5, 6}), npy("<i8", "(2,)", []int64{1, 0})
	for _, method := range []uint16{zip.Store, zip.Deflate} {
		path := write(t, "set.npz", npz(t, method, map[string]string{"x.npy": x, "y.npy": y}))
		set := load(t, spec.Data{Source: "npy", NPY: spec.NPY{X: path + ":x", Y: path + ":y"}}, Options{})
		p := set.Parts[data.Train]
		if !bytes.Equal(p.X.U8, []byte{1, 2, 3, 4, 5, 6}) || !slices.Equal(p.Y.I32, []int32{1, 0}) || set.Classes != 2 {
			t.Errorf("x %v, y %v, classes %d", p.X.U8, p.Y.I32, set.Classes)
		}
	}
}

func TestNPZErrors(t *testing.T) {
	x := npy("|u1", "(2, 3)", []byte{1, 2, 3, 4, 5, 6})
	two := npz(t, zip.Deflate, map[string]string{"a.npy": x})
	bomb := []byte(two)
	// The central directory says how large the file is unpacked, at its byte 24.
	at := bytes.LastIndex(bomb, []byte("PK\x01\x02")) + 24
	binary.LittleEndian.PutUint32(bomb[at:], 1<<30)
	tests := []struct{ name, file, array, want string }{
		{"no zip", "hello", "a", "set.npz:a: zip: not a valid zip file"},
		{"empty", "", "a", "set.npz:a: zip: not a valid zip file"},
		{"no array", two, "x", `set.npz:x: no array "x", got a`},
		{"no name", npz(t, zip.Store, map[string]string{"a.npy": x, "a": x}), "", "set.npz: 2 arrays, want a name: file.npz:name, with one of a, a"},
		{"bomb", string(bomb), "a", fmt.Sprintf("set.npz:a: a.npy: archive of %d bytes claims 1073741824 bytes, packed in %d", len(bomb), binary.LittleEndian.Uint32(bomb[at-4:]))},
		{"cut", npz(t, zip.Store, map[string]string{"a.npy": x[:130]}), "a", "set.npz:a: |u1 elements of shape (2, 3) need 134 bytes, file has 130"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, "set.npz", test.file)
			_, err := openArray(t.Context(), infile.Files{}, strings.TrimSuffix(path+":"+test.array, ":"))
			wantError(t, tell(err, false), strings.TrimSuffix(path, "/set.npz"), test.want)
		})
	}
}

func TestNPYTargets(t *testing.T) {
	x := npy("<f4", "(4, 2)", []float32{1, 2, 3, 4, 5, 6, 7, 8})
	tests := []struct {
		name, y, loss string
		oneHot        bool
		want          data.Table
		classes       int
	}{
		{"classes", npy("<i8", "(4,)", []int64{0, 2, 1, 0}), "sparse_categorical_crossentropy", false,
			data.Table{Shape: []int{}, I32: []int32{0, 2, 1, 0}}, 3},
		{"column", npy("|u1", "(4, 1)", []byte{0, 2, 1, 0}), "sparse_categorical_crossentropy", false,
			data.Table{Shape: []int{}, I32: []int32{0, 2, 1, 0}}, 3},
		{"one hot", npy("|u1", "(4,)", []byte{0, 1, 1, 0}), "categorical_crossentropy", true,
			data.Table{Shape: []int{2}, F32: []float32{1, 0, 0, 1, 0, 1, 1, 0}}, 2},
		{"binary", npy("|b1", "(4,)", []byte{0, 1, 1, 0}), "binary_crossentropy", false,
			data.Table{Shape: []int{1}, F32: []float32{0, 1, 1, 0}}, 2},
		{"several", npy("|b1", "(4, 2)", []byte{0, 1, 1, 0, 1, 1, 0, 0}), "binary_crossentropy", false,
			data.Table{Shape: []int{2}, F32: []float32{0, 1, 1, 0, 1, 1, 0, 0}}, 0},
		{"numbers", npy("<f8", "(4,)", []float64{0.5, 1, -1, 0}), "mean_squared_error", false,
			data.Table{Shape: []int{1}, F32: []float32{0.5, 1, -1, 0}}, 0},
		{"integers as numbers", npy("<i4", "(4,)", []int32{-7, 1, 2, 3}), "huber", false,
			data.Table{Shape: []int{1}, F32: []float32{-7, 1, 2, 3}}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := folder(t, map[string]string{"x.npy": x, "y.npy": test.y})
			d := spec.Data{Source: "npy", OneHot: test.oneHot, NPY: spec.NPY{X: dir + "/x.npy", Y: dir + "/y.npy"}}
			set := load(t, d, Options{Loss: test.loss})
			got := set.Parts[data.Train].Y
			if fmt.Sprint(got) != fmt.Sprint(test.want) || set.Classes != test.classes {
				t.Errorf("%v, %d classes, want %v, %d", got, set.Classes, test.want, test.classes)
			}
		})
	}
}

func TestScaleOfBooleans(t *testing.T) {
	dir := folder(t, map[string]string{
		"x.npy": npy("|b1", "(2, 2)", []byte{0, 1, 1, 0}), "y.npy": npy("|u1", "(2,)", []byte{0, 1}),
	})
	d := spec.Data{Source: "npy", Normalize: "scale", NPY: spec.NPY{X: dir + "/x.npy", Y: dir + "/y.npy"}}
	set := load(t, d, Options{})
	if got := row(&set.Parts[data.Train].X, 0); !slices.Equal(got, []float32{0, 1}) {
		t.Errorf("got %v, want [0 1]", got)
	}
}

const classHint = "\nhint: class labels count from 0; numbers to predict need a regression loss"

func TestTargetErrors(t *testing.T) {
	x := npy("<f4", "(4, 2)", []float32{1, 2, 3, 4, 5, 6, 7, 8})
	classes, floats := npy("<i8", "(4,)", []int64{0, 2, 1, 0}), npy("<f4", "(4,)", []float32{0, 2, 1, 0})
	tests := []struct {
		name, y, loss string
		oneHot        bool
		want          string
	}{
		{"floats as classes", floats, "sparse_categorical_crossentropy", false, "y.npy: loss sparse_categorical_crossentropy takes integer class labels, got numbers\nhint: save the labels as integers: in Python, numpy.save(\"y.npy\", y.astype(numpy.int64))"},
		{"masks", npy("<i8", "(4, 8, 8)", make([]int64, 4*64)), "sparse_categorical_crossentropy", false, "y.npy: loss sparse_categorical_crossentropy takes one class label per row, got integers of shape [8 8] per row\nhint: loss categorical_crossentropy takes the same one-hot: in Python, numpy.save(\"y.npy\", numpy.eye(classes, dtype=numpy.float32)[y])"},
		{"one hot masks", npy("|u1", "(4, 8, 8)", make([]byte, 4*64)), "categorical_crossentropy", true, "y.npy: data.one_hot: takes one class label per row, got integers of shape [8 8] per row"},
		{"rows of floats", npy("<f4", "(4, 2)", make([]float32, 8)), "sparse_categorical_crossentropy", false, "y.npy: loss sparse_categorical_crossentropy takes one class label per row, got numbers of shape [2] per row"},
		{"1 and 2", npy("<i8", "(4,)", []int64{1, 2, 1, 2}), "binary_crossentropy", false, "y.npy: loss binary_crossentropy takes two classes or rows of 0 and 1, got 3 classes\nhint: classes count from 0, but the labels are 1 to 2: subtract 1"},
		{"wide labels", npy("<i8", "(4,)", []int64{0, 1, 1 << 40, 0}), "sparse_categorical_crossentropy", false, "y.npy: element 2 is 1099511627776, want at most 32 bits"},
		{"above 1", npy("<f4", "(4,)", []float32{0, 1, 1.0000001, 0.5}), "binary_crossentropy", false, "y.npy: row 2: target 1.0000001, want 0 to 1 for loss binary_crossentropy"},
		{"below 0", npy("<f8", "(4, 2)", []float64{0, 1, 1, 0, 0.5, -0.5, 0, 1}), "categorical_crossentropy", false, "y.npy: row 2: column 1: target -0.5, want 0 to 1 for loss categorical_crossentropy"},
		{"integer rows", npy("<i2", "(4, 2)", []int16{0, 1, 1, 0, 255, 0, 0, 1}), "binary_crossentropy", false, "y.npy: row 2: column 0: target 255, want 0 to 1 for loss binary_crossentropy"},
		{"one hot floats", floats, "mean_squared_error", true, "y.npy: data.one_hot: does not apply to targets that are numbers"},
		{"one hot, sparse", classes, "sparse_categorical_crossentropy", true, "y.npy: data.one_hot: loss sparse_categorical_crossentropy takes class labels, not rows\nhint: use categorical_crossentropy, or remove one_hot"},
		{"no one hot", classes, "categorical_crossentropy", false, "y.npy: loss categorical_crossentropy takes one-hot rows, got 3 classes\nhint: set data.one_hot: true"},
		{"binary of three", classes, "binary_crossentropy", false, "y.npy: loss binary_crossentropy takes two classes or rows of 0 and 1, got 3 classes\nhint: set data.one_hot: true"},
		{"negative", npy("<i8", "(4,)", []int64{0, -2, 1, 0}), "sparse_categorical_crossentropy", false, "y.npy: row 1: label -2, want 0 to 1048575\nhint: classes count from 0, but the labels are -2 to 1: add 2"},
		{"huge", npy("<i8", "(4,)", []int64{0, 2000000000, 1, 0}), "sparse_categorical_crossentropy", false, "y.npy: row 1: label 2000000000, want 0 to 1048575" + classHint},
		{"rows", npy("<i8", "(3,)", []int64{0, 2, 1}), "", false, "y.npy: 3 rows, but x.npy has 4"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := folder(t, map[string]string{"x.npy": x, "y.npy": test.y})
			d := spec.Data{Source: "npy", OneHot: test.oneHot, NPY: spec.NPY{X: dir + "/x.npy", Y: dir + "/y.npy"}}
			_, err := Load(context.Background(), d, Options{Loss: test.loss})
			wantError(t, err, dir, test.want)
		})
	}
}

func FuzzNPY(f *testing.F) {
	f.Add([]byte(npy("<f4", "(2, 2)", []float32{1, 2, 3, 4})))
	f.Add([]byte(npyOrder(">i8", "(2, 3)", "True", []int64{1, 2, 3, 4, 5, 6})))
	f.Add([]byte(npy("|O", "(4611686018427387904, 4)", []byte{})))
	f.Add([]byte("\x93NUMPY\x02\x00\xff\xff\xff\xff"))
	f.Add([]byte(npyText("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (-1, 2L)}", nil)))
	f.Add([]byte(zipped(npy("|b1", "(3,)", []byte{0, 1, 2}))))
	f.Fuzz(func(t *testing.T, b []byte) {
		withinMemory(t, b, 16, func() {
			in, err := newStream(bytes.NewReader(b), "fuzz")
			if err != nil {
				return
			}
			in.size = sizeOf(in, b)
			if a, err := decodeNPY(in); err == nil {
				checkArray(t, a)
			}
		})
	})
}

func FuzzNPZ(f *testing.F) {
	f.Add([]byte("PK\x03\x04"))
	f.Add([]byte(fuzzArchive(zip.Store)))
	f.Add([]byte(fuzzArchive(zip.Deflate)))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, name := range []string{"", "x"} {
			withinMemory(t, b, 8*maxDeflate, func() {
				if a, err := decodeNPZ(bytes.NewReader(b), int64(len(b)), name, nil); err == nil {
					checkArray(t, a)
				}
			})
		}
	})
}

func fuzzArchive(method uint16) string {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, _ := w.CreateHeader(&zip.FileHeader{Name: "x.npy", Method: method})
	f.Write([]byte(npy("<f4", "(40, 2)", make([]float32, 80))))
	w.Close()
	return b.String()
}

// checkArray checks that an array is what its shape says.
func checkArray(t *testing.T, a *array) {
	t.Helper()
	count, ok := volume(a.shape, 4)
	if got := len(a.u8) + len(a.i32) + len(a.f32) + len(a.f64); !ok || int64(got) != count {
		t.Errorf("shape %v: %d elements", a.shape, got)
	}
}
