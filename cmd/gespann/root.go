package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/gespann/gespann/internal/checkpoint"
	"github.com/gespann/gespann/internal/plain"
	"github.com/gespann/gespann/internal/train"
	"github.com/gespann/gespann/model/spec"
)

// Exit codes, besides 128 + signal.
const (
	exitOK    = 0
	exitRun   = 1 // the run failed
	exitUsage = 2 // bad usage or a bad spec
)

// A terminal is where a command reads and writes. What goes to out and err is text, in
// which what would move a terminal is escaped: names, errors and logs come from elsewhere.
// For other bytes, see raw.
type terminal struct {
	in       io.Reader
	out, err io.Writer
}

// raw returns the writer below t.out, for what is no text, and for those who move the
// terminal themselves and escape what they show with plain.
func (t terminal) raw() io.Writer {
	if p, ok := t.out.(*plain.Writer); ok {
		return p.Unwrap()
	}
	return t.out
}

// file returns the writer for what others are to read as it is. Shown on a terminal, it
// is text.
func (t terminal) file() io.Writer {
	if f, ok := below(t.out).(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return t.out
	}
	return t.raw()
}

// below returns the writer that w writes to in the end.
func below(w io.Writer) io.Writer {
	for {
		switch x := w.(type) {
		case *plain.Writer:
			w = x.Unwrap()
		case *watchedWriter:
			w = x.Writer
		default:
			return w
		}
	}
}

// A usageError is a mistake in the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// usagef returns a usageError.
func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// A watchedWriter remembers that writing has failed, for commands that print as they
// go: a full disk behind the standard output is no success.
type watchedWriter struct {
	io.Writer
	err error
}

func (w *watchedWriter) Write(b []byte) (int, error) {
	n, err := w.Writer.Write(b)
	if err != nil {
		w.err = err
	}
	return n, err
}

// withoutPath drops the name of the file that an error is about.
func withoutPath(err error) error {
	if file := (*fs.PathError)(nil); errors.As(err, &file) {
		return file.Err
	}
	return err
}

// execute runs a command line and returns the exit code.
func execute(t terminal, args []string) int {
	out := &watchedWriter{Writer: t.out}
	words, complaints := plain.NewWriter(out), plain.NewWriter(t.err)
	t.out, t.err = words, complaints
	defer complaints.Flush()
	json, formatErr := wantsJSON(args, os.Getenv(formatEnv))
	var lines *jsonWriter
	if json {
		t, lines = t.asJSON()
		defer lines.Flush()
	}
	root := newRoot(t)
	root.SetArgs(args)
	err := formatErr
	if err == nil {
		err = root.ExecuteContext(context.Background())
	}
	words.Flush() // out has its error
	if out.err != nil && (err == nil || errors.Is(err, out.err)) {
		err = fmt.Errorf("standard output: %w", withoutPath(out.err))
	}
	if err == nil {
		return exitOK
	}
	var stopped *signalError
	if errors.As(err, &stopped) {
		return stopped.code()
	}
	code := codeOf(err)
	if lines != nil {
		lines.fail(err, hint(err), code)
		return code
	}
	fmt.Fprintln(t.err, "gespann: "+err.Error())
	if h := hint(err); h != "" {
		fmt.Fprintln(t.err, "hint: "+h)
	}
	return code
}

// codeOf returns the exit code of a command that has failed.
func codeOf(err error) int {
	var (
		usage usageError
		bad   spec.Errors
		one   *spec.Error
	)
	if errors.As(err, &usage) || errors.As(err, &bad) || errors.As(err, &one) {
		return exitUsage
	}
	return exitRun
}

func newRoot(t terminal) *cobra.Command {
	var version bool
	root := &cobra.Command{
		Use:   "gespann",
		Short: "Train neural networks from one YAML file",
		Long: `Gespann trains neural networks. A YAML file says what to train on, the layers,
and how; a run directory keeps the weights, the metrics and a plot.`,
		Example: `  gespann train configs/digits-mlp.yaml
  gespann evaluate runs/digits-mlp
  gespann predict runs/digits-mlp rows.csv > classes.csv`,
		SilenceErrors:         true,
		SilenceUsage:          true,
		DisableFlagsInUseLine: true,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(c, args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			if version {
				return printVersion(t)
			}
			return c.Help()
		},
	}
	root.Flags().BoolVarP(&version, "version", "v", false, "print the version, and what it runs on")
	root.SetIn(t.in)
	root.SetOut(t.out)
	root.SetErr(t.err)
	root.SetFlagErrorFunc(flagError)
	// The root alone only shows this help.
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(), "{{if .Runnable}}", "{{if and .Runnable .HasParent}}", 1))
	cobra.EnableCommandSorting = false
	root.AddCommand(newTrain(t), newEvaluate(t), newPredict(t), newInspect(t), newSchema(t),
		newLayers(t), newDevices(t), newVersion(t),
		newCoordinator(t), newWorker(t), newHealth(t), newCerts(t),
		newManifest(t), newSubmit(t), newJobs(t), newLogs(t), newCancel(t), newFetch(t))
	root.SetHelpCommand(newHelp(root))
	root.InitDefaultHelpCmd()
	addCompletion(root)
	return root
}

// newHelp is cobra's help command, for which an unknown command is a mistake.
func newHelp(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:                   "help [COMMAND]",
		Short:                 "Show what a command does",
		DisableFlagsInUseLine: true,
		RunE: func(_ *cobra.Command, args []string) error {
			c, rest, err := root.Find(args)
			if err == nil && c == root && len(rest) > 0 {
				return unknownCommand(root, rest[0])
			} else if err != nil {
				return err
			}
			c.InitDefaultHelpFlag()
			return c.Help()
		},
	}
}

// addCompletion adds cobra's command for completions, which wants a shell.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() != "completion" {
			continue
		}
		c.Short = "Print what lets a shell complete commands and flags"
		c.DisableFlagsInUseLine = true
		c.Args = nil
		c.RunE = func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			return usagef("got %q, want bash, zsh, fish or powershell\nhint: gespann completion bash --help says how to load it", args[0])
		}
	}
}

// args turns a check of the number of arguments into usage errors that say what
// was wanted.
func args(lo, hi int, want string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := flagAsValue(c); err != nil {
			return err
		}
		if len(args) < lo || len(args) > hi {
			return usagef("got %s, want %s\nhint: %s --help has examples", counted(len(args), "argument"), want, c.CommandPath())
		}
		return nil
	}
}

// hint says how to go on after a run has failed, or "".
func hint(err error) string {
	var stopped *train.StoppedError
	if errors.As(err, &stopped) {
		return stopHint(stopped)
	}
	var file *checkpoint.FileError
	if near := nearFile(err); near != "" {
		return near
	}
	switch {
	case !errors.As(err, &file):
		return ""
	case file.Damaged:
		return damagedHint(file.Path)
	case !train.IsCheckpoint(file.Path):
		return ""
	case errors.Is(err, checkpoint.ErrOtherModel):
		return "a run keeps the model and the optimizer that it began with; start another run for others"
	}
	return ""
}

// damagedHint says what there is in place of a damaged file of a run, or "": weights of
// another epoch are not used without a word.
func damagedHint(path string) string {
	home, model := filepath.Dir(path), filepath.Base(path) == "model.safetensors"
	if train.IsCheckpoint(path) {
		home, model = filepath.Dir(home), false
	}
	dir, err := train.View(home)
	if err != nil {
		return ""
	}
	whole, epoch := dir.Whole()
	switch {
	case whole == "" || whole == path:
		return ""
	case model:
		return fmt.Sprintf("gespann train --resume %s writes it again, from %s", shellWord(home), whole)
	}
	return fmt.Sprintf("%s is whole, after %s: name it to use it; gespann train --resume %s goes on from it",
		shellWord(whole), counted(epoch, "epoch"), shellWord(home))
}

// self returns how this program was called, as a shell takes it, for commands to
// copy.
func self() string {
	path, err := os.Executable()
	if err == nil && strings.Contains(filepath.ToSlash(path), "/go-build") {
		return "go run ./cmd/gespann"
	}
	return shellWord(os.Args[0])
}
