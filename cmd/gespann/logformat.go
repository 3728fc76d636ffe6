package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"
)

// Formats of what a command says while it runs for long.
const (
	formatText = "text"
	formatJSON = "json"
)

// formatEnv is the environment's word about it, below that of --log-format.
const formatEnv = "GESPANN_LOG_FORMAT"

// addLogFormat adds the flag. Its value is taken before commands see it, by wantsJSON: the
// complaint about a wrong flag is a line, too.
func addLogFormat(c *cobra.Command) {
	c.Flags().String("log-format", formatText, "text, or json: one object per line, also of errors ("+formatEnv+")")
}

// longRunning are the commands with that flag.
var longRunning = []string{"train", "coordinator", "worker"}

// wantsJSON reports whether a command line, or else the environment, asks for JSON.
func wantsJSON(args []string, env string) (bool, error) {
	if len(args) == 0 || !slices.Contains(longRunning, args[0]) {
		return false, nil
	}
	from, format := formatEnv, env
	for i, arg := range args {
		if arg == "--" {
			break
		}
		name, value, given := strings.Cut(arg, "=")
		if name != "--log-format" {
			continue
		}
		if !given && i+1 < len(args) {
			value = args[i+1]
		}
		from, format = name, value
	}
	switch format {
	case formatJSON:
		return true, nil
	case formatText:
		return false, nil
	case "":
		if from == formatEnv {
			return false, nil
		}
	}
	return false, usagef("%s: got %q, want text or json", from, format)
}

// A jsonWriter makes each line that is written to it a JSON object with time, level and msg,
// and is below the log of the process: all of its lines are complete, and have its
// attributes.
type jsonWriter struct {
	mu   sync.Mutex
	log  *slog.Logger
	part []byte // of a line
}

func newJSONWriter(w io.Writer) *jsonWriter { return &jsonWriter{log: newJSONLog(w)} }

// newJSONLog returns a log of one JSON object per line, with the hint of an error as a field.
func newJSONLog(w io.Writer) *slog.Logger {
	return slog.New(hintHandler{slog.NewJSONHandler(w, nil)})
}

// A hintHandler gives what is a hint in the text of an error a field of its own.
type hintHandler struct{ slog.Handler }

// Handle implements slog.Handler.
func (h hintHandler) Handle(ctx context.Context, r slog.Record) error {
	r, hints := cutHints(r)
	if len(hints) > 0 {
		r.AddAttrs(slog.String("hint", strings.Join(hints, "; ")))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h hintHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return hintHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h hintHandler) WithGroup(name string) slog.Handler {
	return hintHandler{h.Handler.WithGroup(name)}
}

// Write implements io.Writer.
func (j *jsonWriter) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.part = append(j.part, p...)
	for {
		line, rest, ok := bytes.Cut(j.part, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		j.line(line)
		j.part = append(j.part[:0], rest...)
	}
}

// Flush writes a line that lacks its end.
func (j *jsonWriter) Flush() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.line(j.part)
	j.part = nil
}

func (j *jsonWriter) line(text []byte) {
	if text := strings.TrimSpace(string(text)); text != "" {
		j.log.Info(text)
	}
}

// with has all further lines say more.
func (j *jsonWriter) with(attrs ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.log = j.log.With(attrs...)
}

// logger is the log that the lines are of.
func (j *jsonWriter) logger() *slog.Logger {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.log
}

// fail says why the process ends.
func (j *jsonWriter) fail(err error, hint string, code int) {
	j.Flush()
	attrs := []any{"event", "error", "exit_code", code}
	if hint != "" {
		attrs = append(attrs, "hint", hint)
	}
	j.logger().Error(err.Error(), attrs...)
}

// call has what a process says carry its name, where a line has room for it.
func (t terminal) call(name string) {
	if j, ok := t.err.(*jsonWriter); ok {
		j.with("worker_name", name)
	}
}

// asJSON returns the terminal of a command whose lines are JSON: what it says becomes
// records, and what it reports goes out as it is.
func (t terminal) asJSON() (terminal, *jsonWriter) {
	j := newJSONWriter(t.err)
	t.err = j
	return t, j
}

// jsonFormat reports whether all lines are JSON.
func (t terminal) jsonFormat() bool {
	_, ok := t.err.(*jsonWriter)
	return ok
}

// format is that of the lines.
func (t terminal) format() string {
	if t.jsonFormat() {
		return formatJSON
	}
	return formatText
}

// words returns where the lines of a worker go that this process has started: to its own,
// if those are JSON. What is no object, as the report of a crash, becomes one. Nil: nowhere.
func (t terminal) words(name string) io.Writer {
	j, ok := t.err.(*jsonWriter)
	if !ok {
		return nil
	}
	return &workerWords{to: j, name: name}
}

// workerWords passes complete lines of a worker on.
type workerWords struct {
	to   *jsonWriter
	name string
	part []byte
}

// maxLine bounds a line of a worker in bytes: longer ones come in pieces.
const maxLine = 64 << 10

// Write implements io.Writer.
func (w *workerWords) Write(p []byte) (int, error) {
	w.part = append(w.part, p...)
	for {
		line, rest, ok := bytes.Cut(w.part, []byte("\n"))
		if !ok && len(w.part) < maxLine {
			return len(p), nil
		}
		w.line(line)
		w.part = append(w.part[:0], rest...)
	}
}

func (w *workerWords) line(text []byte) {
	var record map[string]any
	if json.Unmarshal(text, &record) != nil {
		if text := strings.TrimSpace(string(text)); text != "" {
			w.to.logger().Info(text, "worker_name", w.name)
		}
		return
	}
	level, message := slog.LevelInfo, fmt.Sprint(record[slog.MessageKey])
	if err := level.UnmarshalText([]byte(fmt.Sprint(record[slog.LevelKey]))); err != nil {
		level = slog.LevelInfo
	}
	delete(record, slog.TimeKey) // it is of now, to the millisecond that a pipe takes
	delete(record, slog.LevelKey)
	delete(record, slog.MessageKey)
	record["worker_name"] = w.name
	w.to.logger().Log(context.Background(), level, message, attrsOf(record)...)
}

// attrsOf returns an object as attributes, in the order of their names.
func attrsOf(o object) []any {
	var attrs []any
	for _, name := range slices.Sorted(maps.Keys(o)) {
		attrs = append(attrs, slog.Any(name, o[name]))
	}
	return attrs
}
