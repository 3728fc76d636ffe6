package server

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/coord"
	"github.com/gespann/gespann/dist/server/client"
	"github.com/gespann/gespann/dist/server/jobs"
	"github.com/gespann/gespann/dist/wire"
)

// as has a method of the server serve someone.
func as(who dist.Principal, serve func(context.Context, dist.Conn, dist.Principal) error) func(context.Context, dist.Conn, dist.Principal) error {
	return func(ctx context.Context, c dist.Conn, _ dist.Principal) error { return serve(ctx, c, who) }
}

// visitorAs connects a client that is someone.
func visitorAs(t testing.TB, s *Server, who dist.Principal) *client.Client {
	t.Helper()
	c, err := client.New(dial(t, "client", as(who, s.Client)), "v1")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var (
	alice   = dist.Principal{Name: "alice", Roles: dist.Submit}
	bob     = dist.Principal{Name: "bob", Roles: dist.Submit | dist.Work}
	admin   = dist.Principal{Name: "root", Roles: dist.Admin}
	account = dist.Principal{Name: "alice", Roles: dist.AllRoles, Account: true} // another alice
	anyone  = dist.Principal{Roles: dist.AllRoles}                               // --insecure
)

// TestOwners has everyone ask for what is alice's.
func TestOwners(t *testing.T) {
	state := t.TempDir()
	s := start(t, Options{State: state, RunJob: func(ctx context.Context, _ Submission) error {
		<-ctx.Done()
		return ctx.Err()
	}})
	submitted, err := visitorAs(t, s, alice).Submit("hers", []byte("spec"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		who  dist.Principal
		may  bool
	}{{"alice", alice, true}, {"bob", bob, false}, {"an administrator", admin, true}, {"the account", account, true}, {"anyone", anyone, true}} {
		asked := visitorAs(t, s, c.who)
		all, err := asked.List()
		if err != nil || len(all) != 1 || all[0].Owner != "alice" {
			t.Errorf("%s: list: got %+v, %v, want one job of alice", c.name, all, err)
		}
		for what, do := range map[string]func() error{
			"show":                  func() error { _, err := asked.Show(submitted.Job); return err },
			"show by its beginning": func() error { _, err := asked.Show("hers"); return err },
			"logs":                  func() error { return asked.Logs(submitted.Job, false, new(bytes.Buffer)) },
			"fetch": func() error {
				_, err := asked.Fetch(submitted.Job, t.TempDir(), nil)
				if err != nil && strings.Contains(err.Error(), "nothing has been saved") {
					err = nil
				}
				return err
			},
		} {
			refused(t, c.name+": "+what, do(), c.may, "job "+submitted.Job+" is alice's: want the role admin")
		}
	}
	his, err := visitorAs(t, s, bob).Submit("hers", []byte("spec"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for who, want := range map[dist.Principal]string{alice: submitted.Job, bob: his.Job} {
		if job, err := visitorAs(t, s, who).Show("hers"); err != nil || job.ID != want {
			t.Errorf("%s: hers: got %+v, %v, want the own one, %s", who, job, err, want)
		}
	}
	if _, err := visitorAs(t, s, admin).Show("hers"); err == nil || !strings.Contains(err.Error(), "could be hers-") {
		t.Errorf("an administrator: hers: got %v, want that it could be both", err)
	}
	if _, err := visitorAs(t, s, bob).Cancel(his.Job); err != nil {
		t.Fatal(err)
	}
	if gone, err := visitorAs(t, s, bob).Prune(0); err != nil || len(gone) != 1 {
		t.Errorf("bob: prune: got %v, %v, want his", gone, err)
	}
	_, err = visitorAs(t, s, bob).Cancel(submitted.Job)
	refused(t, "bob: cancel", err, false, "is alice's: want the role admin")
	_, err = visitorAs(t, s, alice).Cancel(submitted.Job)
	refused(t, "alice: cancel", err, true, "")
	eventually(t, "it has ended", func() bool { return stateOf(s, submitted.Job) == wire.JobCancelled })
	if gone, err := visitorAs(t, s, bob).Prune(0); err != nil || len(gone) != 0 {
		t.Errorf("bob: prune: got %v, %v, want nothing", gone, err)
	}
	if gone, err := visitorAs(t, s, alice).Prune(0); err != nil || len(gone) != 1 {
		t.Errorf("alice: prune: got %v, %v, want her job", gone, err)
	}
}

func refused(t *testing.T, what string, err error, may bool, want string) {
	t.Helper()
	if may && err != nil || !may && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("%s: got %v, want success: %v, or %q", what, err, may, want)
	}
}

// TestOwnerless asks for a job of a version that did not note its owner.
func TestOwnerless(t *testing.T) {
	old := jobs.Record{}
	for _, c := range []struct {
		who  dist.Principal
		want bool
	}{{alice, false}, {admin, true}, {account, true}, {dist.Principal{Roles: dist.Submit}, false}} {
		if got := mayTouch(c.who, old.By); got != c.want {
			t.Errorf("%+v: got %v, want %v", c.who, got, c.want)
		}
	}
	if err := notYours(old); !strings.Contains(err.Error(), "a version that did not ask") {
		t.Errorf("got %v", err)
	}
}

// TestTakeOver has another driver attach to a job by the ID that the page shows: while its
// driver is there, when that is gone, and after the coordinator was started again.
func TestTakeOver(t *testing.T) {
	state := t.TempDir()
	s, err := New(Options{State: state})
	if err != nil {
		t.Fatal(err)
	}
	attach := &wire.Attach{Protocol: wire.Protocol, Job: testJob("hers", "sync"), Again: true}
	try := func(when string, s *Server, who dist.Principal) {
		t.Helper()
		p := party{t, dial(t, "driver", as(who, s.Driver))}
		p.say(attach)
		if m, _ := hear[*wire.Fault](p); !strings.Contains(m.Err, "job hers is alice's: another driver cannot go on with it") {
			t.Errorf("%s, %s: got %q", when, who, m.Err)
		}
	}
	all := []dist.Principal{bob, admin, account, anyone}
	hers := party{t, dial(t, "driver", as(alice, s.Driver))}
	hers.say(attach)
	eventually(t, "it waits", func() bool { return stateOf(s, "hers") == wire.JobWaiting })
	for _, who := range all {
		try("while she is there", s, who)
	}
	hers.say(&wire.Ping{}) // her connection lives
	hers.conn.Close()
	for _, who := range all {
		try("when she is gone", s, who)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = start(t, Options{State: state})
	for _, who := range all {
		try("after a restart", s, who)
	}
	hire(t, s, 1)
	hers = party{t, dial(t, "driver", as(alice, s.Driver))}
	hers.say(attach)
	hear[*wire.Attached](hers)
}

// TestAtOnce has two drivers attach with one ID before either is noted.
func TestAtOnce(t *testing.T) {
	s := start(t, Options{})
	hers, his := dial(t, "hers", as(alice, s.Driver)), dial(t, "his", as(bob, s.Driver))
	attach := &wire.Attach{Protocol: wire.Protocol, Job: testJob("one", "sync")}
	party{t, hers}.say(attach)
	party{t, his}.say(attach)
	faults := make(chan bool, 2)
	for _, conn := range []dist.Conn{hers, his} {
		go func() {
			for {
				f, err := conn.Recv()
				if err != nil {
					return
				}
				if m, ok := f.Message.(*wire.Fault); ok {
					faults <- strings.Contains(m.Err, "another driver cannot go on with it")
					return
				}
			}
		}()
	}
	if !<-faults {
		t.Error("one of them was refused for another reason")
	}
}

// TestWorkerID has others claim the ID of a worker that they read on the page.
func TestWorkerID(t *testing.T) {
	m := &script{}
	s := start(t, Options{machine: m})
	id := wire.WorkerID("secret")
	w := party{t, dial(t, "w", as(bob, s.Worker))}
	w.say(hello("secret"))
	eventually(t, "it is there", func() bool { return len(s.View().Workers) == 1 })
	for name, c := range map[string]struct {
		who   dist.Principal
		hello *wire.Hello
		want  string
	}{
		"without a secret":     {bob, &wire.Hello{Protocol: wire.Protocol, ID: id}, "does not have the secret of that ID"},
		"with another":         {bob, &wire.Hello{Protocol: wire.Protocol, ID: id, Secret: "guess"}, "does not have the secret of that ID"},
		"with the ID":          {bob, &wire.Hello{Protocol: wire.Protocol, ID: id, Secret: id}, "does not have the secret of that ID"},
		"an ID of one's own":   {bob, &wire.Hello{Protocol: wire.Protocol, ID: "worker", Secret: "worker"}, "does not have the secret of that ID"},
		"as somebody else":     {account, hello("secret"), "worker " + id + " is connected, and is bob's"},
		"of another version":   {bob, &wire.Hello{Protocol: wire.Protocol - 1, ID: id}, "speaks protocol"},
		"of nobody, connected": {anyone, hello("secret"), "is connected, and is bob's"},
	} {
		p := party{t, dial(t, "thief", as(c.who, s.Worker))}
		p.say(c.hello)
		if m, _ := hear[*wire.Dismiss](p); !strings.Contains(m.Reason, c.want) || m.Retry {
			t.Errorf("%s: got %+v, want %q, for ever", name, m, c.want)
		}
	}
	if v := s.View(); len(v.Workers) != 1 || v.Workers[0].Address != "w" || v.Totals.WorkersLost != 0 {
		t.Errorf("got %+v, want the worker that was there", v.Workers)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.events {
		if j, ok := e.(coord.WorkerJoined); ok && (j.Hello.Secret != "" || j.Hello.ID != id) {
			t.Errorf("the machine was told %+v", j.Hello)
		}
	}
}

// TestGroupSecrets checks that the members of a group are told the same secret, and those of
// another group another one.
func TestGroupSecrets(t *testing.T) {
	form := func(job string, gen int) coord.Action {
		return coord.Tell{ID: wire.WorkerID("a"), Msg: &wire.Form{Job: job, Gen: gen, Members: []wire.Member{{ID: "a", Share: 1}}}}
	}
	m := &script{}
	m.step = func(e coord.Event) []coord.Action {
		if _, ok := e.(coord.FromWorker); !ok {
			return nil
		}
		return []coord.Action{form("j", 1), form("j", 1), form("j", 2), form("k", 1)}
	}
	s := start(t, Options{machine: m})
	p := party{t, dial(t, "a", s.Worker)}
	p.say(hello("a"))
	p.say(&wire.Beat{})
	var secrets []string
	for range 4 {
		f, _ := hear[*wire.Form](p)
		secrets = append(secrets, f.Secret)
	}
	if len(secrets[0]) < 32 || secrets[0] != secrets[1] || secrets[0] == secrets[2] || secrets[0] == secrets[3] || secrets[2] == secrets[3] {
		t.Errorf("got %q, want the first two equal, and the others different", secrets)
	}
}

// TestPrivate checks that the page gets no spec and log of one who has a certificate, and
// those of the account.
func TestPrivate(t *testing.T) {
	s := start(t, Options{State: t.TempDir(), RunJob: func(ctx context.Context, j Submission) error {
		j.Tell("a line")
		<-ctx.Done()
		return ctx.Err()
	}})
	for _, c := range []struct {
		who     dist.Principal
		private bool
	}{{alice, true}, {account, false}, {anyone, false}} {
		job, err := visitorAs(t, s, c.who).Submit("x", []byte("spec"), nil)
		if err != nil {
			t.Fatal(err)
		}
		spec, errSpec := s.Spec(job.Job)
		_, errLog := s.LogTail(job.Job, 100)
		if c.private != (errSpec != nil) || c.private != (errLog != nil) || c.private != (string(spec) != "spec") {
			t.Errorf("%+v: got %q, %v and %v, want an error: %v", c.who, spec, errSpec, errLog, c.private)
		}
		eventually(t, "the page has it", func() bool { return s.View().Job(job.Job) != nil })
		if got := s.View().Job(job.Job).Private; got != c.private {
			t.Errorf("%+v: private: got %v, want %v", c.who, got, c.private)
		}
	}
}
