//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// jumps is added to package time: the wall clock is another three times a second, in each
// process at other moments; what has passed is as it is.
const jumps = `
func jump(mono int64) int64 {
	steps := [...]int64{0, 3600, -3600, 315360000, -315360000, 1, -3}
	return steps[(mono/333e6+startNano/1e6)%int64(len(steps))]
}
`

// jumpClocks trains with processes whose wall clocks jump, all of the time. Those of gRPC,
// too, which then ends connections that have not answered since a time that is yet to come:
// they are made again. What processes of one account prove to each other has a time: a
// machine has one clock, so that needs no proofs.
func jumpClocks(t *trial) error {
	t.program, t.open = t.jumping, true
	t.strike()
	if t.n%2 == 0 {
		_, driver, err := t.underway(3)
		if err != nil {
			return err
		}
		return t.finish(driver)
	}
	s, id, err := t.jobUnderway(3)
	if err != nil {
		return err
	}
	return t.finishJob(s, id)
}

// buildJumping builds the program with a package time whose Now jumps.
func buildJumping(l *lab) error {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return err
	}
	original := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	text, err := os.ReadFile(original)
	if err != nil {
		return err
	}
	const now = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	if !strings.Contains(string(text), now) {
		return fmt.Errorf("%s of %s does not read the clock as this bench knows it", original, runtime.Version())
	}
	changed := strings.Replace(string(text), now, now+"\tsec += jump(mono)\n", 1) + jumps
	file, list := filepath.Join(l.dir, "time.go"), filepath.Join(l.dir, "overlay.json")
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {original: file}})
	if err != nil {
		return err
	}
	if err := errors.Join(os.WriteFile(file, []byte(changed), 0o600), os.WriteFile(list, overlay, 0o600)); err != nil {
		return err
	}
	l.jumping = filepath.Join(l.dir, "gespann-jumping")
	build := exec.Command("go", "build", "-trimpath", "-overlay", list, "-o", l.jumping, "./cmd/gespann")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, text)
	}
	return nil
}
