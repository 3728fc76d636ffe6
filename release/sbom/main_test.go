package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// bill is what cyclonedx-gomod writes, with some modules.
const bill = `{"bomFormat": "CycloneDX", "specVersion": "1.6",
"metadata": {"tools": [{"name": "cyclonedx-gomod", "hashes": [{"alg": "MD5", "content": "66"}]}],
 "component": {"name": "github.com/gespann/gespann", "evidence": {"licenses": [{"license": {"id": "Apache-2.0"}}]}}},
"components": [
 {"name": "golang.org/x/net", "hashes": [{"alg": "SHA-256", "content": "aa"}], "evidence": {"licenses": [{"license": {"id": "BSD-Source-Code"}}]}},
 {"name": "github.com/golang/freetype", "hashes": [{"alg": "SHA-256", "content": "bb"}], "evidence": {"licenses": [{"license": {"id": "GPL-2.0-or-later"}}]}},
 {"name": "example.org/mit", "hashes": [{"alg": "SHA-256", "content": "cc"}], "evidence": {"licenses": [{"license": {"id": "MIT"}}]}},
 {"name": "std", "version": "go1.26.10"}]}`

// TestBill checks digests, and licences in place of guesses.
func TestBill(t *testing.T) {
	dir := t.TempDir()
	program, out := filepath.Join(dir, "gespann"), filepath.Join(dir, "gespann.cdx.json")
	if err := os.WriteFile(program, []byte("program"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := run(strings.NewReader(bill), program, out); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	type component struct {
		Name     string
		Hashes   []struct{ Alg, Content string }
		Licenses []struct {
			Expression string
			License    struct{ ID string }
		}
		Evidence any
	}
	var got struct {
		Metadata struct {
			Tools     []component
			Component component
		}
		Components []component
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("program"))
	if h := got.Metadata.Component.Hashes; len(h) != 1 || h[0].Alg != "SHA-256" || h[0].Content != hex.EncodeToString(sum[:]) {
		t.Errorf("the program: got hashes %v, want SHA-256 %x", h, sum)
	}
	if h := got.Metadata.Tools[0].Hashes; len(h) > 0 {
		t.Errorf("tools: got hashes %v, want none: they are not the same everywhere", h)
	}
	var licenses []string
	for _, c := range append(got.Components, got.Metadata.Component) {
		if c.Evidence != nil || len(c.Licenses) != 1 {
			t.Errorf("%s: got evidence %v and licences %v, want one licence", c.Name, c.Evidence, c.Licenses)
			continue
		}
		licenses = append(licenses, c.Name+": "+c.Licenses[0].License.ID+c.Licenses[0].Expression)
	}
	want := []string{"golang.org/x/net: BSD-3-Clause", "github.com/golang/freetype: FTL OR GPL-2.0-or-later",
		"example.org/mit: MIT", "std: BSD-3-Clause", "github.com/gespann/gespann: Apache-2.0"}
	if !slices.Equal(licenses, want) {
		t.Errorf("got %q, want %q", licenses, want)
	}
}

// TestNotComplete checks what stops a bill.
func TestNotComplete(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{`"id": "MIT"`, `"id": "AGPL-3.0-only"`, "example.org/mit: its licence seems to be AGPL-3.0-only"},
		{`[{"license": {"id": "MIT"}}]`, `[]`, "example.org/mit: no licence was found"},
		{`[{"alg": "SHA-256", "content": "cc"}]`, `[]`, "example.org/mit: has no digest"},
		{`"CycloneDX"`, `"SPDX"`, "got none in the CycloneDX format"},
		{`"components"`, `"parts"`, "got none in the CycloneDX format"},
		{bill, "{", "unexpected end"},
	} {
		_, err := complete([]byte(strings.Replace(bill, c.old, c.new, 1)), nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q in it", c.new, err, c.want)
		}
	}
}
