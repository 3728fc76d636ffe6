package spec

import (
	"io"
	"os"

	"github.com/spf13/pflag"
)

// Options say what is layered over the file. The zero value is the file alone,
// with the defaults below it.
type Options struct {
	// Flags that AddFlags has added to; those that were given override
	// everything else.
	Flags *pflag.FlagSet
	// Set overrides single settings like the flag --set.
	Set []Override
	// Env lets GESPANN_* variables of the environment override the file:
	// GESPANN_TRAIN_EPOCHS is train.epochs. An empty one counts as not set.
	Env bool
	// Unheeded says which settings the environment does not override; nil: none.
	Unheeded func(key string) bool
	// Places are where the settings were given in the file that the text was made of, by
	// path: messages have these places in place of those in the text. Nil: the text is
	// the file.
	Places map[string]Pos
}

// An Override is a new value for one scalar setting.
type Override struct {
	Key   string // such as "train.epochs"
	Value string // as in YAML
}

// Load reads and validates the spec in a file. The error is an Errors when the
// file could be read.
func Load(path string, o Options) (*Spec, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	return Parse(path, text, o)
}

// Parse validates the spec in a text; file is its name for messages. All errors
// are found at once: the error, if any, is an Errors.
func Parse(file string, text []byte, o Options) (*Spec, error) {
	s := &Spec{File: file, places: map[string]Pos{}}
	root, errs := readYAML(file, text)
	if len(errs) > 0 {
		return nil, errs
	}
	if o.Places != nil {
		replace(root, "", Pos{}, o.Places)
	}
	l, errs := newLayers(file, root, o)
	s.unheeded = l.unheeded
	d := newDecoder(s, l, errs)
	d.document(root)
	d.check()
	if len(d.errs) > 0 {
		d.errs.Sort()
		return nil, d.errs
	}
	return s, nil
}
