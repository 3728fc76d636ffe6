package source

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
)

// A format is a kind of file that is known by its first bytes.
type format struct {
	magic string
	at    int // where the magic is
	what  string
	hint  string // the way out
}

// Ways out of several formats.
const (
	sheetHint   = "save the sheet as CSV, in UTF-8"
	unpackHint  = "unpack it; only .gz and .npz are read as they are"
	imageHint   = "images are read as arrays: in Python, numpy.save an array [rows, height, width, channels], and set data.source: npy"
	datasetHint = `in Python: numpy.save("x.npy", numpy.asarray(dataset)), and set data.source: npy`
)

// formats are files that are given for CSV, NPY, IDX or JSON lines by mistake. Of
// two that fit, the first counts.
var formats = []format{
	{"PK\x03\x04", 0, "a zip archive", unpackHint}, // see inZip
	{"PAR1", 0, "a Parquet file", `in Python: pandas.read_parquet("x.parquet").to_csv("x.csv", index=False)`},
	{"ARROW1", 0, "an Arrow or Feather file", `in Python: pandas.read_feather("x.feather").to_csv("x.csv", index=False)`},
	{"FEA1", 0, "a Feather file", `in Python: pandas.read_feather("x.feather").to_csv("x.csv", index=False)`},
	{"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 0, "an Excel workbook (.xls)", sheetHint},
	{"\x89PNG\r\n\x1a\n", 0, "a PNG image", imageHint},
	{"\xff\xd8\xff", 0, "a JPEG image", imageHint},
	{"GIF87a", 0, "a GIF image", imageHint},
	{"GIF89a", 0, "a GIF image", imageHint},
	{"II*\x00", 0, "a TIFF image", imageHint},
	{"MM\x00*", 0, "a TIFF image", imageHint},
	{"WEBP", 8, "a WebP image", imageHint},
	{"%PDF-", 0, "a PDF document", "the table has to come as CSV, from where the document was made"},
	{"\x89HDF\r\n\x1a\n", 0, "an HDF5 file", datasetHint},
	{"SQLite format 3\x00", 0, "an SQLite database", `sqlite3 -header -csv x.db "select * from t" > x.csv`},
	{"Obj\x01", 0, "an Avro file", "convert it to CSV"},
	{"\x1f\x8b", 0, "gzip inside gzip", "unpack it once"},
	{"BZh", 0, "a bzip2 file", unpackHint},
	{"\xfd7zXZ\x00", 0, "an xz file", unpackHint},
	{"\x28\xb5\x2f\xfd", 0, "a Zstandard file", unpackHint},
	{"7z\xbc\xaf\x27\x1c", 0, "a 7z archive", unpackHint},
	{"Rar!\x1a\x07", 0, "a RAR archive", unpackHint},
	{"ustar", 257, "a tar archive", unpackHint},
	{npyMagic, 0, "an NPY array", "set data.source: npy"},
	{idxMagic, 0, "an IDX file", "set data.source: idx"},
	{"\x80\x02", 0, "a Python pickle", datasetHint},
	{"\x80\x03", 0, "a Python pickle", datasetHint},
	{"\x80\x04", 0, "a Python pickle", datasetHint},
	{"\x80\x05", 0, "a Python pickle", datasetHint},
	{"version https://git-lfs", 0, "a pointer of Git LFS, not the file itself", "git lfs pull"},
	{"<!doctype html", 0, "an HTML page", "the address it was downloaded from may want a login, or name a page about the file"},
	{"<html", 0, "an HTML page", "the address it was downloaded from may want a login, or name a page about the file"},
	{"<?xml", 0, "an XML document", "convert it to CSV"},
}

// formatBytes is how much of a file formatOf looks at.
const formatBytes = 512

// formatOf returns the format that a file begins as; none is "".
func formatOf(start []byte) format {
	for _, f := range formats {
		if len(start) < f.at+len(f.magic) {
			continue
		}
		if got := start[f.at:][:len(f.magic)]; !bytes.EqualFold(got, []byte(f.magic)) {
			continue
		}
		if f.magic[0] == 'P' && f.magic[1] == 'K' {
			return inZip(f, start)
		}
		return f
	}
	return format{}
}

// inZip says which of the formats that are zip archives it is, by the name of the
// first file.
func inZip(f format, start []byte) format {
	const nameAt = 30 // in the local header: APPNOTE.TXT of PKWARE, 4.3.7
	if len(start) <= nameAt {
		return f
	}
	name := string(start[nameAt:])
	switch {
	case strings.HasPrefix(name, "[Content_Types]"), strings.HasPrefix(name, "_rels/"),
		strings.HasPrefix(name, "xl/"), strings.HasPrefix(name, "docProps/"):
		return format{what: "an Excel workbook (.xlsx)", hint: sheetHint}
	case strings.HasPrefix(name, "mimetypeapplication/vnd.oasis"):
		return format{what: "an OpenDocument sheet", hint: sheetHint}
	case strings.Contains(name, ".npy"):
		return format{what: "an .npz archive", hint: "name an array of it as file.npz:name, with data.source: npy"}
	}
	return f
}

// foreign returns an error for a file of another format than the wanted one.
func foreign(start []byte, want string) error {
	f := formatOf(start)
	if f.what == "" {
		return nil
	}
	return fmt.Errorf("is %s, want %s\nhint: %s", f.what, want, f.hint)
}

// notForeign is foreign for an input that should begin with a magic.
func (in *input) notForeign(magic, want string) error {
	buffered, ok := in.Reader.(*bufio.Reader)
	if !ok {
		return nil
	}
	start, _ := buffered.Peek(formatBytes)
	if bytes.HasPrefix(start, []byte(magic)) {
		return nil
	}
	return foreign(start, want)
}
