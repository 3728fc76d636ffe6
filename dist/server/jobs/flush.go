package jobs

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/gespann/gespann/internal/disk"
	"github.com/gespann/gespann/internal/outfile"
)

// Urgent reports whether something waits for Flush that should not wait long.
func (b *Book) Urgent() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.entries {
		if e.urgent {
			return true
		}
	}
	return false
}

// Flush brings all changes to disk, or with urgent only those that should not
// wait. What cannot be written now stays for the next time, and the other jobs
// are written nevertheless.
func (b *Book) Flush(urgent bool) error {
	if b.folder == "" {
		return nil
	}
	var errs []error
	for _, id := range b.due(urgent) {
		errs = append(errs, b.flush(id))
	}
	_, err := b.remove(keepAttached, func(r *Record) bool { return !r.Submitted })
	errs = append(errs, err)
	err = errors.Join(errs...)
	b.mu.Lock()
	b.lastErr = err
	b.mu.Unlock()
	return err
}

func (b *Book) due(urgent bool) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var ids []string
	for id, e := range b.entries {
		if e.urgent || !urgent && (e.dirty || e.curving || len(e.log) > 0) {
			ids = append(ids, id)
		}
	}
	return ids
}

// Commit brings a job's record to disk, as it is now. Its error is of that record alone:
// nil means that it is there.
func (b *Book) Commit(id string) error {
	if b.folder == "" {
		return nil
	}
	record, rest := b.write(id)
	if record != nil {
		b.mu.Lock()
		b.lastErr = errors.Join(record, rest)
		b.mu.Unlock()
	}
	return record
}

// flush writes one job.
func (b *Book) flush(id string) error { return errors.Join(b.write(id)) }

// write writes what of a job differs from what is on disk: the record, and the rest.
func (b *Book) write(id string) (record, rest error) {
	b.disk.Lock() // what another call is writing is there, or known not to be, after this
	defer b.disk.Unlock()
	b.mu.Lock()
	e := b.entries[id]
	if e == nil {
		b.mu.Unlock()
		return nil, nil
	}
	was := *e
	was.Record = e.at(b.clock.Elapsed())
	e.dirty, e.urgent, e.curving = false, false, false
	e.log, e.logging, e.dropped = nil, len(e.log) > 0, 0
	b.mu.Unlock()
	var curve, log error
	if was.dirty || !was.created {
		record = b.writeRecord(&was)
	}
	if was.curving {
		curve = writeCurve(b.path(id, curveFile), was.curve)
	}
	if len(was.log) > 0 {
		log = appendLog(b.path(id, logFile), was.log, was.dropped)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	e.logging = false
	e.created = e.created || record == nil
	e.dirty = e.dirty || record != nil
	e.curving = e.curving || curve != nil
	if log != nil {
		e.log = append(was.log, e.log...)
		e.dropped += was.dropped
	}
	if len(was.log) > 0 {
		b.notify() // for those who read it
	}
	return record, errors.Join(curve, log)
}

func (b *Book) writeRecord(e *entry) error {
	if !e.created {
		return b.create(e.Record, Submission{})
	}
	return writeJSON(b.path(e.ID, recordFile), e.Record)
}

// Unwritten reports whether a part of the job's log is not on disk yet.
func (b *Book) Unwritten(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[id]
	return e != nil && (e.logging || len(e.log) > 0)
}

// OpenLog opens the log of a job for reading; nil when there is none yet.
func (b *Book) OpenLog(id string) (*os.File, error) {
	if b.folder == "" {
		return nil, ErrNoFolder
	}
	f, err := os.Open(b.path(id, logFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return f, err
}

// LogTail returns at most so many bytes from the end of a job's log; nil when
// there is none yet.
func (b *Book) LogTail(id string, bytes int) ([]byte, error) {
	b.mu.Lock()
	known := b.entries[id] != nil
	b.mu.Unlock()
	if !known {
		return nil, fmt.Errorf("job %.80q: there is none", id)
	}
	f, err := b.OpenLog(id)
	if f == nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	text := make([]byte, min(size, int64(bytes)))
	n, err := f.ReadAt(text, size-int64(len(text)))
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return text[:n], err
}

// appendLog adds text to a log, all of it or nothing.
func appendLog(path string, text []byte, dropped int) error {
	if dropped > 0 {
		text = fmt.Appendf(text, "(%d more lines were dropped: the disk was full)\n", dropped)
	}
	f, err := disk.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.OS().Seek(0, io.SeekEnd)
	if err != nil || size > maxLog {
		return err
	}
	if size+int64(len(text)) > maxLog {
		text = append(bytes.Clone(text), "(the log is full)\n"...)
	}
	_, err = f.Write(text)
	if err == nil { // some file systems find out only now that there is no room
		err = f.Sync()
	}
	if err != nil {
		return errors.Join(err, f.Truncate(size)) // or its next try would repeat lines
	}
	return nil
}

// A line of a curve on disk.
type curveLine struct {
	Series string `json:"series"`
	Point
}

func writeCurve(path string, c *Curve) error {
	return outfile.Write(path, func(w io.Writer) error {
		buffered := bufio.NewWriter(w)
		lines := json.NewEncoder(buffered)
		for _, p := range c.Train {
			if err := lines.Encode(curveLine{"train", p}); err != nil {
				return err
			}
		}
		for _, p := range c.Validation {
			if err := lines.Encode(curveLine{"validation", p}); err != nil {
				return err
			}
		}
		return buffered.Flush()
	})
}

func readCurve(path string) (*Curve, error) {
	c := &Curve{}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := json.NewDecoder(io.LimitReader(f, maxLog))
	for {
		var line curveLine
		if err := lines.Decode(&line); errors.Is(err, io.EOF) {
			return c, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if line.Series == "validation" {
			c.AddValidation(line.Point)
		} else {
			c.AddTrain(line.Point)
		}
	}
}
