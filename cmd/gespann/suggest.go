package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gespann/gespann/internal/train"
	"github.com/gespann/gespann/model/spec"
)

// otherCommands are what other programs call our commands.
var otherCommands = map[string]string{
	"fit": "train", "run": "train", "start": "train", "resume": "train --resume", "continue": "train --resume",
	"eval": "evaluate", "test": "evaluate", "validate": "evaluate", "score": "evaluate",
	"infer": "predict", "inference": "predict", "apply": "predict", "classify": "predict",
	"show": "inspect", "summary": "inspect", "describe": "inspect", "kinds": "layers", "gpus": "devices",
	"list": "jobs", "ls": "jobs", "ps": "jobs", "queue": "jobs", "status": "jobs", "kill": "cancel", "stop": "cancel",
	"download": "fetch", "get": "fetch", "log": "logs", "master": "coordinator", "server": "coordinator", "serve": "coordinator",
	"node": "worker", "agent": "worker", "cert": "certs",
}

// otherFlags are flags of other programs, with what serves their purpose. It counts
// where the command has the flag before "=" or a space.
var otherFlags = map[string]string{
	"gpu": "--backend=gpu", "cuda": "--backend=gpu", "cpu": "--backend=cpu", "output-dir": "--runs", "out-dir": "--runs",
	"verbose": "--log", "quiet": "--log", "progress": "--log", "resume-from": "--resume", "checkpoint": "--resume",
}

// unknownCommand is the error of a word that is no command.
func unknownCommand(root *cobra.Command, word string) error {
	var names []string
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	hint := root.Name() + " --help lists the commands"
	switch ext := strings.ToLower(filepath.Ext(word)); {
	case ext == ".yaml" || ext == ".yml":
		hint = fmt.Sprintf("%s train %s", root.Name(), shellWord(word))
	case otherCommands[strings.ToLower(word)] != "":
		hint = fmt.Sprintf("did you mean %s %s?", root.Name(), otherCommands[strings.ToLower(word)])
	default:
		if near := spec.Suggest(word, names); near != "" {
			hint = near
		}
	}
	return usagef("unknown command %q\nhint: %s", word, hint)
}

// nearFile says of an error about a file that is not there, or is a run, what may have
// been meant; "" for other errors.
func nearFile(err error) string {
	var file *fs.PathError
	if !errors.As(err, &file) || strings.Contains(err.Error(), "\nhint: ") {
		return ""
	}
	if _, view := train.View(file.Path); view == nil && errors.Is(err, syscall.EISDIR) {
		return fmt.Sprintf("that is a run: its file is %s; %s train --resume %s goes on with it",
			shellWord(filepath.Join(file.Path, "spec.yaml")), self(), shellWord(file.Path))
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	switch file.Path {
	case "":
		return "that name is empty, as of a variable of the shell that is not set"
	case "-":
		return "the standard input is /dev/stdin"
	}
	entries, _ := os.ReadDir(filepath.Dir(file.Path)) // no entries: nothing is near
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if best := spec.Near(filepath.Base(file.Path), names); best != "" {
		return fmt.Sprintf("did you mean %s?", shellWord(filepath.Join(filepath.Dir(file.Path), best)))
	}
	return ""
}

// flagAsValue reports a flag that has taken the flag after it for its value.
func flagAsValue(c *cobra.Command) (err error) {
	c.Flags().Visit(func(f *pflag.Flag) {
		word, _, _ := strings.Cut(strings.TrimPrefix(f.Value.String(), "--"), "=")
		if err != nil || !strings.HasPrefix(f.Value.String(), "--") || c.Flags().Lookup(word) == nil {
			return
		}
		want, _ := pflag.UnquoteUsage(f)
		if want == "" || want == "string" {
			want = "value"
		}
		err = usagef("--%s wants a %s, got the flag --%s", f.Name, strings.ToLower(want), word)
	})
	return err
}

// flagError explains an error of the flags of a command.
func flagError(c *cobra.Command, err error) error {
	if words := c.Flags().Args(); !c.HasParent() && len(words) > 0 {
		return unknownCommand(c, words[0]) // whose flags these may be
	}
	hint := c.CommandPath() + " --help lists the flags"
	var none *pflag.NotExistError
	if errors.As(err, &none) {
		if near := flagHint(c, none.GetSpecifiedName()); near != "" {
			hint = near + " " + hint
		}
	}
	return usagef("%w\nhint: %s", err, hint)
}

// flagHint says which flag of a command is meant by another word, or "".
func flagHint(c *cobra.Command, word string) string {
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	ours := otherFlags[strings.ReplaceAll(word, "_", "-")]
	if name, _, _ := strings.Cut(strings.TrimPrefix(ours, "--"), "="); slices.Contains(names, name) {
		return fmt.Sprintf("did you mean %s?", ours)
	}
	return spec.FlagHint(word, names)
}
