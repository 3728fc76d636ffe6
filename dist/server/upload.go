package server

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/gespann/gespann/dist/server/jobs"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/disk"
	"github.com/gespann/gespann/internal/outfile"
)

// uploadIdle is how long a client may take for its next piece.
const uploadIdle = time.Minute

// upload takes the files that come with a job, and returns the folder that they are
// in, synced; "": none come. The sizes of all are known before the first byte is.
func (v *visit) upload(files []wire.Upload) (folder string, err error) {
	if len(files) == 0 {
		return "", nil
	}
	if v.o.RunJob == nil {
		return "", jobs.ErrNoFolder
	}
	total := int64(0)
	for _, f := range files {
		total += f.Size
	}
	if total > max(v.o.MaxUpload, 0) {
		return "", fmt.Errorf("data: has %d bytes, and this coordinator takes %d with a job\n"+
			"hint: gespann coordinator --max-upload MIB lets more in; or put the files on its machine, and submit without --upload",
			total, max(v.o.MaxUpload, 0))
	}
	if err := v.reserve(total); err != nil {
		return "", err
	}
	defer v.release(total)
	if folder, err = v.book.Stage(); err != nil {
		return "", noRoom(err)
	}
	defer func() {
		if err != nil {
			os.RemoveAll(folder)
			folder = ""
		}
	}()
	if folder, err = filepath.Abs(folder); err != nil {
		return folder, err
	}
	for i := range files {
		if err := v.takeFile(folder, i, &files[i]); err != nil {
			return folder, noRoom(err)
		}
	}
	return folder, nil
}

// reserve sees to it that there is room for so many bytes besides those that others
// have announced. Release must follow.
func (s *Server) reserve(bytes int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	free, err := freeBytes(s.book.Folder())
	if err != nil {
		return err
	}
	if free-s.uploading-room < bytes {
		return fmt.Errorf("data: has %d bytes, and the disk of the coordinator has room for %d\nhint: make room there",
			bytes, max(free-s.uploading-room, 0))
	}
	s.uploading += bytes
	return nil
}

func (s *Server) release(bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uploading -= bytes
}

func noRoom(err error) error {
	if jobs.NoSpace(err) {
		return fmt.Errorf("the disk of the coordinator is full, and the job was not taken: %w\nhint: make room there", err)
	}
	return err
}

// takeFile receives a file of Submit into a folder.
func (v *visit) takeFile(folder string, i int, f *wire.Upload) error {
	path := filepath.Join(folder, filepath.FromSlash(f.Path))
	if err := disk.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	digest := sha256.New()
	err := outfile.Write(path, func(w io.Writer) error { return v.takePieces(io.MultiWriter(w, digest), i, f) })
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(digest.Sum(nil)); got != f.SHA256 {
		return fmt.Errorf("data: %s: changed while it was sent: got SHA-256 %s, want %s\nhint: submit again", f.Path, got, f.SHA256)
	}
	return nil
}

// takePieces asks for the pieces of a file, window by window.
func (v *visit) takePieces(w io.Writer, i int, f *wire.Upload) error {
	for at := int64(0); at < f.Size; {
		if err := v.tell(&wire.Ready{File: i, Offset: at}, nil); err != nil {
			return err
		}
		for end := min(at+wire.UploadWindow, f.Size); at < end; {
			n, err := v.takePiece(w, f, at, end)
			if err != nil {
				return err
			}
			at += n
		}
	}
	return nil
}

// takePiece receives a piece from an offset, which goes to end at most.
func (v *visit) takePiece(w io.Writer, f *wire.Upload, at, end int64) (int64, error) {
	piece, err := v.next()
	if err != nil {
		return 0, err
	}
	defer done(piece)
	n := int64(len(piece.Bytes))
	m, ok := piece.Message.(*wire.File)
	if !ok || m.Path != f.Path || m.Size != f.Size || m.Offset != at || n == 0 || n > end-at {
		return 0, &goneError{fmt.Errorf("got %s, want the bytes of %s from %d to %d", piece.Kind(), f.Path, at, end)}
	}
	_, err = w.Write(piece.Bytes)
	return n, err
}

// next returns what the client says next, for which it has a minute.
func (v *visit) next() (wire.Frame, error) {
	late := time.NewTimer(uploadIdle)
	defer late.Stop()
	select {
	case f := <-v.asked:
		return f, nil
	case <-late.C:
		return wire.Frame{}, errors.New("data: nothing came for a minute")
	case <-v.p.ctx.Done():
		return wire.Frame{}, &goneError{v.p.ctx.Err()}
	}
}

// absolute is filepath.Abs, of "" too.
func absolute(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	return filepath.Abs(path)
}
