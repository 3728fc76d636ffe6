package train

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/gespann/gespann/internal/disk"
)

// A Row is one line of metrics.csv.
type Row struct {
	Epoch   int     // counted from 1
	Step    int64   // optimiser steps since the start
	Values  []Value // loss and metrics, then those of the validation, if any
	Rate    float32 // learning rate of the epoch's last step
	Seconds float64 // that the epoch took, validation included
}

// columns returns the header of metrics.csv for rows with the given values.
func columns(names []string) string {
	return "epoch,step," + strings.Join(names, ",") + ",learning_rate,seconds\n"
}

func (r Row) line() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d,%d", r.Epoch, r.Step)
	for _, v := range r.Values {
		b.WriteString("," + strconv.FormatFloat(v.Value, 'g', 8, 64))
	}
	fmt.Fprintf(&b, ",%s,%.3f\n", strconv.FormatFloat(float64(r.Rate), 'g', -1, 32), r.Seconds)
	return b.String()
}

// A metricsLog appends to metrics.csv, a line at a time.
type metricsLog struct{ f *disk.File }

// openMetrics opens the log of a run that has finished so many epochs, and returns how many
// of them it has. It drops
// what is after them: whole lines that the run will write again, and the partial
// one that a crash can leave behind.
func openMetrics(path string, names []string, epochs int) (*metricsLog, int, error) {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, 0, err
	}
	header := columns(names)
	keep := linesUntil(text, epochs)
	if len(keep) > 0 && !bytes.HasPrefix(keep, []byte(header)) {
		first, _, _ := strings.Cut(string(keep), "\n")
		return nil, 0, fmt.Errorf("%s: has columns %q, the run reports %q\n"+
			"hint: rename it to keep it; the run goes on with a new one",
			path, first, strings.TrimSpace(header))
	}
	f, err := disk.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return nil, 0, err
	}
	m := &metricsLog{f}
	if err = f.Truncate(int64(len(keep))); err == nil && len(keep) == 0 {
		err = m.append(header) // its name is synced with the files that begin the run
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return m, max(bytes.Count(keep, []byte("\n"))-1, 0), nil
}

// linesUntil returns the header and the lines of epochs up to the given one that follow
// it, as far as they end.
func linesUntil(text []byte, epoch int) []byte {
	end := 0
	for {
		i := bytes.IndexByte(text[end:], '\n')
		if i < 0 {
			return text[:end]
		}
		if first, _, _ := bytes.Cut(text[end:end+i], []byte(",")); end > 0 {
			if n, err := strconv.Atoi(string(first)); err == nil && n > epoch {
				return text[:end]
			}
		}
		end += i + 1
	}
}

// append adds a line with one write, and syncs.
func (m *metricsLog) append(line string) error {
	_, err := m.f.Write([]byte(line))
	if err == nil {
		err = m.f.Sync()
	}
	return err // names the file
}

func (m *metricsLog) Close() error { return m.f.Close() }

// readMetrics returns the columns of metrics.csv by name.
func readMetrics(path string) (map[string][]float64, []string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	names := strings.Split(lines[0], ",")
	table := map[string][]float64{}
	for i, line := range lines[1:] {
		fields := strings.Split(line, ",")
		if len(fields) != len(names) {
			return nil, nil, fmt.Errorf("%s:%d: %d fields, want %d", path, i+2, len(fields), len(names))
		}
		for j, name := range names {
			v, err := strconv.ParseFloat(fields[j], 64)
			if err != nil {
				return nil, nil, fmt.Errorf("%s:%d: %s: %w", path, i+2, name, err)
			}
			table[name] = append(table[name], v)
		}
	}
	return table, names, nil
}
