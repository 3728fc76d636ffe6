package client

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/plain"
)

// A File is one of this machine that goes along with a job.
type File struct {
	wire.Upload
	From string // its path here
}

// NewFile reads a file, which is to have a path at the coordinator.
func NewFile(from, path string) (File, error) {
	info, err := os.Stat(from)
	if err != nil {
		return File{}, err
	}
	if !info.Mode().IsRegular() { // a pipe would be waited for
		return File{}, fmt.Errorf("%s: got %s, want a regular file", from, info.Mode().Type())
	}
	f, err := os.Open(from)
	if err != nil {
		return File{}, err
	}
	defer f.Close()
	digest := sha256.New()
	n, err := io.Copy(digest, f)
	if err != nil {
		return File{}, err
	}
	return File{wire.Upload{Path: path, Size: n, SHA256: hex.EncodeToString(digest.Sum(nil))}, from}, nil
}

// SubmitWith is Submit for a job whose data goes along with it: paths in the spec are
// those of files. It tells sent how many bytes have gone, if that is not nil.
func (c *Client) SubmitWith(
	name string, spec []byte, origin *wire.Origin, files []File, sent func(bytes int64),
) (*wire.Submitted, error) {
	if len(spec) > wire.MaxSpec {
		return nil, fmt.Errorf("spec: has %d bytes, want at most %d", len(spec), wire.MaxSpec)
	}
	m := &wire.Submit{Name: name, Origin: origin}
	for _, f := range files {
		m.Files = append(m.Files, f.Upload)
	}
	if err := wire.Validate(m); err != nil {
		return nil, err
	}
	if err := c.conn.Send(wire.Frame{Message: m, Bytes: spec}); err != nil {
		return nil, c.lost(err)
	}
	gone := int64(0)
	for {
		f, err := c.conn.Recv()
		if err != nil {
			return nil, c.lost(err)
		}
		switch m := f.Message.(type) {
		case *wire.Ready:
			if m.File < 0 || m.File >= len(files) || m.Offset < 0 || m.Offset > files[m.File].Size {
				return nil, fmt.Errorf("coordinator %s: wants file %d from %d, which there is not", c.conn.Remote(), m.File, m.Offset)
			}
			if err := c.window(&files[m.File], m.Offset, &gone, sent); err != nil {
				return nil, err
			}
		case *wire.Submitted:
			m.Job, m.Note, m.Data = plain.Line(m.Job), plain.Line(m.Note), plain.Line(m.Data)
			return m, nil
		case *wire.Refused:
			return nil, refused(m.Err)
		case *wire.Dismiss:
			return nil, refused(m.Reason)
		default:
			return nil, fmt.Errorf("coordinator %s: got %s, want ready or submitted", c.conn.Remote(), f.Kind())
		}
	}
}

// window sends the bytes of a file that the coordinator is ready for.
func (c *Client) window(file *File, at int64, gone *int64, sent func(bytes int64)) error {
	f, err := os.Open(file.From)
	if err != nil {
		return err
	}
	defer f.Close()
	end := min(at+wire.UploadWindow, file.Size)
	buffer := make([]byte, min(end-at, wire.MaxPiece))
	for at < end {
		n := min(end-at, int64(len(buffer)))
		if _, err := io.ReadFull(io.NewSectionReader(f, at, n), buffer[:n]); err != nil {
			return fmt.Errorf("%s: changed while it was sent: %w", file.From, err)
		}
		m := &wire.File{Path: file.Path, Size: file.Size, Offset: at}
		if err := c.conn.Send(wire.Frame{Message: m, Bytes: buffer[:n]}); err != nil {
			return c.lost(err)
		}
		at += n
		*gone += n
		if sent != nil {
			sent(*gone)
		}
	}
	return nil
}
