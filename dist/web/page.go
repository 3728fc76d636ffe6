package web

import (
	"bytes"
	"html/template"
	"net"
	"net/http"
	"strings"

	"github.com/gespann/gespann/dist/server"
	"github.com/gespann/gespann/dist/wire"
)

// What a page shows at most; the rest is in the API.
const (
	maxWorkers = 200
	maxCards   = 20
	maxQueue   = 50
	maxHistory = 50
	maxTail    = 32 << 10 // bytes of a log
	maxShown   = 64 << 10 // bytes of a spec
)

// A page is a title and parts that are replaced one by one when they change.
type page struct {
	Events string // where changes come from; "": it does not change
	Parts  []part
}

// A part is HTML with a name.
type part struct {
	ID   string        `json:"id"`
	HTML template.HTML `json:"html"`
}

// An overview is what the first page shows.
type overview struct {
	*server.View
	Join                                   string
	Speed                                  float64 // of what runs, in rows per second
	Busy                                   int     // workers with a job
	Active, Queue, History                 []*jobModel
	Queued, Ended                          int
	MoreWorkers, MoreJobs, MoreQueue, Past int
}

func newOverview(v *server.View, join string) *overview {
	o := &overview{View: v, Join: join}
	for _, w := range v.Workers {
		if w.State == "compute" || w.State == "wait" {
			o.Busy++
		}
	}
	o.MoreWorkers = max(len(v.Workers)-maxWorkers, 0)
	for i := range v.Jobs {
		j := &v.Jobs[i]
		if j.State == wire.JobRunning && finite(j.RowsPerSecond) {
			o.Speed += j.RowsPerSecond
		}
		switch {
		case wire.Ended(j.State):
			o.Ended++
			keep(&o.History, &o.Past, maxHistory, v, j)
		case j.State == wire.JobQueued:
			o.Queued++
			keep(&o.Queue, &o.MoreQueue, maxQueue, v, j)
		default:
			keep(&o.Active, &o.MoreJobs, maxCards, v, j)
		}
	}
	return o
}

// keep adds a job to a list that has room, and counts it else.
func keep(list *[]*jobModel, more *int, most int, v *server.View, j *server.JobView) {
	if len(*list) >= most {
		*more++
		return
	}
	*list = append(*list, &jobModel{JobView: j, View: v})
}

// ShownWorkers returns the workers that the page has room for.
func (o *overview) ShownWorkers() []server.WorkerView {
	return o.Workers[:min(len(o.Workers), maxWorkers)]
}

// overviewPage renders the first page, as asked for at a host.
func (s *site) overviewPage(host string) (page, error) {
	o := newOverview(s.src.View(), joinAt(s.Join, host))
	return s.render("/events", o, "title", "summary", "active", "workers", "lost", "queue", "history")
}

// joinAt returns an address with the host of a request in place of none.
func joinAt(join, host string) string {
	at, port, err := net.SplitHostPort(join)
	if ip := net.ParseIP(at); err != nil || at != "" && !ip.IsUnspecified() {
		return join
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}

// jobPage renders the page of a job, as asked for at a host; false: there is none.
func (s *site) jobPage(id, host string) (page, bool, error) {
	v := s.src.View()
	j := v.Job(id)
	if j == nil {
		return page{}, false, nil
	}
	m := &jobModel{JobView: j, View: v, Whole: true, Join: joinAt(s.Join, host)}
	if m.Curve() == nil {
		if curve, err := s.src.Curve(id); err == nil {
			m.curve = curve
		}
	}
	if spec, err := s.src.Spec(id); err == nil {
		m.Spec = clean(string(spec[:min(len(spec), maxShown)]))
		m.SpecCut = len(spec) > maxShown
	}
	if log, err := s.src.LogTail(id, maxTail); err == nil {
		m.Log, m.LogCut = tail(log, maxTail)
	}
	p, err := s.render("/jobs/"+id+"/events", m, "job-title", "job", "curve", "account", "log", "spec")
	return p, true, err
}

// tail returns the whole lines of the end of a log, and whether there are more
// before them.
func tail(log []byte, most int) (string, bool) {
	cut := len(log) >= most
	if cut {
		if i := bytes.IndexByte(log, '\n'); i >= 0 {
			log = log[i+1:]
		}
	}
	return clean(string(log)), cut
}

// render makes a page of named templates, one for each part.
func (s *site) render(events string, model any, names ...string) (page, error) {
	p := page{Events: events}
	for _, name := range names {
		var b bytes.Buffer
		if err := s.files.templates.ExecuteTemplate(&b, name, model); err != nil {
			return p, err
		}
		p.Parts = append(p.Parts, part{strings.TrimPrefix(name, "job-"), template.HTML(strings.TrimSpace(b.String()))})
	}
	return p, nil
}

// Title returns the text of the page's title.
func (p page) Title() template.HTML { return p.Parts[0].HTML }

// Sections returns the parts that are in its body.
func (p page) Sections() []part { return p.Parts[1:] }

func (s *site) showOverview(w http.ResponseWriter, r *http.Request) {
	p, err := s.overviewPage(r.Host)
	s.write(w, http.StatusOK, p, err)
}

func (s *site) showJob(w http.ResponseWriter, r *http.Request) {
	p, ok, err := s.jobPage(r.PathValue("id"), r.Host)
	if !ok {
		s.nothing(w, r)
		return
	}
	s.write(w, http.StatusOK, p, err)
}

// nothing answers for addresses that have none.
func (s *site) nothing(w http.ResponseWriter, r *http.Request) {
	p, err := s.render("", r.URL.Path, "nothing-title", "nothing")
	s.write(w, http.StatusNotFound, p, err)
}

// write sends a page.
func (s *site) write(w http.ResponseWriter, code int, p page, err error) {
	var b bytes.Buffer
	if err == nil {
		err = s.files.templates.ExecuteTemplate(&b, "page", p)
	}
	if err != nil {
		s.Log.Error("the page cannot be made", "err", err)
		http.Error(w, "the page cannot be made: the log of the coordinator says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	w.Write(b.Bytes()) // an error is the reader's
}
