package spec

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestSchemaAndParse checks that the schema accepts what Parse accepts: the
// configs, what Marshal makes of them, and the specs of the transcripts that
// are right. It refuses most of the others.
func TestSchemaAndParse(t *testing.T) {
	texts := map[string]string{}
	paths, err := filepath.Glob(filepath.Join(configs, "*.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no configs: %v", err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[path] = string(text)
		s, err := Parse(path, text, Options{})
		if err != nil {
			t.Fatal(err)
		}
		full, err := s.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		texts["marshalled "+path] = string(full)
	}
	transcript, err := os.ReadFile(filepath.Join("testdata", "errors.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range strings.Split(string(transcript), "=== ")[1:] {
		title, rest, _ := strings.Cut(part, "\n")
		texts[title], _, _ = strings.Cut(rest, "\n--- ")
	}
	v := newValidator(t)
	refused := 0
	for name, text := range texts {
		var doc any
		if yaml.Unmarshal([]byte(text), &doc) != nil {
			continue
		}
		_, parseErr := Parse("x.yaml", []byte(text), Options{})
		schemaErr := v.check(doc, v.root, "$")
		if parseErr == nil && schemaErr != nil {
			t.Errorf("%s: Parse accepts it, but the schema says %v", name, schemaErr)
		}
		if schemaErr != nil {
			refused++
		}
	}
	// What depends on two settings is not in the schema.
	if refused < 25 {
		t.Errorf("the schema refuses %d of the wrong specs, want at least 25", refused)
	}
}

// A validator is a JSON Schema validator for the keywords that Schema uses. It
// fails the test for any other keyword, so that none is ignored.
type validator struct {
	t    *testing.T
	root map[string]any
}

func newValidator(t *testing.T) *validator {
	t.Helper()
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	v := &validator{t: t}
	if err := json.Unmarshal(text, &v.root); err != nil {
		t.Fatal(err)
	}
	return v
}

// check returns why a document does not match a schema, or nil.
func (v *validator) check(x any, schema map[string]any, path string) error {
	for keyword, arg := range schema {
		if err := v.keyword(x, schema, keyword, arg, path); err != nil {
			return err
		}
	}
	return nil
}

//nolint:funlen // one case per keyword
func (v *validator) keyword(x any, schema map[string]any, keyword string, arg any, path string) error {
	number, isNumber := toFloat(x)
	bound := func(ok func(limit float64) bool) error {
		if limit, _ := toFloat(arg); isNumber && !ok(limit) {
			return fmt.Errorf("%s: %v breaks %s %v", path, x, keyword, arg)
		}
		return nil
	}
	switch keyword {
	case "$schema", "$defs", "title", "description", "default", "properties":
		// properties is used by additionalProperties, which goes with it
	case "type":
		types, ok := arg.([]any)
		if !ok {
			types = []any{arg}
		}
		if !slices.ContainsFunc(types, func(want any) bool { return isType(x, want.(string)) }) {
			return fmt.Errorf("%s: %v is no %v", path, x, arg)
		}
	case "enum":
		if !slices.Contains(arg.([]any), x) {
			return fmt.Errorf("%s: %v is none of %v", path, x, arg)
		}
	case "pattern":
		if text, ok := x.(string); !ok || !regexp.MustCompile(arg.(string)).MatchString(text) {
			return fmt.Errorf("%s: %v does not match %v", path, x, arg)
		}
	case "minimum":
		return bound(func(l float64) bool { return number >= l })
	case "maximum":
		return bound(func(l float64) bool { return number <= l })
	case "exclusiveMinimum":
		return bound(func(l float64) bool { return number > l })
	case "exclusiveMaximum":
		return bound(func(l float64) bool { return number < l })
	case "minItems", "maxItems":
		list, ok := x.([]any)
		if n, _ := toFloat(arg); ok && (keyword == "minItems" && len(list) < int(n) || keyword == "maxItems" && len(list) > int(n)) {
			return fmt.Errorf("%s: %d elements", path, len(list))
		}
	case "items":
		list, _ := x.([]any)
		for i, e := range list {
			if err := v.check(e, arg.(map[string]any), fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
	case "required":
		for _, key := range arg.([]any) {
			if m, ok := x.(map[string]any); ok && m[key.(string)] == nil {
				return fmt.Errorf("%s: no %v", path, key)
			}
		}
	case "additionalProperties":
		m, _ := x.(map[string]any)
		props := schema["properties"].(map[string]any)
		for key, value := range m {
			p, ok := props[key].(map[string]any)
			if !ok {
				return fmt.Errorf("%s: unknown %s", path, key)
			}
			if err := v.check(value, p, path+"."+key); err != nil {
				return err
			}
		}
	case "oneOf", "anyOf":
		matches := 0
		var last error
		for _, s := range arg.([]any) {
			if err := v.check(x, s.(map[string]any), path); err == nil {
				matches++
			} else {
				last = err
			}
		}
		if matches == 0 || keyword == "oneOf" && matches > 1 {
			return fmt.Errorf("%s: %d matches of %s, last %w", path, matches, keyword, last)
		}
	case "$ref":
		name := strings.TrimPrefix(arg.(string), "#/$defs/")
		return v.check(x, v.root["$defs"].(map[string]any)[name].(map[string]any), path)
	default:
		v.t.Fatalf("the validator does not know %s", keyword)
	}
	return nil
}

func isType(x any, want string) bool {
	number, isNumber := toFloat(x)
	switch want {
	case "object":
		_, ok := x.(map[string]any)
		return ok
	case "array":
		_, ok := x.([]any)
		return ok
	case "string":
		_, ok := x.(string)
		return ok
	case "boolean":
		_, ok := x.(bool)
		return ok
	case "integer":
		return isNumber && number == math.Trunc(number)
	default:
		return want == "number" && isNumber
	}
}

func toFloat(x any) (float64, bool) {
	switch n := x.(type) {
	case int:
		return float64(n), true
	case uint64:
		return float64(n), true
	case float64:
		return n, true
	default:
		return 0, false
	}
}
