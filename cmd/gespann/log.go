package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"

	"github.com/gespann/gespann/internal/plain"
)

// newLog returns the log of a process that runs for long: one line per event, and the
// hint of an error below it. Where lines are JSON, they are of that log.
func newLog(w io.Writer) *slog.Logger {
	if j, ok := w.(*jsonWriter); ok {
		return j.logger()
	}
	h := &logHandler{out: &logWriter{w: w}}
	h.Handler = slog.NewTextHandler(&h.out.line, nil)
	return slog.New(h)
}

// A logHandler is slog's text handler, which would write the line break before a hint
// as \n.
type logHandler struct {
	slog.Handler // writes into out.line
	out          *logWriter
}

// A logWriter puts a line together and writes it at once.
type logWriter struct {
	mu   sync.Mutex
	line bytes.Buffer
	w    io.Writer
	last string // the hint that was written last: once is enough while nothing changes
}

// Handle implements slog.Handler.
func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	plain, hints := cutHints(r)
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	h.out.line.Reset()
	if err := h.Handler.Handle(ctx, plain); err != nil {
		return err
	}
	for _, hint := range hints {
		if hint != h.out.last {
			h.out.line.WriteString("  hint: " + hint + "\n")
			h.out.last = hint
		}
	}
	_, err := h.out.w.Write(h.out.line.Bytes())
	return err
}

// WithAttrs implements slog.Handler.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logHandler{h.Handler.WithAttrs(attrs), h.out}
}

// WithGroup implements slog.Handler.
func (h *logHandler) WithGroup(name string) slog.Handler {
	return &logHandler{h.Handler.WithGroup(name), h.out}
}

// cutHints returns a record without the hints in its texts, and those.
func cutHints(r slog.Record) (plain slog.Record, hints []string) {
	message, hint := cutHint(r.Message)
	if hint != "" {
		hints = append(hints, hint)
	}
	plain = slog.NewRecord(r.Time, r.Level, message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		text := ""
		switch v := a.Value.Resolve(); {
		case v.Kind() == slog.KindString:
			text = v.String()
		case v.Kind() == slog.KindAny:
			if err, ok := v.Any().(error); ok {
				text = err.Error()
			}
		}
		if text, hint := cutHint(text); hint != "" {
			a.Value = slog.StringValue(text)
			hints = append(hints, hint)
		}
		plain.AddAttrs(a)
		return true
	})
	return plain, hints
}

// cutHint cuts a hint of one line from the end of a text. Whatever else has line
// breaks stays quoted: texts can come from other machines.
func cutHint(text string) (rest, hint string) {
	rest, hint, _ = strings.Cut(text, "\nhint: ")
	if plain.Line(hint) != hint {
		return text, ""
	}
	return rest, hint
}
