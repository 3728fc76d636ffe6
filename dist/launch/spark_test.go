//go:build unix

package launch

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gespann/gespann/dist/launch/spark"
)

// What a master of Spark 4.3.0 has said.
const (
	sparkNone    = `{"action":"SubmissionStatusResponse","serverSparkVersion":"4.3.0","submissionId":"none","success":false}`
	sparkCreated = `{"action":"CreateSubmissionResponse","message":"Driver successfully submitted as driver-1","serverSparkVersion":"4.3.0","submissionId":"driver-1","success":true}`
	sparkStandby = `{"action":"CreateSubmissionResponse","message":"Current state of master is not alive: STANDBY. Can only accept driver submissions in ALIVE state.","serverSparkVersion":"4.3.0","success":false}`
	sparkState   = `{"action":"SubmissionStatusResponse","driverState":"%s","serverSparkVersion":"4.3.0","submissionId":"driver-1","success":true,"workerHostPort":"127.0.0.1:45837","workerId":"w"}`
	sparkKilled  = `{"action":"KillSubmissionResponse","message":"Kill request for driver-1 submitted","serverSparkVersion":"4.3.0","submissionId":"driver-1","success":true}`
	sparkV2      = `{"action":"ErrorResponse","highestProtocolVersion":"v2","message":"Unknown protocol version 'v1'. Please submit requests through http://[host]:[port]/v2/submissions/...","serverSparkVersion":"9.9.9"}`
	sparkBad     = `{"action":"ErrorResponse","message":"Malformed request: org.apache.spark.deploy.rest.SubmitRestProtocolException: Validation of message CreateSubmissionRequest failed!\n\torg.apache.spark.deploy.rest.SubmitRestProtocolMessage.validate(SubmitRestProtocolMessage.scala:70)","serverSparkVersion":"4.3.0"}`
	sparkPage    = `{"url":"spark://127.0.0.1:17077","workers":[{"id":"a","cores":2,"coresused":1,"coresfree":1,"memory":2048,"memoryused":512,"memoryfree":1536,"state":"ALIVE"},` +
		`{"id":"b","cores":8,"coresused":0,"coresfree":8,"memory":1100,"memoryused":0,"memoryfree":1100,"state":"ALIVE"},` +
		`{"id":"c","cores":64,"coresused":0,"coresfree":64,"memory":99999,"memoryused":0,"memoryfree":99999,"state":"DEAD"}],"aliveworkers":2,"cores":10,"status":"ALIVE"}`
)

// fakeSpark answers as a master does; answers are by "METHOD path".
func fakeSpark(t *testing.T, answers map[string]string) (hostport string, asked func() []string) {
	t.Helper()
	var mu sync.Mutex
	var log []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		log = append(log, r.Method+" "+r.URL.Path+" "+string(body))
		mu.Unlock()
		answer, ok := answers[r.Method+" "+r.URL.Path]
		if !ok {
			answer = answers[""]
		}
		if strings.Contains(answer, "ErrorResponse") {
			w.WriteHeader(http.StatusBadRequest)
		}
		io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), func() []string {
		mu.Lock()
		defer mu.Unlock()
		return log
	}
}

// TestSparkREST asks a server, and checks what is made of its answers.
func TestSparkREST(t *testing.T) {
	state := func(s string) string { return fmt.Sprintf(sparkState, s) }
	for name, test := range map[string]struct {
		create, status string
		over           bool
		want           string // a part of the error, or of why it is over
	}{
		"runs":       {sparkCreated, state("RUNNING"), false, ""},
		"waits":      {sparkCreated, state("SUBMITTED"), false, ""},
		"finished":   {sparkCreated, state("FINISHED"), true, "FINISHED"},
		"killed":     {sparkCreated, state("KILLED"), true, "KILLED"},
		"unknown":    {sparkCreated, sparkNone, true, "knows nothing of it"},
		"standby":    {sparkStandby, "", false, "does not take the application: Current state of master is not alive: STANDBY"},
		"version":    {sparkV2, "", false, "speaks version v2 of Spark's submission protocol (Spark 9.9.9), but this program v1"},
		"malformed":  {sparkBad, "", false, "(Spark 4.3.0): Malformed request: org.apache.spark.deploy.rest.SubmitRestProtocolException: Validation of message CreateSubmissionRequest failed!"},
		"foreign":    {"<html>hello", "", false, `does not answer as Spark's submission server does: status 200 OK, "<html>hello"`},
		"other JSON": {`{"a":1}`, "", false, "does not answer as Spark's submission server does"},
	} {
		t.Run(name, func(t *testing.T) {
			at, asked := fakeSpark(t, map[string]string{
				"POST /v1/submissions/create": test.create, "GET /v1/submissions/status/driver-1": test.status,
				"POST /v1/submissions/kill/driver-1": sparkKilled})
			c := newSparkREST(at)
			id, err := c.submit(t.Context(), &sparkSubmission{jar: "http://h/x.jar", args: []string{"a"},
				properties: map[string]string{"spark.app.name": "n"}, environment: map[string]string{"K": "v"}})
			if test.status == "" {
				if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
					t.Fatalf("got %v, want %s in one line", err, test.want)
				}
				return
			}
			if err != nil || id != "driver-1" {
				t.Fatalf("got %q, %v", id, err)
			}
			over, why, err := c.state(t.Context(), id)
			if err != nil || over != test.over || !strings.Contains(why, test.want) {
				t.Errorf("got %v, %q, %v, want %v and %s", over, why, err, test.over, test.want)
			}
			if err := c.kill(t.Context(), id); err != nil {
				t.Error(err)
			}
			var question map[string]any
			if err := json.Unmarshal([]byte(strings.TrimPrefix(asked()[0], "POST /v1/submissions/create ")), &question); err != nil {
				t.Fatal(err)
			}
			for _, key := range []string{"action", "clientSparkVersion", "appResource", "mainClass", "appArgs", "sparkProperties", "environmentVariables"} {
				if question[key] == nil {
					t.Errorf("the question lacks %s: %v", key, question)
				}
			}
		})
	}
}

// TestSparkRefuses has masters that cannot do what is asked, and checks the sentence.
func TestSparkRefuses(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("SPARK_HOME", "")
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	closed.Close()
	_, nobodyPort, _ := net.SplitHostPort(nobody)
	good, _ := fakeSpark(t, map[string]string{"GET /v1/submissions/status/none": sparkNone, "GET /json/": sparkPage})
	_, goodPort, _ := net.SplitHostPort(good)
	later, _ := fakeSpark(t, map[string]string{"": sparkV2})
	_, laterPort, _ := net.SplitHostPort(later)
	for name, test := range map[string]struct {
		address string
		work    Resources
		want    []string
	}{
		"no master": {"spark://" + nobody + "?rest=" + nobodyPort, Resources{}, []string{"there is no master at spark://" + nobody + ": ", "refused"}},
		"REST off": {"spark://" + good + "?rest=" + nobodyPort, Resources{}, []string{"does not take applications at port " + nobodyPort,
			"refused", "there is no spark-submit on this machine", "hint: spark.master.rest.enabled=true"}},
		"version": {"spark://" + good + "?rest=" + laterPort, Resources{}, []string{"speaks version v2"}},
		"cores": {"spark://" + good + "?rest=" + goodPort + "&ui=" + goodPort, Resources{CPUs: 2}, []string{
			"has 10 cores and 3148 MiB on machines that work: room for 3 workers of 2 cores and 512 MiB", "but 5 are wanted\nhint: --workers 3"}},
		"memory": {"spark://" + good + "?rest=" + goodPort + "&ui=" + goodPort, Resources{MemoryMiB: 4000}, []string{"room for 0 workers of 1 cores and 4512 MiB"}},
		"submit": {"spark:yarn", Resources{}, []string{"there is no spark-submit on this machine, in SPARK_HOME or PATH"}},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := For(test.address)
			if err != nil {
				t.Fatal(err)
			}
			work := team(t.Logf)
			work.Workers, work.Resources = 5, test.work
			crew, err := l.Launch(t.Context(), work)
			if err == nil {
				crew.Close()
				t.Fatal("launched")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %s", err, want)
				}
			}
		})
	}
}

// servedSpark serves a program, and returns an application's view of it.
func servedSpark(t *testing.T, on func(*sparkRun, sparkEvent)) (*sparkServer, *sparkRun) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "gespann")
	if err := os.WriteFile(program, []byte("the program"), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := serveSpark("127.0.0.1:0", program, func(i int) ([]byte, error) { return fmt.Appendf(nil, "worker\n\n%d secret\n", i), nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, s.newRun(2, on)
}

// hidden is the address that the application of r makes of its key.
func (r *sparkRun) hidden(s *sparkServer) string {
	sum := sha256.Sum256([]byte(r.keyText() + " path"))
	return s.address + "/" + hex.EncodeToString(sum[:])
}

// TestSparkServer checks who is told what.
func TestSparkServer(t *testing.T) {
	s, run := servedSpark(t, func(*sparkRun, sparkEvent) {})
	get := func(url string) (string, error) {
		res, err := http.Get(url)
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		return string(text), err
	}
	if got, err := get(s.folder() + "/gespann"); got != "the program" {
		t.Errorf("the program: got %q, %v", got, err)
	}
	if got, err := get(s.folder() + "/gespann-spark.jar"); got != string(spark.Jar) {
		t.Errorf("the jar: got %d bytes, %v", len(got), err)
	}
	for _, path := range []string{"/", "/gespann", "/x/gespann", "/" + s.public, "/" + s.public + "/", "/" + s.public + "/life",
		"/" + s.public + "/worker/0", strings.TrimPrefix(run.hidden(s), s.address) + "/gespann",
		strings.TrimPrefix(run.hidden(s), s.address) + "/worker/2", strings.TrimPrefix(run.hidden(s), s.address) + "/worker/-1"} {
		if got, err := get(s.address + path); !errors.Is(err, io.EOF) {
			t.Errorf("%s: got %q, %v, want no answer", path, got, err)
		}
	}
	sealed, err := get(run.hidden(s) + "/worker/1")
	if err != nil || strings.Contains(sealed, "secret") {
		t.Fatalf("got %q, %v", sealed, err)
	}
	block, _ := aes.NewCipher(run.key)
	gcm, _ := cipher.NewGCM(block)
	if got, err := gcm.Open(nil, []byte(sealed[:12]), []byte(sealed[12:]), nil); string(got) != "worker\n\n1 secret\n" {
		t.Errorf("opened: %q, %v", got, err)
	}
	// A later application: the earlier one is told to end, and nothing else.
	s.newRun(2, nil)
	if got, err := get(run.hidden(s) + "/life"); got != "\nend\n" {
		t.Errorf("the earlier one got %q, %v", got, err)
	}
	if got, err := get(run.hidden(s) + "/worker/1"); !errors.Is(err, io.EOF) {
		t.Errorf("the earlier one got %q, %v", got, err)
	}
}

// A fakeEngine runs applications in this process.
type fakeEngine struct {
	server *sparkServer
	app    func(ctx context.Context, hidden string, try int) // one application
	mu     sync.Mutex
	tries  int
	over   map[string]chan struct{}
	stop   map[string]func()
}

func (e *fakeEngine) here() bool { return false }

func (e *fakeEngine) submit(_ context.Context, s *sparkSubmission) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tries++
	id, over, try := fmt.Sprint(e.tries), make(chan struct{}), e.tries
	ctx, cancel := context.WithCancel(context.Background())
	if e.over == nil {
		e.over, e.stop = map[string]chan struct{}{}, map[string]func(){}
	}
	e.over[id], e.stop[id] = over, cancel
	sum := sha256.Sum256([]byte(s.environment["GESPANN_KEY"] + " path"))
	go func() { // until stop, or its own end
		defer close(over)
		e.app(ctx, e.server.address+"/"+hex.EncodeToString(sum[:]), try)
	}()
	return id, nil
}

func (e *fakeEngine) state(_ context.Context, id string) (bool, string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-e.over[id]:
		return true, "FAILED", nil
	default:
		return false, "RUNNING", nil
	}
}

func (e *fakeEngine) kill(_ context.Context, id string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stop[id]()
	return nil
}

// crewOf keeps applications of a fake engine.
func crewOf(t *testing.T, say func(string, ...any), app func(ctx context.Context, hidden string, try int)) *sparkCrew {
	t.Helper()
	s, _ := servedSpark(t, nil)
	return keepSpark(&sparkCrew{team: team(say), engine: &fakeEngine{server: s, app: app}, server: s, host: "127.0.0.1",
		launcher: &sparkLauncher{master: "spark://h:7077", masters: []string{"h:7077"}}})
}

// alive holds the line of life as Gespann.java does, and returns what ends it.
func alive(ctx context.Context, hidden string, began chan<- string) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, hidden+"/life", nil)
	if err != nil {
		return err.Error()
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	began <- hidden
	text, _ := io.ReadAll(res.Body)
	return strings.TrimSpace(string(text))
}

// TestSparkCrew checks that an application that ends is started again, with another key,
// and that Close has it end, and kills one that does not listen.
func TestSparkCrew(t *testing.T) {
	said, began, ended := make(chan string, 100), make(chan string, 10), make(chan string, 10)
	crew := crewOf(t, func(format string, args ...any) { said <- fmt.Sprintf(format, args...) },
		func(ctx context.Context, hidden string, try int) {
			if try == 1 {
				http.Post(hidden+"/report", "", strings.NewReader("failed Master removed our application: FAILED"))
				return
			}
			ended <- alive(ctx, hidden, began)
		})
	if got, want := <-said, "cluster: Spark's application has ended (Master removed our application: FAILED); starting it again"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	<-began
	if err := crew.Close(); err != nil {
		t.Error(err)
	}
	if got := <-ended; got != "end" {
		t.Errorf("the line of life: %q", got)
	}

	deaf := crewOf(t, t.Logf, func(ctx context.Context, hidden string, _ int) {
		began <- hidden
		<-ctx.Done()
	})
	<-began
	if err := deaf.Close(); err != nil {
		t.Error(err)
	}
}

// TestSparkCrewGivesUp has a worker that never stays, and an application that never does.
func TestSparkCrewGivesUp(t *testing.T) {
	failing := crewOf(t, t.Logf, func(ctx context.Context, hidden string, _ int) {
		for range firstTries {
			http.Post(hidden+"/report", "", strings.NewReader("task 1 exit status 127: exec format error\n"))
		}
		alive(ctx, hidden, make(chan string, 1))
	})
	<-failing.Failed()
	if got, want := failing.Err().Error(), "launch: Spark: worker 2 ended 6 times within a minute, the last time with exit status 127: exec format error"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := failing.Close(); err != nil {
		t.Error(err)
	}
	if testing.Short() {
		t.Skip("waits between attempts")
	}
	never := crewOf(t, t.Logf, func(context.Context, string, int) {})
	select {
	case <-never.Failed():
	case <-time.After(time.Minute):
		t.Fatal("goes on")
	}
	if got := never.Err().Error(); got != "launch: Spark: FAILED" {
		t.Errorf("got %q", got)
	}
	never.Close()
}
