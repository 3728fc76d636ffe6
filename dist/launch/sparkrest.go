package launch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A sparkREST asks the submission server of a standalone master, which has a protocol of
// its own: version 1, JSON over HTTP (org.apache.spark.deploy.rest).
type sparkREST struct {
	base string // http://host:6066
	http *http.Client
}

// A sparkAnswer is what the server says, to any question.
type sparkAnswer struct {
	Action  string `json:"action"`
	Message string `json:"message"`
	Version string `json:"serverSparkVersion"`
	ID      string `json:"submissionId"`
	State   string `json:"driverState"`
	Success *bool  `json:"success"`
	Highest string `json:"highestProtocolVersion"` // of versions, where it knows not that of the question
}

// A sparkSubmission is what is to be run.
type sparkSubmission struct {
	jar         string // its address
	args        []string
	properties  map[string]string
	environment map[string]string
}

const (
	restTime  = 10 * time.Second // for an answer
	maxAnswer = 1 << 20
)

// errForeign is that somebody answers who is no submission server of Spark.
var errForeign = errors.New("does not answer as Spark's submission server does")

func newSparkREST(hostport string) *sparkREST {
	return &sparkREST{"http://" + hostport, &http.Client{Timeout: restTime}}
}

// ask sends a question, and returns the answer.
func (c *sparkREST) ask(ctx context.Context, method, path string, question any) (*sparkAnswer, error) {
	var body io.Reader
	if question != nil {
		text, err := json.Marshal(question)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+"/v1/submissions/"+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json;charset=UTF-8")
	res, err := c.http.Do(req)
	if err != nil {
		return nil, bare(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	a := new(sparkAnswer)
	if err := json.Unmarshal(text, a); err != nil || a.Action == "" {
		return nil, fmt.Errorf("%s %w: status %s, %.80q", c.base, errForeign, res.Status, text)
	}
	switch {
	case a.Highest != "":
		return nil, fmt.Errorf("%s speaks version %.20s of Spark's submission protocol (Spark %.40s), but this program v1", c.base, a.Highest, a.Version)
	case a.Action == "ErrorResponse":
		line, _, _ := strings.Cut(a.Message, "\n")
		return nil, fmt.Errorf("%s (Spark %.40s): %.300s", c.base, a.Version, line)
	}
	return a, nil
}

// bare leaves the question out of an error of HTTP.
func bare(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// look finds out whether a submission server is there, and returns Spark's version.
func (c *sparkREST) look(ctx context.Context) (string, error) {
	a, err := c.ask(ctx, http.MethodGet, "status/none", nil)
	if err != nil {
		return "", err
	}
	return a.Version, nil
}

// here implements sparkEngine.
func (c *sparkREST) here() bool { return false }

// submit implements sparkEngine.
func (c *sparkREST) submit(ctx context.Context, s *sparkSubmission) (id string, err error) {
	a, err := c.ask(ctx, http.MethodPost, "create", map[string]any{
		"action": "CreateSubmissionRequest", "clientSparkVersion": "3.5.0",
		"appResource": s.jar, "mainClass": "Gespann", "appArgs": s.args,
		"sparkProperties": s.properties, "environmentVariables": s.environment,
	})
	switch {
	case err != nil:
		return "", err
	case a.Success == nil || !*a.Success || a.ID == "":
		return "", fmt.Errorf("%s does not take the application: %.300s", c.base, a.Message)
	}
	return a.ID, nil
}

// state implements sparkEngine. Why one is over is Spark's state and message.
func (c *sparkREST) state(ctx context.Context, id string) (over bool, why string, err error) {
	a, err := c.ask(ctx, http.MethodGet, "status/"+url.PathEscape(id), nil)
	if err != nil {
		return false, "", err
	}
	switch a.State {
	case "SUBMITTED", "RUNNING", "RELAUNCHING", "UNKNOWN":
		return false, a.State, nil
	case "":
		return true, "its master knows nothing of it: was it started again?", nil
	}
	line, _, _ := strings.Cut(a.Message, "\n")
	return true, strings.TrimSuffix(a.State+": "+line, ": "), nil
}

// kill implements sparkEngine.
func (c *sparkREST) kill(ctx context.Context, id string) error {
	_, err := c.ask(ctx, http.MethodPost, "kill/"+url.PathEscape(id), nil)
	return err
}

// A sparkRoom is what a master's page says of its machines.
type sparkRoom struct {
	Status  string
	Workers []struct {
		State                                string
		Cores, CoresUsed, Memory, MemoryUsed int // memory in MiB
	}
}

// readSparkRoom reads the page of a master.
func readSparkRoom(ctx context.Context, page string) (*sparkRoom, error) {
	ctx, cancel := context.WithTimeout(ctx, restTime/2)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+page+"/json/", nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, bare(err)
	}
	defer res.Body.Close()
	room := new(sparkRoom)
	if err := json.NewDecoder(io.LimitReader(res.Body, 16<<20)).Decode(room); err != nil || room.Status == "" {
		return nil, fmt.Errorf("does not answer as a master's page does: status %s", res.Status)
	}
	return room, nil
}

// cores returns how many there are, and how many of them are free.
func (r *sparkRoom) cores() (total, free int) {
	for _, w := range r.Workers {
		if w.State == "ALIVE" {
			total, free = total+w.Cores, free+w.Cores-w.CoresUsed
		}
	}
	return total, free
}

// slots returns how many executors fit, beside a driver that needs memory alone.
func (r *sparkRoom) slots(cores, memory, driver int) int {
	most := 0
	for d := range r.Workers { // where the driver is
		sum, fits := 0, driver == 0
		for i, w := range r.Workers {
			if w.State != "ALIVE" {
				continue
			}
			left := w.Memory
			if i == d && left >= driver {
				left, fits = left-driver, true
			}
			sum += min(w.Cores/cores, left/memory)
		}
		if fits {
			most = max(most, sum)
		}
	}
	return most
}
