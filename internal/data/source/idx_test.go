package source

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/model/spec"
)

func TestIDX(t *testing.T) {
	files := map[string]string{
		idxFiles[0]:         idx(256, 20, 3, 2),
		idxFiles[1] + ".gz": zipped(idx(4, 20)),
		idxFiles[2] + ".gz": zipped(idx(200, 5, 3, 2)),
		idxFiles[3]:         idx(3, 5),
	}
	set := load(t, spec.Data{Source: "idx", Dir: folder(t, files), Normalize: "scale"}, Options{})
	train, test := &set.Parts[data.Train], &set.Parts[data.Test]
	if train.Rows != 20 || test.Rows != 5 || set.Classes != 4 {
		t.Errorf("%d and %d rows, %d classes, want 20, 5, 4", train.Rows, test.Rows, set.Classes)
	}
	if !slices.Equal(train.X.Shape, []int{3, 2, 1}) {
		t.Errorf("shape %v, want [3 2 1]", train.X.Shape)
	}
	if got, want := row(&train.X, 1)[5], float32(float32(11)*(1/float32(255))); got != want {
		t.Errorf("row 1, last element = %v, want %v", got, want)
	}
	if got := train.Y.I32[5]; got != 1 {
		t.Errorf("label 5 = %d, want 1", got)
	}
	if set.Prep.Target != data.Classes || set.Prep.Source != "idx" {
		t.Errorf("prep = %+v", set.Prep)
	}
}

func TestIDXWithoutTest(t *testing.T) {
	dir := folder(t, map[string]string{idxFiles[0]: idx(256, 10, 4), idxFiles[1]: idx(2, 10)})
	set := load(t, spec.Data{Source: "idx", Dir: dir, TestSplit: 0.3}, Options{})
	if got := set.Parts[data.Test].Rows; got != 3 {
		t.Errorf("%d test rows, want 3", got)
	}
	_, err := Load(context.Background(), spec.Data{Source: "mnist", Dir: dir}, Options{})
	wantError(t, err, dir, "t10k-images-idx3-ubyte: file does not exist, neither plain nor as .gz")
}

func TestIDXErrors(t *testing.T) {
	images, labels := idx(256, 6, 2, 2), idx(3, 6)
	huge := idx(1, 0)[:3] + "\x04" + "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
	tests := []struct {
		name, images, labels string
		want                 string
	}{
		{"empty", "", labels, "train-images-idx3-ubyte: no IDX header: unexpected EOF"},
		{"not IDX", "hello", labels, "train-images-idx3-ubyte: not an IDX file: starts with 68 65 6c, want 00 00 08"},
		{"zip", "PK\x03\x04", labels, "train-images-idx3-ubyte: is a zip archive, want IDX\nhint: unpack it; only .gz and .npz are read as they are"},
		{"floats", "\x00\x00\x0d\x03", labels, "train-images-idx3-ubyte: element type 0x0d, want 0x08 (unsigned bytes)\nhint: arrays of other types are read from NPY, with data.source: npy"},
		{"no axes", "\x00\x00\x08\x00", labels, "train-images-idx3-ubyte: 0 axes, want 1 to 4"},
		{"cut header", images[:9], labels, "train-images-idx3-ubyte: IDX header ends early: unexpected EOF"},
		{"cut", images[:30], labels, "train-images-idx3-ubyte: 6 images of 2x2 need 40 bytes, file has 30"},
		{"long", images + "x", labels, "train-images-idx3-ubyte: 6 images of 2x2 need 40 bytes, file has 41"},
		{"cut, compressed", zipped(images[:30]), labels, "train-images-idx3-ubyte: 6 images of 2x2 need 40 bytes, file has 30"},
		{"long, compressed", zipped(images + "x"), labels, "train-images-idx3-ubyte: 6 images of 2x2 need 40 bytes, file has more"},
		{"compressed, cut", zipped(images)[:20], labels, "train-images-idx3-ubyte: IDX header ends early: unexpected EOF"},
		{"no images", idx(1, 0, 2, 2), labels, "train-images-idx3-ubyte: 0 images of 2x2: want at least one byte, and no more than memory can hold"},
		{"overflow", huge, labels, "train-images-idx3-ubyte: 4294967295 images of 4294967295x4294967295x4294967295: want at least one byte, and no more than memory can hold"},
		{"terabytes", idx(1, 0)[:3] + "\x02\xff\xff\xff\xff\x00\x00\x10\x00", labels, "train-images-idx3-ubyte: 4294967295 images of 4096 need 17592186040332 bytes, file has 12"},
		{"terabytes, compressed", zipped(idx(1, 0)[:3] + "\x02\xff\xff\xff\xff\x00\x00\x10\x00"), labels, "train-images-idx3-ubyte: 4294967295 images of 4096 need 17592186040332 bytes, file has 12"},
		{"labels as images", labels, labels, "train-images-idx3-ubyte: 1 axes, want at least 2: images, and their sizes"},
		{"images as labels", images, images, "train-labels-idx1-ubyte: 3 axes, want 1: a label per image"},
		{"other count", images, idx(3, 7), "train-labels-idx1-ubyte: 7 labels, but train-images-idx3-ubyte has 6 images"},
		{"label range", images, idx(99, 6)[:8] + "\x00\x01\x02\x0a\x01\x01", "train-labels-idx1-ubyte: row 3: label 10, want 0 to 9"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := folder(t, map[string]string{
				idxFiles[0]: test.images, idxFiles[1]: test.labels, idxFiles[2]: images, idxFiles[3]: labels,
			})
			_, err := Load(context.Background(), spec.Data{Source: "mnist", Dir: dir}, Options{})
			wantError(t, err, dir, test.want)
		})
	}
}

func TestIDXDamagedGzip(t *testing.T) {
	packed := []byte(zipped(idx(256, 6, 2, 2)))
	packed[len(packed)-6] ^= 1 // checksum
	dir := folder(t, map[string]string{idxFiles[0]: string(packed), idxFiles[1]: idx(3, 6)})
	_, err := Load(context.Background(), spec.Data{Source: "idx", Dir: dir}, Options{})
	wantError(t, err, dir, "train-images-idx3-ubyte: 6 images of 2x2: gzip: invalid checksum")
}

func TestIDXTestSplitIsRefused(t *testing.T) {
	dir := folder(t, map[string]string{
		idxFiles[0]: idx(9, 6, 2, 2), idxFiles[1]: idx(3, 6), idxFiles[2]: idx(9, 4, 2, 2), idxFiles[3]: idx(3, 4),
	})
	_, err := Load(context.Background(), spec.Data{Source: "idx", Dir: dir, TestSplit: 0.2}, Options{})
	wantError(t, err, dir, "idx in "+dir+": data.test_split: got 0.2, but the source has its own test part of 4 rows")
}

func FuzzIDX(f *testing.F) {
	f.Add([]byte(idx(256, 6, 2, 2)))
	f.Add([]byte(idx(10, 7)))
	f.Add([]byte(idx(10, 7))[:10])
	f.Add([]byte(zipped(idx(10, 700, 3))))
	f.Add([]byte("\x00\x00\x08\x04\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		withinMemory(t, b, 4, func() {
			in, err := newStream(bytes.NewReader(b), "fuzz")
			if err != nil {
				return
			}
			in.size = sizeOf(in, b)
			dims, elems, err := decodeIDX(in)
			if err != nil {
				return
			}
			if count, ok := volume(dims, 1); !ok || count != int64(len(elems)) {
				t.Errorf("%v: %d elements", dims, len(elems))
			}
		})
	})
}
