// Command sbom completes a bill of materials in the CycloneDX format, as
// cyclonedx-gomod writes it: the digest of the program that it is of, and licences
// as their texts say, where a guess from the text went wrong. It fails on what has
// no digest, and on a licence that nobody has looked at.
//
//	cyclonedx-gomod app -json -licenses -std ... | go run ./release/sbom -program bin/gespann -o bin/gespann.cdx.json
//
// The same sources and the same compiler give the same bytes.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/gespann/gespann/internal/outfile"
)

func main() {
	program := flag.String("program", "", "the `file` that the bill is of")
	out := flag.String("o", "", "the `file` to write")
	flag.Parse()
	if err := run(os.Stdin, *program, *out); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, program, out string) error {
	text, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	code, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	if text, err = complete(text, code); err != nil {
		return err
	}
	return outfile.Bytes(out, text)
}

// Parts of a bill, as https://cyclonedx.org/docs/1.6/json has them. What is not
// named here stays as it is.
type (
	object = map[string]any
	array  = []any
)

// complete returns the bill of a program.
func complete(text, program []byte) ([]byte, error) {
	var bill object
	if err := json.Unmarshal(text, &bill); err != nil {
		return nil, fmt.Errorf("the bill: %w", err)
	}
	meta, _ := bill["metadata"].(object)
	main, _ := meta["component"].(object)
	parts, _ := bill["components"].(array)
	if bill["bomFormat"] != "CycloneDX" || main == nil || len(parts) == 0 {
		return nil, errors.New("the bill: got none in the CycloneDX format, with a program and its modules")
	}
	sum := sha256.Sum256(program)
	main["hashes"] = array{object{"alg": "SHA-256", "content": hex.EncodeToString(sum[:])}}
	tools, _ := meta["tools"].(array)
	for _, t := range tools { // whose bytes depend on the machine that built it
		if t, ok := t.(object); ok {
			delete(t, "hashes")
		}
	}
	var errs []error
	for _, p := range append(array{main}, parts...) {
		if p, ok := p.(object); ok {
			errs = append(errs, license(p), hashed(p))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(bill, "", "  ")
	return append(text, '\n'), err
}

// read has the licences of modules as someone has read them, by how names begin,
// where the guess from the text is wrong or takes one of two for all.
var read = []struct{ module, license string }{
	{"codeberg.org/go-fonts/liberation", "BSD-3-Clause AND OFL-1.1"},
	{"github.com/gogo/protobuf", "BSD-3-Clause"},
	{"github.com/golang/freetype", "FTL OR GPL-2.0-or-later"},
	{"go.yaml.in/yaml/", "MIT AND Apache-2.0"},
	{"golang.org/x/", "BSD-3-Clause"},
	{"std", "BSD-3-Clause"},
}

// allowed are the licences that may be in a program under Apache-2.0 that is given
// away as a file, with their texts.
var allowed = []string{
	"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSD-3-Clause AND OFL-1.1", "CC-BY-4.0",
	"FTL OR GPL-2.0-or-later", "ISC", "MIT", "MIT AND Apache-2.0",
}

// license writes down the licence of a component in place of a guess.
func license(c object) error {
	name, _ := c["name"].(string)
	guess := guessed(c)
	for _, r := range read {
		if name == r.module || strings.HasPrefix(name, r.module) && strings.HasSuffix(r.module, "/") {
			guess = r.license
		}
	}
	switch {
	case guess == "":
		return fmt.Errorf("%s: no licence was found\nhint: read its text, and add a row to read in release/sbom", name)
	case !slices.Contains(allowed, guess):
		return fmt.Errorf("%s: its licence seems to be %s, want one of %s\n"+
			"hint: read its text, and add a row to read or allowed in release/sbom", name, guess, strings.Join(allowed, ", "))
	}
	delete(c, "evidence")
	if strings.Contains(guess, " ") {
		c["licenses"] = array{object{"expression": guess}}
	} else {
		c["licenses"] = array{object{"license": object{"id": guess}}}
	}
	return nil
}

// guessed returns the licences that were found in the text, joined.
func guessed(c object) string {
	evidence, _ := c["evidence"].(object)
	list, _ := evidence["licenses"].(array)
	var all []string
	for _, l := range list {
		l, _ := l.(object)
		one, _ := l["license"].(object)
		if id, ok := one["id"].(string); ok {
			all = append(all, id)
		}
	}
	return strings.Join(all, " AND ")
}

// hashed checks that a component has a digest; the standard library has that of the
// compiler's version only.
func hashed(c object) error {
	if list, _ := c["hashes"].(array); len(list) == 0 && c["name"] != "std" {
		return fmt.Errorf("%v: has no digest", c["name"])
	}
	return nil
}
