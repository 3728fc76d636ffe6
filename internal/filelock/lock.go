// Package filelock keeps processes out of each other's files.
package filelock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

// Open opens the file of a lock, which it makes when there is none. It must be a file of
// its own: a link, in whose place another file would be written to, and whatever is no
// regular file are errors.
func Open(path string) (*os.File, error) {
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	if err := check(f); err != nil {
		f.Close()
		return nil, &fs.PathError{Op: "lock", Path: path, Err: err}
	}
	return f, nil
}

var errLink = errors.New("is a link, and a lock is a file of its own\nhint: remove the link, if nobody uses what is there")

func check(f *os.File) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errors.New("is no regular file, as a lock is")
	case names(info) > 1:
		return errors.New("has another name (a hard link), and a lock is a file of its own")
	}
	return nil
}

// maxPID is the length of a number that Sign writes.
const maxPID = 20

// Sign writes the number of this process into a lock that it holds, for people. Content
// that is no such number is not written over.
func Sign(f *os.File) error {
	text, err := io.ReadAll(io.NewSectionReader(f, 0, maxPID+1))
	if err != nil {
		return err
	}
	if _, err := strconv.Atoi(strings.TrimSpace(string(text))); err != nil && len(text) > 0 || len(text) > maxPID {
		return fmt.Errorf("%s: is no lock: it has other content, which would be lost", f.Name())
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// Holder returns the number that Sign wrote, or "" when there is none.
func Holder(f *os.File) string {
	text, _ := io.ReadAll(io.NewSectionReader(f, 0, maxPID))
	pid := strings.TrimSpace(string(text))
	if _, err := strconv.Atoi(pid); err != nil {
		return ""
	}
	return pid
}

// pause is the time between two attempts of Wait.
const pause = 100 * time.Millisecond

// Wait takes the lock on an open file, as Try does, as soon as it is free. It
// calls busy once when it is not free at first.
func Wait(ctx context.Context, f *os.File, busy func()) error {
	for first := true; ; first = false {
		if locked, err := Try(f); locked || err != nil {
			return err
		}
		if first {
			busy()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}
