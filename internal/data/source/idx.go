package source

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/infile"
	"github.com/gespann/gespann/model/spec"
)

// An IDX file is two zero bytes, the element type, the number of axes, the
// length of each axis as a big-endian 32-bit number, and the elements, row-major.
//
// Source: Y. LeCun, C. Cortes and C. Burges, the MNIST database.
const (
	idxBytes = 0x08 // element type of unsigned bytes
	idxMagic = "\x00\x00\x08"
)

// idxFiles are the standard names: images and labels to train, and to test.
var idxFiles = [4]string{
	"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
	"t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte",
}

// readIDX reads the four files of an MNIST-like data set. The test files may
// both be missing from a folder of source idx.
func readIDX(ctx context.Context, d spec.Data, opt Options) (*raw, error) {
	dir, files := d.Dir, opt.Files
	if dir == "" {
		m, ok := mirrors[d.Source]
		if !ok {
			return nil, fmt.Errorf("data.dir: source %s needs the folder of its files", d.Source)
		}
		var err error
		if dir, err = cacheDir(d.Source, opt); err != nil {
			return nil, err
		}
		files.Confined = false // what is in these files is known
		if err := download(ctx, m, dir, opt); err != nil {
			return nil, err
		}
	}
	r := &raw{isClass: true, byteMax: 255, source: d.Source + " in " + dir}
	if d.Source != "idx" {
		r.classes = 10
	}
	if d.Source == "fashion_mnist" {
		r.labels = fashionLabels
	}
	for i, split := range []data.Split{data.Train, data.Test} {
		images, err := find(ctx, files, filepath.Join(dir, idxFiles[2*i]))
		if split == data.Test && d.Source == "idx" && errors.Is(err, fs.ErrNotExist) {
			if _, err := find(ctx, files, filepath.Join(dir, idxFiles[3])); errors.Is(err, fs.ErrNotExist) {
				break
			}
		}
		if err != nil {
			return nil, err
		}
		labels, err := find(ctx, files, filepath.Join(dir, idxFiles[2*i+1]))
		if err != nil {
			return nil, err
		}
		if r.parts[split], err = readPair(ctx, files, [2]string{images, labels}, r.classes); err != nil {
			return nil, err
		}
	}
	return r, sameShape(r)
}

// find returns the path of a file, plain or compressed.
func find(ctx context.Context, files infile.Files, path string) (string, error) {
	for _, p := range []string{path, path + ".gz"} {
		if _, err := files.Stat(ctx, p); err == nil {
			return p, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return "", fmt.Errorf("%s: %w, neither plain nor as .gz", path, fs.ErrNotExist)
}

// readPair reads images and their labels; classes 0 accepts any label.
func readPair(ctx context.Context, files infile.Files, paths [2]string, classes int) (data.Part, error) {
	imagesPath, labelsPath := paths[0], paths[1]
	rows := func(in *input) (int64, error) {
		dims, _, err := decodeIDX(in)
		if err != nil {
			return 0, err
		}
		return dims[0], nil
	}
	images, count := rowsOf(ctx, files, imagesPath, rows), rowsOf(ctx, files, labelsPath, rows)
	if images >= 0 && count >= 0 && images != count {
		return data.Part{}, otherLabels(labelsPath, count, imagesPath, images) // before one of them fills the memory
	}
	dims, x, err := readIDXFile(ctx, files, imagesPath)
	if err != nil {
		return data.Part{}, err
	}
	if len(dims) < 2 {
		return data.Part{}, fmt.Errorf("%s: %d axes, want at least 2: images, and their sizes",
			imagesPath, len(dims))
	}
	labelDims, labels, err := readIDXFile(ctx, files, labelsPath)
	if err != nil {
		return data.Part{}, err
	}
	if len(labelDims) != 1 {
		return data.Part{}, fmt.Errorf("%s: %d axes, want 1: a label per image",
			labelsPath, len(labelDims))
	}
	if labelDims[0] != dims[0] {
		return data.Part{}, otherLabels(labelsPath, labelDims[0], imagesPath, dims[0])
	}
	y := data.Table{Shape: []int{}, I32: make([]int32, len(labels))}
	for i, v := range labels {
		y.I32[i] = int32(v)
	}
	if classes > 0 {
		if err := y.CheckLabels(classes); err != nil {
			return data.Part{}, fmt.Errorf("%s: %w", labelsPath, err)
		}
	}
	return data.Part{X: data.Table{Shape: idxRow(dims), U8: x}, Y: y, Rows: len(labels)}, nil
}

func otherLabels(path string, labels int64, other string, images int64) error {
	return fmt.Errorf("%s: %d labels, but %s has %d images", path, labels, other, images)
}

// idxRow returns the shape of a row: images without channels get one.
func idxRow(dims []int64) []int {
	row := make([]int, 0, len(dims))
	for _, dim := range dims[1:] {
		row = append(row, int(dim))
	}
	if len(row) == 2 {
		row = append(row, 1)
	}
	return row
}

func readIDXFile(ctx context.Context, files infile.Files, path string) ([]int64, []byte, error) {
	in, err := open(ctx, files, path)
	if err != nil {
		return nil, nil, err
	}
	defer in.Close()
	dims, elems, err := decodeIDX(in)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return dims, elems, nil
}

// decodeIDX returns the length of each axis and the elements.
func decodeIDX(in *input) (dims []int64, elems []byte, err error) {
	if err := in.notForeign(idxMagic, "IDX"); err != nil {
		return nil, nil, err
	}
	var head [4]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, nil, fmt.Errorf("no IDX header: %w", unexpected(err))
	}
	switch {
	case head[0] != 0 || head[1] != 0:
		return nil, nil, fmt.Errorf("not an IDX file: starts with %s, want 00 00 08", clip(fmt.Sprintf("% x", head[:3])))
	case head[2] != idxBytes:
		return nil, nil, fmt.Errorf("element type 0x%02x, want 0x08 (unsigned bytes)"+
			"\nhint: arrays of other types are read from NPY, with data.source: npy", head[2])
	case head[3] < 1 || head[3] > 4:
		return nil, nil, fmt.Errorf("%d axes, want 1 to 4", head[3])
	}
	axes := make([]byte, 4*int(head[3]))
	if _, err := io.ReadFull(in, axes); err != nil {
		return nil, nil, fmt.Errorf("IDX header ends early: %w", unexpected(err))
	}
	for i := 0; i < len(axes); i += 4 {
		dims = append(dims, int64(binary.BigEndian.Uint32(axes[i:])))
	}
	count, ok := volume(dims, 1)
	if !ok || count == 0 {
		return nil, nil, fmt.Errorf("%s: want at least one byte, and no more than memory can hold",
			idxWords(dims))
	}
	header := int64(len(head) + len(axes))
	if in.head {
		return dims, nil, in.fits(header, count, 1)
	}
	if err := in.affords(header, count, 1); err != nil {
		return nil, nil, about(idxWords(dims), err)
	}
	elems = room[byte](in, count, 1)
	err = in.elements(header, count, 1, func(b []byte) error {
		elems = append(grow(elems, len(b), count), b...)
		return nil
	})
	if err != nil {
		return nil, nil, about(idxWords(dims), err)
	}
	return dims, elems, nil
}

// idxWords says what a header announces.
func idxWords(dims []int64) string {
	if len(dims) == 1 {
		return fmt.Sprintf("%d labels", dims[0])
	}
	sizes := make([]string, 0, len(dims))
	for _, dim := range dims[1:] {
		sizes = append(sizes, strconv.FormatInt(dim, 10))
	}
	return fmt.Sprintf("%d images of %s", dims[0], strings.Join(sizes, "x"))
}

// unexpected makes an end of file inside a header what it is: unexpected.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// sameShape returns an error when training and test rows differ in shape.
func sameShape(r *raw) error {
	train, test := r.parts[data.Train], r.parts[data.Test]
	if test.Rows > 0 && !slices.Equal(train.X.Shape, test.X.Shape) {
		return fmt.Errorf("%s: test rows have shape %v, training rows %v",
			r.source, test.X.Shape, train.X.Shape)
	}
	return nil
}

// FolderFiles returns the names that the files in a data.dir may have.
func FolderFiles() []string {
	var names []string
	for _, name := range idxFiles {
		names = append(names, name, name+".gz")
	}
	return names
}
