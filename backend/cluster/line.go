package cluster

import (
	"sync"
	"time"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/server/rows"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/data"
)

// A line is a connection to a coordinator. One goroutine reads it, and one sends
// rows when they are wanted, whatever the session does at the time.
type line struct {
	conn    dist.Conn
	answers chan wire.Frame // closed when the connection has ended
	err     error           // why; set before that
	wants   chan struct{}   // for rows
	quit    chan struct{}
	wg      sync.WaitGroup
}

// newLine starts to read conn, which it owns. Frames may carry so many bytes.
func newLine(conn dist.Conn, set *data.Set, job string, allow int64) *line {
	conn.Allow(allow)
	l := &line{
		conn: conn, answers: make(chan wire.Frame, 1),
		wants: make(chan struct{}, 1), quit: make(chan struct{}),
	}
	l.wg.Add(2)
	go l.read()
	go l.sendRows(set, job)
	return l
}

func (l *line) read() {
	defer l.wg.Done()
	defer close(l.answers)
	defer close(l.wants)
	for {
		f, err := l.conn.Recv()
		if err != nil {
			l.err = err
			return
		}
		switch f.Message.(type) {
		case *wire.Ping:
		case *wire.WantRows:
			select {
			case l.wants <- struct{}{}:
			default: // rows that are about to be sent are as good
			}
		default:
			select {
			case l.answers <- f:
			case <-l.quit:
				l.err = errClosed
				return
			}
		}
	}
}

// sendRows sends the rows whenever they are wanted. An error is the reader's to
// find: the connection has ended.
func (l *line) sendRows(set *data.Set, job string) {
	defer l.wg.Done()
	for range l.wants {
		if rows.Send(job, set, l.conn.Send) != nil {
			return
		}
	}
}

// wait waits until the other side ends the connection, or d is over.
func (l *line) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case _, ok := <-l.answers:
			if !ok {
				return
			}
		case <-timer.C:
			return
		}
	}
}

// close ends the connection and waits for the goroutines.
func (l *line) close() {
	close(l.quit)
	l.conn.Close()
	l.wg.Wait()
}
