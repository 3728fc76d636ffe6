package checkpoint

import (
	"crypto/sha256"
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
