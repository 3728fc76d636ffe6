package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/server/jobs"
	"github.com/gespann/gespann/dist/wire"
)

// listPart is how many jobs one Listed has, so that it stays far below the size
// of a message.
const listPart = 100

// Client serves the connection of someone who asks about jobs, until its end.
func (s *Server) Client(ctx context.Context, conn dist.Conn, who dist.Principal) error {
	return s.serve(ctx, conn, who, func(p *peer) error {
		conn.Allow(wire.MaxSpec)
		f, err := p.first()
		if err != nil {
			return err
		}
		defer done(f)
		m, ok := f.Message.(*wire.Visit)
		switch {
		case !ok:
			err = fmt.Errorf("the first message of a client is %s, want visit", f.Kind())
		case m.Protocol != wire.Protocol:
			err = fmt.Errorf("the client speaks protocol %d, this coordinator %d\n"+
				"hint: use the same version of gespann everywhere", m.Protocol, wire.Protocol)
		}
		if err != nil {
			return p.refuse(&wire.Refused{Err: err.Error()}, err)
		}
		v := &visit{Server: s, p: p, who: who}
		if err := v.say(&wire.Visited{Version: s.o.Version}, nil); err != nil {
			return err
		}
		return v.talk()
	})
}

// A visit is a client's connection.
type visit struct {
	*Server
	p   *peer
	who dist.Principal

	asked <-chan wire.Frame // what the client has said
}

// talk answers what the client asks. Reading goes on meanwhile, so that a client
// that leaves is noticed.
func (v *visit) talk() error {
	asked := make(chan wire.Frame)
	v.asked = asked
	read := make(chan error, 1)
	go func() {
		defer v.p.cancel()
		for {
			f, err := v.p.receive()
			if err != nil {
				read <- err
				return
			}
			select {
			case asked <- f:
			case <-v.p.ctx.Done():
				done(f)
				read <- v.p.ctx.Err()
				return
			}
		}
	}()
	for {
		select {
		case f := <-asked:
			if err := v.answer(f); err != nil {
				v.p.cancel() // the reader may wait to hand the next one over
				v.p.conn.Close()
				<-read
				return err
			}
		case <-v.p.ctx.Done():
			v.p.conn.Close()
			return <-read
		}
	}
}

// say sends a message with bytes. It waits for the client, whom nobody else
// waits for.
func (v *visit) say(m wire.Message, bytes []byte) error {
	return v.p.conn.Send(wire.Frame{Message: m, Bytes: bytes})
}

// answer answers one message. Its error ends the connection; what the client
// cannot have is said as Refused.
func (v *visit) answer(f wire.Frame) error {
	err := v.do(f)
	done(f)
	var gone *goneError
	if errors.As(err, &gone) {
		return gone.err
	}
	if err != nil {
		return v.say(&wire.Refused{Err: err.Error()}, nil)
	}
	return nil
}

// A goneError is one of the connection.
type goneError struct{ err error }

func (e *goneError) Error() string { return e.err.Error() }

// tell is say for errors that end the connection.
func (v *visit) tell(m wire.Message, bytes []byte) error {
	if err := v.say(m, bytes); err != nil {
		return &goneError{err}
	}
	return nil
}

func (v *visit) do(f wire.Frame) error {
	switch m := f.Message.(type) {
	case *wire.Submit:
		folder, err := v.upload(m.Files)
		if err != nil {
			return err
		}
		if folder != "" {
			defer os.RemoveAll(folder) // which is not there any more once it is the job's
		}
		job, err := v.Submit(v.p.ctx, Request{m.Name, f.Bytes, m.Origin, v.who, folder})
		if err != nil {
			return err
		}
		return v.tell(&wire.Submitted{Job: job.ID, Position: job.Position, Note: job.Reason, Data: job.Data}, nil)
	case *wire.List:
		return v.list()
	case *wire.Show:
		r, err := v.find(m.Job)
		if err != nil {
			return err
		}
		v.explain(&r.JobStatus)
		return v.tell(&wire.Shown{Job: r.JobStatus}, nil)
	case *wire.Logs:
		return v.logs(m)
	case *wire.CancelJob:
		r, err := v.find(m.Job)
		if err != nil {
			return err
		}
		job, err := v.Cancel(r.ID)
		answer := &wire.Cancelled{Job: job.ID, State: job.State}
		if late := (*NotOnDiskError)(nil); errors.As(err, &late) {
			answer.Note = late.Error()
		} else if err != nil {
			return err
		}
		return v.tell(answer, nil)
	case *wire.FetchFiles:
		return v.fetch(m)
	case *wire.Prune:
		removed, err := v.book.Prune(m.Keep, func(r *jobs.Record) bool { return mayTouch(v.who, r.By) })
		if err != nil && len(removed) > 0 {
			return fmt.Errorf("removed %s, but not all: %w", strings.Join(removed, ", "), err)
		} else if err != nil {
			return err
		}
		return v.tell(&wire.Pruned{Jobs: removed}, nil)
	}
	return fmt.Errorf("%s is not for a coordinator", f.Kind())
}

// find returns the job with that ID, or one that alone begins so, if the client may have to
// do with it: of those that begin so, the one that it may.
func (v *visit) find(id string) (jobs.Record, error) {
	r, err := v.book.Find(id)
	if err == nil && mayTouch(v.who, r.By) {
		return r, nil
	}
	if r.ID != id && id != "" {
		var own []jobs.Record
		for _, one := range v.book.All() {
			if strings.HasPrefix(one.ID, id) && mayTouch(v.who, one.By) {
				own = append(own, one)
			}
		}
		if len(own) == 1 {
			return own[0], nil
		}
	}
	if err == nil {
		err = notYours(r)
	}
	return r, err
}

func (v *visit) list() error {
	all := v.book.All()
	for {
		n := min(len(all), listPart)
		part := &wire.Listed{Jobs: make([]wire.JobStatus, n), Last: n == len(all)}
		for i, r := range all[:n] {
			v.explain(&r.JobStatus)
			part.Jobs[i] = r.JobStatus
		}
		if err := v.tell(part, nil); err != nil {
			return err
		}
		if all = all[n:]; len(all) == 0 {
			return nil
		}
	}
}

// logs sends a log, and with Follow what comes until the job has ended.
func (v *visit) logs(m *wire.Logs) error {
	r, err := v.find(m.Job)
	if err != nil {
		return err
	}
	for at := int64(0); ; {
		changed := v.book.Changed()
		ended, err := v.logEnded(r.ID)
		if err != nil {
			return err
		}
		if at, err = v.logFrom(r.ID, at); err != nil {
			return err
		}
		if ended || !m.Follow {
			return v.tell(&wire.Log{Last: true}, nil)
		}
		select {
		case <-changed:
		case <-v.p.ctx.Done():
			return &goneError{v.p.ctx.Err()}
		}
	}
}

// logEnded reports whether a job's log will not grow any more.
func (v *visit) logEnded(id string) (bool, error) {
	r, err := v.book.Find(id)
	return wire.Ended(r.State) && !v.book.Unwritten(id), err
}

// logFrom sends what the log has from an offset, and returns the next one.
func (v *visit) logFrom(id string, at int64) (int64, error) {
	f, err := v.book.OpenLog(id)
	if f == nil {
		return at, err
	}
	defer f.Close()
	buffer := make([]byte, wire.MaxPiece)
	for {
		n, err := f.ReadAt(buffer, at)
		if n > 0 {
			if err := v.tell(&wire.Log{}, buffer[:n]); err != nil {
				return at, err
			}
			at += int64(n)
		}
		if errors.Is(err, io.EOF) {
			return at, nil
		}
		if err != nil {
			return at, err
		}
	}
}

// fetch sends the files of a run directory.
func (v *visit) fetch(m *wire.FetchFiles) error {
	r, err := v.find(m.Job)
	if err != nil {
		return err
	}
	if !r.Submitted {
		return fmt.Errorf("job %s: was not submitted: its files are with its driver", r.ID)
	}
	end := &wire.FilesEnd{}
	err = jobs.EachFile(v.book.RunDir(r.ID), func(path string, size int64, content io.Reader) error {
		end.Files++
		end.Bytes += size
		return v.file(path, size, content)
	})
	if err != nil {
		return err
	}
	if end.Files == 0 {
		v.explain(&r.JobStatus)
		return nothingOf(r)
	}
	return v.tell(end, nil)
}

// nothingOf says why a job has no files.
func nothingOf(r jobs.Record) error {
	text := fmt.Sprintf("job %s: %s", r.ID, r.State)
	if r.Position > 0 {
		text += fmt.Sprintf(", place %d", r.Position)
	}
	text += ": nothing has been saved"
	if !wire.Ended(r.State) {
		text += " yet"
	}
	if r.Reason != "" {
		text += ": " + r.Reason
	}
	return errors.New(text)
}

// file sends one file.
func (v *visit) file(path string, size int64, content io.Reader) error {
	buffer := make([]byte, min(size, wire.MaxPiece))
	for at := int64(0); ; {
		n := min(size-at, wire.MaxPiece)
		if _, err := io.ReadFull(content, buffer[:n]); err != nil {
			return fmt.Errorf("%s: changed while it was read: %w", path, err)
		}
		if err := v.tell(&wire.File{Path: path, Size: size, Offset: at}, buffer[:n]); err != nil {
			return err
		}
		if at += n; at == size {
			return nil
		}
	}
}
