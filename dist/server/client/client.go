// Package client asks a coordinator about its jobs: the other side of the
// server's Client.
package client

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/outfile"
	"github.com/gespann/gespann/internal/plain"
)

// A Client is a connection to a coordinator. Its methods must not be called
// concurrently. To end one that takes too long, close the connection.
type Client struct {
	conn    dist.Conn
	Version string // of the coordinator
}

// A RefusedError is the coordinator's answer when something was not done.
type RefusedError struct{ Reason string }

// Error gives the coordinator's reason.
func (e *RefusedError) Error() string { return e.Reason }

// refused makes an error of a coordinator's words.
func refused(words string) error { return &RefusedError{plain.Text(words)} }

// clean makes what a coordinator says of a job safe to show. Only a reason has lines.
func clean(j *wire.JobStatus) {
	for _, word := range []*string{&j.ID, &j.Name, &j.State, &j.Strategy, &j.Data} {
		*word = plain.Line(*word)
	}
	j.Reason = plain.Text(j.Reason)
}

// New begins to talk over a connection, which stays the caller's to close.
func New(conn dist.Conn, version string) (*Client, error) {
	conn.Allow(wire.MaxPiece)
	c := &Client{conn: conn}
	m, _, err := ask[*wire.Visited](c, &wire.Visit{Protocol: wire.Protocol, Version: version}, nil)
	if err != nil {
		return nil, err
	}
	c.Version = plain.Line(m.Version)
	return c, nil
}

// ask sends a message and returns the answer.
func ask[M wire.Message](c *Client, m wire.Message, bytes []byte) (M, wire.Frame, error) {
	if err := c.conn.Send(wire.Frame{Message: m, Bytes: bytes}); err != nil {
		var none M
		return none, wire.Frame{}, c.lost(err)
	}
	return hear[M](c)
}

// hear returns the next message, which must be of type M.
func hear[M wire.Message](c *Client) (M, wire.Frame, error) {
	var none M
	f, err := c.conn.Recv()
	if err != nil {
		return none, f, c.lost(err)
	}
	switch m := f.Message.(type) {
	case M:
		return m, f, nil
	case *wire.Refused:
		return none, f, refused(m.Err)
	case *wire.Dismiss:
		return none, f, refused(m.Reason)
	}
	return none, f, fmt.Errorf("coordinator %s: got %s, want %s", c.conn.Remote(), f.Kind(), none.Kind())
}

func (c *Client) lost(err error) error {
	return fmt.Errorf("coordinator %s: the connection has ended: %w", c.conn.Remote(), err)
}

// Submit queues a job; it is on the coordinator's disk then.
// Origin is where the spec comes from; nil: nowhere.
func (c *Client) Submit(name string, spec []byte, origin *wire.Origin) (*wire.Submitted, error) {
	return c.SubmitWith(name, spec, origin, nil, nil)
}

// List returns all jobs: those that run, the queue, and those that have ended,
// the latest first. Like all words of a coordinator, those in it are safe to show.
func (c *Client) List() ([]wire.JobStatus, error) {
	m, _, err := ask[*wire.Listed](c, &wire.List{}, nil)
	if err != nil {
		return nil, err
	}
	all := m.Jobs
	for !m.Last {
		if m, _, err = hear[*wire.Listed](c); err != nil {
			return nil, err
		}
		all = append(all, m.Jobs...)
	}
	for i := range all {
		clean(&all[i])
	}
	return all, nil
}

// Show returns the job whose ID is, or alone begins with, the given one.
func (c *Client) Show(job string) (*wire.JobStatus, error) {
	m, _, err := ask[*wire.Shown](c, &wire.Show{Job: job}, nil)
	if err != nil {
		return nil, err
	}
	clean(&m.Job)
	return &m.Job, nil
}

// Logs writes a job's log to w, with follow until the job has ended.
func (c *Client) Logs(job string, follow bool, w io.Writer) error {
	m, f, err := ask[*wire.Log](c, &wire.Logs{Job: job, Follow: follow}, nil)
	for {
		if err != nil {
			return err
		}
		if _, err := w.Write(f.Bytes); err != nil {
			return err
		}
		if m.Last {
			return nil
		}
		m, f, err = hear[*wire.Log](c)
	}
}

// Cancel ends a job. The answer has its whole ID, and its state: one that saves first
// has not ended yet.
func (c *Client) Cancel(job string) (*wire.Cancelled, error) {
	m, _, err := ask[*wire.Cancelled](c, &wire.CancelJob{Job: job}, nil)
	if err == nil {
		m.Job, m.State, m.Note = plain.Line(m.Job), plain.Line(m.State), plain.Text(m.Note)
	}
	return m, err
}

// Prune removes the jobs that have ended except so many, and returns their IDs.
func (c *Client) Prune(keep int) ([]string, error) {
	m, _, err := ask[*wire.Pruned](c, &wire.Prune{Keep: keep}, nil)
	if err != nil {
		return nil, err
	}
	for i, id := range m.Jobs {
		m.Jobs[i] = plain.Line(id)
	}
	return m.Jobs, nil
}

// Fetch writes the files of a job's run directory below dir. A file there that
// has the name of one of them is replaced; each is complete or absent. It calls
// got for each, if that is not nil.
func (c *Client) Fetch(job, dir string, got func(path string, size int64)) (*wire.FilesEnd, error) {
	if err := c.conn.Send(wire.Frame{Message: &wire.FetchFiles{Job: job}}); err != nil {
		return nil, c.lost(err)
	}
	for {
		f, err := c.conn.Recv()
		if err != nil {
			return nil, c.lost(err)
		}
		switch m := f.Message.(type) {
		case *wire.File:
			if err := c.file(m, f.Bytes, dir); err != nil {
				return nil, err
			}
			if got != nil {
				got(m.Path, m.Size)
			}
		case *wire.FilesEnd:
			return m, nil
		case *wire.Refused:
			return nil, refused(m.Err)
		case *wire.Dismiss:
			return nil, refused(m.Reason)
		default:
			return nil, fmt.Errorf("coordinator %s: got %s, want file", c.conn.Remote(), f.Kind())
		}
	}
}

// file writes a file, of which the first piece has come.
func (c *Client) file(first *wire.File, bytes []byte, dir string) error {
	name := filepath.FromSlash(first.Path)
	if !filepath.IsLocal(name) || name == "." || plain.Line(name) != name || first.Size < 0 || first.Offset != 0 {
		return fmt.Errorf("coordinator %s: sent a file %.200q at %d of %d bytes",
			c.conn.Remote(), first.Path, first.Offset, first.Size)
	}
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	return outfile.Write(path, func(w io.Writer) error { return c.pieces(first, bytes, w) })
}

// pieces writes the pieces of a file.
func (c *Client) pieces(first *wire.File, bytes []byte, w io.Writer) error {
	for at := int64(0); ; {
		if at += int64(len(bytes)); at > first.Size {
			return errors.New("more bytes came than the file has")
		}
		if _, err := w.Write(bytes); err != nil {
			return err
		}
		if at == first.Size {
			return nil
		}
		m, f, err := hear[*wire.File](c)
		if err != nil {
			return err
		}
		if m.Path != first.Path || m.Offset != at || len(f.Bytes) == 0 {
			return fmt.Errorf("got %.200q at %d, want the rest from %d", m.Path, m.Offset, at)
		}
		bytes = f.Bytes
	}
}
