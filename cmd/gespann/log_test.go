package main

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"testing"
)

func TestLog(t *testing.T) {
	var out bytes.Buffer
	log := newLog(&out).With("worker", "w1")
	err := fmt.Errorf("cannot begin: %w", errors.New("it is of another version\nhint: use the same version of gespann everywhere"))
	log.Warn("refused", "err", err, "step", 3)
	log.Warn("refused again", "err", err)
	log.Info("refused: no\nhint: say yes", "reason", "why\nhint: because")
	log.WithGroup("g").Error("from elsewhere", "text", "a\ntime=now level=ERROR", "more", "b\nhint: c\ntime=now")
	got := regexp.MustCompile(`(?m)^time=\S+`).ReplaceAllString(out.String(), "time=T")
	const want = `time=T level=WARN msg=refused worker=w1 err="cannot begin: it is of another version" step=3
  hint: use the same version of gespann everywhere
time=T level=WARN msg="refused again" worker=w1 err="cannot begin: it is of another version"
time=T level=INFO msg="refused: no" worker=w1 reason=why
  hint: say yes
  hint: because
time=T level=ERROR msg="from elsewhere" worker=w1 g.text="a\ntime=now level=ERROR" g.more="b\nhint: c\ntime=now"
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
