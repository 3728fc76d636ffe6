package spark

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"
	"testing"
)

// TestJar checks that the jar is made of the source beside it.
func TestJar(t *testing.T) {
	jar, err := zip.NewReader(bytes.NewReader(Jar), int64(len(Jar)))
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		t.Helper()
		f, err := jar.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		b, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	sum := sha256.Sum256(Source)
	if got, want := string(read("Gespann.java.sha256")), hex.EncodeToString(sum[:])+"  Gespann.java\n"; got != want {
		t.Errorf("the jar is made of %q, the source is %q\nhint: make spark", got, want)
	}
	if class := read("Gespann.class"); len(class) < 8 || class[7] != 52 {
		t.Errorf("Gespann.class is not of Java 8: % x", class[:min(len(class), 8)])
	}
	if manifest := string(read("META-INF/MANIFEST.MF")); !strings.Contains(manifest, "Main-Class: Gespann") {
		t.Errorf("the manifest is %q", manifest)
	}
}
