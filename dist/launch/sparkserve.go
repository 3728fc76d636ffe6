package launch

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gespann/gespann/dist/launch/spark"
)

// A sparkServer serves what an application of Spark needs, over HTTP: itself and this
// program below a folder of a random name, which Spark's pages show; and below one that
// only the application knows what its workers are told, which is sealed with its key, and
// a line of life. It answers nobody else.
type sparkServer struct {
	address string // http://host:port
	public  string // the name of the folder that may be seen
	program *os.File
	size    int64  // of the program in bytes
	digest  string // SHA-256 of the program, in hexadecimal digits
	told    func(i int) ([]byte, error)

	http   *http.Server
	served sync.WaitGroup

	mu   sync.Mutex
	runs map[string]*sparkRun // by the name of their hidden folder
}

// How often an application hears that this process is there, and how much it may report.
const (
	lifeTime  = 3 * time.Second
	lifeBeats = 5 // then it has to ask again: a machine that is gone says nothing
	maxReport = 4 << 10
)

// serveSpark serves a program, and what worker i is told, at host:port.
func serveSpark(at, program string, told func(i int) ([]byte, error)) (_ *sparkServer, err error) {
	s := &sparkServer{public: rand.Text(), told: told, runs: map[string]*sparkRun{}}
	if s.program, err = os.Open(program); err != nil {
		return nil, err
	}
	sum := sha256.New()
	if s.size, err = io.Copy(sum, s.program); err != nil {
		s.program.Close()
		return nil, err
	}
	s.digest = hex.EncodeToString(sum.Sum(nil))
	l, err := net.Listen("tcp", at)
	if err != nil {
		s.program.Close()
		return nil, err
	}
	s.address = "http://" + l.Addr().String()
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	s.served.Go(func() { s.http.Serve(l) }) // until Close
	return s, nil
}

// Close ends the server.
func (s *sparkServer) Close() {
	s.http.Close()
	s.served.Wait()
	s.program.Close()
}

// folder is the address of what may be seen.
func (s *sparkServer) folder() string { return s.address + "/" + s.public }

// ServeHTTP implements http.Handler. Who does not know a folder gets no answer.
func (s *sparkServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	folder, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	s.mu.Lock()
	run := s.runs[folder]
	s.mu.Unlock()
	number, isWorker := strings.CutPrefix(name, "worker/")
	switch {
	case folder == s.public && name == "gespann-spark.jar":
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(spark.Jar))
	case folder == s.public && name == "gespann":
		http.ServeContent(w, r, name, time.Time{}, io.NewSectionReader(s.program, 0, s.size))
	case run != nil && name == "life":
		run.live(w, r)
	case run != nil && name == "report" && r.Method == http.MethodPost:
		text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxReport))
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		run.report(string(text))
	case run != nil && isWorker:
		if err := s.tell(w, run, number); err != nil {
			panic(http.ErrAbortHandler)
		}
	default:
		panic(http.ErrAbortHandler)
	}
}

// tell writes what a worker is told: a nonce, and the sealed text.
func (s *sparkServer) tell(w io.Writer, run *sparkRun, number string) error {
	i, err := strconv.Atoi(number)
	if err != nil || i < 0 || i >= run.workers || run.isOver() {
		return fmt.Errorf("got worker %q", number)
	}
	text, err := s.told(i)
	if err != nil {
		return err
	}
	block, err := aes.NewCipher(run.key)
	if err != nil {
		return err
	}
	seal, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return err
	}
	run.began(i)
	_, err = w.Write(seal.Seal(nil, nil, text, nil))
	return err
}

// newRun makes a hidden folder for an application that is to be started. Those of
// earlier ones are over.
func (s *sparkServer) newRun(workers int, on func(r *sparkRun, event sparkEvent)) *sparkRun {
	r := &sparkRun{key: make([]byte, 32), workers: workers, over: make(chan struct{}), on: on}
	rand.Read(r.key) // never fails
	hidden := sha256.Sum256([]byte(r.keyText() + " path"))
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, earlier := range s.runs {
		earlier.end()
	}
	s.runs[hex.EncodeToString(hidden[:])] = r
	return r
}

// A sparkRun is an application that was started once.
type sparkRun struct {
	key     []byte
	workers int
	on      func(r *sparkRun, event sparkEvent)
	once    sync.Once
	over    chan struct{} // closed when it is to end

	mu     sync.Mutex
	lines  int           // of life
	seen   time.Duration // when the last one ended, as elapsed; 0: none has
	failed string        // why it says that it has failed
}

// A sparkEvent is what an application reports.
type sparkEvent struct {
	kind   string // app: it runs, began or task: a worker has begun or ended
	worker int
	text   string
}

// keyText is the key as the application gets it, in its environment.
func (r *sparkRun) keyText() string { return hex.EncodeToString(r.key) }

// end has the application end.
func (r *sparkRun) end() { r.once.Do(func() { close(r.over) }) }

func (r *sparkRun) isOver() bool {
	select {
	case <-r.over:
		return true
	default:
		return false
	}
}

// alive reports whether the application holds its line of life, or has done so until now.
func (r *sparkRun) alive() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lines > 0 || r.seen > 0 && elapsed()-r.seen < 2*lifeTime
}

// why returns why the application has failed, if it has said so.
func (r *sparkRun) why() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed == "" {
		return nil
	}
	return errors.New(r.failed)
}

func (r *sparkRun) began(i int) { r.on(r, sparkEvent{kind: "began", worker: i}) }

// live writes a byte now and then, and the word "end" when the application is to end.
func (r *sparkRun) live(w http.ResponseWriter, req *http.Request) {
	count := func(n int) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.lines, r.seen = r.lines+n, elapsed()
	}
	count(1)
	defer count(-1)
	beat := time.NewTicker(lifeTime)
	defer beat.Stop()
	flush := http.NewResponseController(w).Flush
	for range lifeBeats {
		if _, err := io.WriteString(w, "\n"); err != nil || flush() != nil {
			return
		}
		select {
		case <-beat.C:
		case <-req.Context().Done():
			return
		case <-r.over:
			io.WriteString(w, "end\n") // it may be gone
			return
		}
	}
}

// report takes what the application says: "app ID PAGE", "task NUMBER WHY" of one that
// has ended, "failed WHY".
func (r *sparkRun) report(text string) {
	kind, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	e := sparkEvent{kind: kind, text: rest}
	switch kind {
	case "failed":
		r.mu.Lock()
		r.failed = rest
		r.mu.Unlock()
	case "task":
		number, why, _ := strings.Cut(rest, " ")
		i, err := strconv.Atoi(number)
		if err != nil || i < 0 || i >= r.workers {
			return
		}
		e.worker, e.text = i, why
		r.on(r, e)
	case "app":
		r.on(r, e)
	}
}
