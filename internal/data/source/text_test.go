package source

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/gespann/gespann/internal/data"
)

// cities is a table with letters beyond ASCII, and what it is in other encodings.
const cities = "Größe,Stadt,y\n1,Köln,ja\n2,Bonn,nein\n3,Besançon,ja\n"

// narrow encodes letters up to U+00FF, one byte each.
func narrow(s string) string {
	out := []byte{}
	for _, r := range s {
		out = append(out, byte(r))
	}
	return string(out)
}

func wide(order binary.AppendByteOrder, s string) string {
	out := []byte{}
	for _, u := range utf16.Encode([]rune(s)) {
		out = order.AppendUint16(out, u)
	}
	return string(out)
}

// TestEncodings reads one table in all encodings, and what was learnt of it comes
// back from JSON as it was.
func TestEncodings(t *testing.T) {
	for name, c := range map[string]struct{ encoding, text string }{
		"utf-8":                   {"", cities},
		"utf-8, said":             {"utf-8", cities},
		"utf-8 with a BOM":        {"", "\ufeff" + cities},
		"BOM and another setting": {"latin-1", "\ufeff" + cities},
		"latin-1":                 {"latin-1", narrow(cities)},
		"windows-1252":            {"windows-1252", narrow(cities)},
		"utf-16, little-endian":   {"utf-16", wide(binary.LittleEndian, "\ufeff"+cities)},
		"utf-16, big-endian":      {"", wide(binary.BigEndian, "\ufeff"+cities)},
		"gzip":                    {"latin-1", zipped(narrow(cities))},
	} {
		t.Run(name, func(t *testing.T) {
			d := csvSpec(write(t, "t.csv", c.text))
			d.CSV.Encoding, d.CSV.Categorical = c.encoding, []string{"Stadt"}
			set := load(t, d, Options{})
			if got, want := set.Prep.CSV.Columns, []data.Column{
				{Name: "Größe"}, {Name: "Stadt", Categories: []string{"Besançon", "Bonn", "Köln"}},
			}; !reflect.DeepEqual(got, want) {
				t.Errorf("columns %+v, want %+v", got, want)
			}
			prep := learnt(t, d, Options{})
			if !reflect.DeepEqual(prep, set.Prep) {
				t.Errorf("came back as %+v, was %+v", prep, set.Prep)
			}
			again := load(t, d, Options{Prep: &prep})
			if got := again.Parts[data.Train].X.F32; !slices.Equal(got, set.Parts[data.Train].X.F32) {
				t.Errorf("read again: %v, want %v", got, set.Parts[data.Train].X.F32)
			}
			for what, rows := range map[string]string{
				"alike": c.text, "JSON": `{"Stadt": "Köln", "Größe": 1}`, "JSON with a BOM": "\ufeff" + `[1, "Köln"]`,
				"JSON in UTF-16": wide(binary.LittleEndian, "\ufeff"+`[1, "Köln"]`),
			} {
				x, err := ReadFeatures(strings.NewReader(rows), "stdin", prep)
				if err != nil {
					t.Errorf("%s: %v", what, err)
				} else if got, want := row(x, 0), []float32{1, 0, 0, 1}; !slices.Equal(got, want) {
					t.Errorf("%s: got %v, want %v", what, got, want)
				}
			}
		})
	}
}

// TestAnyText learns categories, labels and column names of text that JSON or YAML
// might change.
func TestAnyText(t *testing.T) {
	words := []string{"007", "7", "+7", "7.0", "null", "true", "~", "a\"b", `a\b`, "x\u2028y\u2029z", "é", "e\u0301", "\U0001f600", "x\x00y", "<&>", "\ufffd", "-", "a,b", "a\nb", "#"}
	var b strings.Builder
	field := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
	b.WriteString(field("Spalte \u2028\"1\"") + "," + field("null") + "\n")
	for _, w := range words {
		b.WriteString(field(w) + "," + field(w) + "\n")
	}
	d := csvSpec(write(t, "t.csv", b.String()))
	d.CSV.Categorical, d.CSV.Task = []string{"Spalte \u2028\"1\""}, "classification"
	set := load(t, d, Options{})
	sorted := slices.Sorted(slices.Values(words))
	if got := set.Prep.CSV.Columns[0].Categories; !slices.Equal(got, sorted) || !slices.Equal(set.Prep.Labels, sorted) {
		t.Errorf("learnt %q and %q, want %q", got, set.Prep.Labels, sorted)
	}
	prep := learnt(t, d, Options{})
	if !reflect.DeepEqual(prep, set.Prep) {
		t.Errorf("came back as %+v, was %+v", prep, set.Prep)
	}
	load(t, d, Options{Prep: &prep})
}

func TestTextErrors(t *testing.T) {
	const utf8Hint = "\nhint: save the text as UTF-8, or set data.csv.encoding: windows-1252"
	long := "a,b,y\n" + strings.Repeat("1,2,3\n", 20000)
	for name, c := range map[string]struct{ encoding, text, want string }{
		"latin-1":                  {"", narrow(cities), `t.csv:1: byte 0xf6 is not UTF-8; in Windows-1252 it would be in "Größe"` + utf8Hint},
		"latin-1, later":           {"", long + narrow("1,Köln,3\n"), `t.csv:20002: byte 0xf6 is not UTF-8; in Windows-1252 it would be in "Köln"` + utf8Hint},
		"windows":                  {"", "a,y\n\x80 5,1\n", `t.csv:2: byte 0x80 is not UTF-8; in Windows-1252 it would be in "€ 5"` + utf8Hint},
		"neither":                  {"", "a,y\n\x81,1\n", "t.csv:2: byte 0x81 is not UTF-8\nhint: save the text as UTF-8"},
		"cut":                      {"", "a,y\n1,\xc3", `t.csv:2: byte 0xc3 is not UTF-8; in Windows-1252 it would be in "Ã"` + utf8Hint},
		"not windows":              {"windows-1252", "a,y\n1,x\n\x9d,1\n", "t.csv:3: byte 0x9d is not Windows-1252"},
		"utf-8 as latin-1":         {"latin-1", cities, "t.csv: is text in UTF-8, but data.csv.encoding is latin-1"},
		"utf-16 without BOM":       {"", wide(binary.LittleEndian, cities), "t.csv: looks like text in UTF-16 without a byte order mark\nhint: save it as UTF-8"},
		"utf-16 without BOM, said": {"utf-16", "a,y\n1,2\n", "t.csv: no byte order mark, with which text in UTF-16 begins\nhint: save it as UTF-8, and leave out data.csv.encoding"},
		"utf-16, odd":              {"", wide(binary.LittleEndian, "\ufeffa,y\n1,2") + "x", "t.csv:2: ends with half a letter, want UTF-16"},
		"utf-16, half":             {"", "\xfe\xff\x00a\x00,\x00y\x00\n\xd8\x00\x00a", "t.csv:2: half a letter, want pairs of surrogates as UTF-16 has them"},
		"utf-32":                   {"", "\xff\xfe\x00\x00a\x00\x00\x00", "t.csv: is text in UTF-32, want UTF-8\nhint: save it as UTF-8"},
		"other":                    {"ebcdic", cities, `t.csv: data.csv.encoding: got "ebcdic", want utf-8, latin-1, windows-1252 or utf-16`},
	} {
		t.Run(name, func(t *testing.T) {
			d := csvSpec(write(t, "t.csv", c.text))
			d.CSV.Encoding = c.encoding
			d.CSV.Categorical = nil
			_, err := Load(t.Context(), d, Options{Loss: "sparse_categorical_crossentropy"})
			wantError(t, err, filepath.Dir(d.CSV.Path), c.want)
		})
	}
	prep := peoplePrep(t)
	prep.CSV.Encoding = "windows-1252"
	_, err := ReadFeatures(strings.NewReader("age,city,height\n1,Köln,2\n"), "stdin", prep)
	wantError(t, err, "-", "stdin: is text in UTF-8, but the training data was in windows-1252")
	_, err = ReadFeatures(strings.NewReader("{\"city\": \"K\xf6ln\"}"), "stdin", peoplePrep(t))
	wantError(t, err, "-", `stdin:1: byte 0xf6 is not UTF-8; in Windows-1252 it would be in "Köln"`+
		"\nhint: save the text as UTF-8")
}

// TestUTF8Reader cuts letters at every place.
func TestUTF8Reader(t *testing.T) {
	want := strings.Repeat("aé€\U0001f600\n", 50)
	for name, r := range map[string]io.Reader{
		"one byte": iotest.OneByteReader(strings.NewReader(want)), "half": iotest.HalfReader(strings.NewReader(want)),
		"error with data": iotest.DataErrReader(strings.NewReader(want)),
	} {
		for size := 4; size < 20; size++ {
			var got []byte
			p, u := make([]byte, size), &utf8Reader{r: r, line: 1}
			r = strings.NewReader(want)
			for {
				n, err := u.Read(p)
				got = append(got, p[:n]...)
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatalf("%s, %d bytes: %v", name, size, err)
				}
			}
			if string(got) != want || u.line != 51 {
				t.Fatalf("%s, %d bytes: got %q, line %d", name, size, got, u.line)
			}
		}
	}
}

// TestForeign gives files of other formats for CSV.
func TestForeign(t *testing.T) {
	sheet := "PK\x03\x04" + strings.Repeat("\x00", 26) + "[Content_Types].xml"
	tar := "name" + strings.Repeat("\x00", 253) + "ustar"
	for text, want := range map[string]string{
		sheet:                              "is an Excel workbook (.xlsx), want CSV\nhint: " + sheetHint,
		"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "is an Excel workbook (.xls), want CSV\nhint: " + sheetHint,
		npz(t, 8, map[string]string{"a.npy": npy("|u1", "(1,)", []byte{1})}): "is an .npz archive, want CSV\nhint: name an array of it as file.npz:name, with data.source: npy",
		npz(t, 8, map[string]string{"t.csv": people}):                        "is a zip archive, want CSV\nhint: " + unpackHint,
		"PAR1\x15\x04":                                 "is a Parquet file, want CSV\nhint: in Python: pandas.read_parquet(\"x.parquet\").to_csv(\"x.csv\", index=False)",
		"\x89PNG\r\n\x1a\n\x00\x00":                    "is a PNG image, want CSV\nhint: " + imageHint,
		"\xff\xd8\xff\xe0\x00\x10JFIF":                 "is a JPEG image, want CSV\nhint: " + imageHint,
		zipped(zipped(people)):                         "is gzip inside gzip, want CSV\nhint: unpack it once",
		zipped(tar):                                    "is a tar archive, want CSV\nhint: " + unpackHint,
		npy("|u1", "(1,)", []byte{1}):                  "is an NPY array, want CSV\nhint: set data.source: npy",
		idx(9, 3):                                      "is an IDX file, want CSV\nhint: set data.source: idx",
		"<!DOCTYPE html>\n<title>Sign in</title>":      "is an HTML page, want CSV\nhint: the address it was downloaded from may want a login, or name a page about the file",
		"version https://git-lfs.github.com/spec/v1\n": "is a pointer of Git LFS, not the file itself, want CSV\nhint: git lfs pull",
	} {
		d := csvSpec(write(t, "t.csv", text))
		_, err := Load(t.Context(), d, Options{})
		wantError(t, err, filepath.Dir(d.CSV.Path), "t.csv: "+want)
	}
	for _, f := range formats { // each is the first that its own magic fits
		start := append(make([]byte, f.at), f.magic...)
		if got := formatOf(start); got.what != f.what {
			t.Errorf("%q is %s, want %s", f.magic, got.what, f.what)
		}
		if f.hint == "" {
			t.Errorf("%s: no hint", f.what)
		}
	}
}

// FuzzText checks that no bytes become anything but UTF-8, and that text which is
// UTF-8 is not changed.
func FuzzText(f *testing.F) {
	f.Add([]byte(cities), "")
	f.Add([]byte(narrow(cities)), "latin-1")
	f.Add([]byte("\x80\x81"), "windows-1252")
	f.Add([]byte(wide(binary.BigEndian, "\ufeff"+cities)), "utf-16")
	f.Add([]byte("\xff\xfe\x00\xd8"), "")
	f.Fuzz(func(t *testing.T, b []byte, encoding string) {
		r, err := text(bufio.NewReaderSize(bytes.NewReader(b), chunk), encoding, "CSV", true)
		if err != nil {
			return
		}
		got, err := io.ReadAll(r)
		if !utf8.Valid(got) {
			t.Errorf("%q is not UTF-8", got)
		}
		plain := encoding == "" && !bytes.HasPrefix(b, []byte("\xff\xfe")) && !bytes.HasPrefix(b, []byte("\xfe\xff"))
		want := bytes.TrimPrefix(b, []byte("\ufeff"))
		if plain && utf8.Valid(b) && (err != nil || !bytes.Equal(got, want)) {
			t.Errorf("%q becomes %q (%v)", b, got, err)
		}
		if plain && !utf8.Valid(b) && err == nil {
			t.Errorf("%q is taken for UTF-8", b)
		}
	})
}
