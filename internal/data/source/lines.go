package source

import (
	"bytes"
	"fmt"
	"io"
)

// maxLine bounds the bytes of a line of CSV, which is read as a whole: a small
// compressed file may hold a line that no memory can.
const maxLine = 16 << 20

// A lineReader ends with an error in a line that is too long.
type lineReader struct {
	r    io.Reader
	line int // bytes so far
}

func (l *lineReader) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if end := bytes.LastIndexByte(p[:n], '\n'); end >= 0 {
		l.line = n - end - 1
	} else if l.line += n; l.line > maxLine {
		return 0, fmt.Errorf("a line of more than %d bytes, want rows of CSV", maxLine)
	}
	return n, err
}
