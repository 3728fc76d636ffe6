package checkpoint

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/gespann/gespann/internal/outfile"
)

// A FileError is a checkpoint file that cannot be written or read.
type FileError struct {
	Path    string
	Err     error
	Damaged bool // the file was read, and is no whole checkpoint
}

func (e *FileError) Error() string { return fmt.Sprintf("checkpoint %s: %v", e.Path, e.Err) }

// Unwrap returns what is wrong with the file.
func (e *FileError) Unwrap() error { return e.Err }

// Write stores s at path, as outfile.Write does: complete or not at all.
func Write(path string, s *State) error {
	err := outfile.Write(path, func(w io.Writer) error {
		_, err := s.encode(w)
		return err
	})
	var file *outfile.Error
	if errors.As(err, &file) {
		err = file.Err
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		err = fmt.Errorf("it needs %d bytes: %w", s.size(), err)
	}
	if err != nil {
		return &FileError{Path: path, Err: err}
	}
	return nil
}

// Read returns the state stored at path.
func Read(path string) (*State, error) {
	s, _, err := read(path)
	return s, err
}

// ReadSum is Read, with the SHA-256 of the file that was read.
func ReadSum(path string) (*State, [sha256.Size]byte, error) {
	s, b, err := read(path)
	return s, sha256.Sum256(b), err
}

func read(path string) (*State, []byte, error) {
	if err := tooLong(path); err != nil {
		return nil, nil, &FileError{Path: path, Err: err, Damaged: true}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		var p *os.PathError
		if errors.As(err, &p) {
			err = p.Err // without the path again
		}
		return nil, nil, &FileError{Path: path, Err: err}
	}
	s, err := Decode(b)
	if err != nil {
		return nil, nil, &FileError{Path: path, Err: err, Damaged: true}
	}
	return s, b, nil
}

// tooLong returns what is wrong with a file whose end is not where its header says, before
// all of it is read. Other faults are found, and told, by who reads it.
func tooLong(path string) error {
	stat, err := os.Stat(path)
	if err != nil || !stat.Mode().IsRegular() || stat.Size() <= 1<<20 {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	var length [8]byte
	if _, err := io.ReadFull(f, length[:]); err != nil {
		return nil
	}
	n := binary.LittleEndian.Uint64(length[:])
	if n > maxHeader {
		return fmt.Errorf("header length %d, want at most %d: %w", n, maxHeader, ErrForeign)
	}
	header := make([]byte, min(n, uint64(stat.Size())))
	if _, err := io.ReadFull(f, header); err != nil {
		return nil
	}
	entries, _, err := parseHeader(header)
	if err != nil {
		return err
	}
	size, err := layout(entries)
	if err != nil {
		return err
	}
	if whole := 8 + int64(n) + size; whole < stat.Size() {
		return fmt.Errorf("header says %d bytes, file has %d", whole, stat.Size())
	}
	return nil
}
