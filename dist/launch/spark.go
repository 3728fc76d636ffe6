package launch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
)

// A sparkLauncher has Spark place workers: as tasks of an application, one in each
// executor, which Spark starts again where they are lost. A standalone master is asked by
// its submission server; where that is off, and for other masters, spark-submit is.
type sparkLauncher struct {
	masters []string // host:port of a standalone Spark, of which one leads
	master  string   // as Spark knows it
	rest    string   // ports of the submission server and of the page of a standalone master
	ui      string
	serve   string // port of this machine, where Spark gets the program; "0": any
}

// What a Spark's ports are where nobody says otherwise, and what each of its processes
// needs: Spark refuses less than 450 MiB.
const (
	sparkPort     = "7077"
	sparkRESTPort = "6066"
	sparkUIPort   = "8080"
	sparkHeapMiB  = 512
)

// newSpark reads "//host:port,host:port?rest=PORT&ui=PORT&serve=PORT", or a master for
// spark-submit.
func newSpark(rest string) (*sparkLauncher, error) {
	list, query, _ := strings.Cut(rest, "?")
	l := &sparkLauncher{rest: sparkRESTPort, ui: sparkUIPort, serve: "0"}
	settings, err := url.ParseQuery(query)
	if err != nil {
		return nil, fmt.Errorf("launch: %w", err)
	}
	for key, values := range settings {
		to := map[string]*string{"rest": &l.rest, "ui": &l.ui, "serve": &l.serve}[key]
		n, err := strconv.Atoi(values[len(values)-1])
		if to == nil || err != nil || n < 0 || n > 65535 {
			return nil, fmt.Errorf("launch: got %.80q, want rest=PORT, ui=PORT or serve=PORT", query)
		}
		*to = strconv.Itoa(n)
	}
	hosts, standalone := strings.CutPrefix(strings.TrimPrefix(list, "spark:"), "//")
	if !standalone {
		if list == "" || strings.HasPrefix(list, "-") || strings.ContainsAny(list, " \t\n") {
			return nil, fmt.Errorf("launch: got master %.80q, want spark://HOST:PORT, or spark: and one that spark-submit knows", list)
		}
		l.master = list
		return l, nil
	}
	for word := range strings.SplitSeq(hosts, ",") {
		host, port, err := net.SplitHostPort(word)
		if err != nil {
			host, port = word, sparkPort
		}
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || host == "" || strings.ContainsAny(host, " /'\"@") {
			return nil, fmt.Errorf("launch: got master %.80q, want HOST:PORT", word)
		}
		l.masters = append(l.masters, net.JoinHostPort(host, port))
	}
	l.master = "spark://" + strings.Join(l.masters, ",")
	if strings.HasPrefix(list, "spark:") {
		l.rest = "0"
	}
	return l, nil
}

// Workers implements Launcher.
func (l *sparkLauncher) Workers() int { return 0 }

// Launch implements Launcher.
func (l *sparkLauncher) Launch(ctx context.Context, team Team) (Crew, error) {
	engine, master, err := l.engine(ctx)
	if err != nil {
		return nil, fmt.Errorf("launch: Spark: %w", err)
	}
	if err := l.room(ctx, team, master, engine); err != nil {
		return nil, fmt.Errorf("launch: Spark: %w", err)
	}
	from := cmp.Or(master, l.reached())
	v, err := team.Invite(from)
	if err != nil {
		return nil, err
	}
	line, err := v.line()
	if err != nil {
		return nil, err
	}
	host, err := sameHost(v.Coordinator, from)
	if err != nil {
		return nil, fmt.Errorf("launch: Spark: %w", err)
	}
	server, err := serveSpark(net.JoinHostPort(host, l.serve), team.Program, func(i int) ([]byte, error) {
		return []byte(strings.Join(sparkArgs(team, i), "\n") + "\n\n" + string(line)), nil
	})
	if err != nil {
		return nil, fmt.Errorf("launch: Spark: serving the program: %w", err)
	}
	return keepSpark(&sparkCrew{team: team, engine: engine, server: server, host: host, launcher: l}), nil
}

// sparkArgs are those of worker i. Spark counts processors, but keeps nobody to them.
func sparkArgs(team Team, i int) []string {
	return append(team.Args(i), "--threads", strconv.Itoa(max(team.Resources.CPUs, 1)))
}

// A sparkEngine runs applications.
type sparkEngine interface {
	// submit starts one, and returns its name.
	submit(ctx context.Context, s *sparkSubmission) (id string, err error)
	// state returns whether it is over, and why.
	state(ctx context.Context, id string) (over bool, why string, err error)
	kill(ctx context.Context, id string) error
	// here: its driver is on this machine.
	here() bool
}

// engine returns what starts applications, and the leading master, host:port; "": not known.
func (l *sparkLauncher) engine(ctx context.Context) (_ sparkEngine, master string, err error) {
	if len(l.masters) == 0 {
		e, err := newSparkSubmit()
		return e, "", err
	}
	var problems []error
	for _, master := range l.masters {
		host, _, _ := net.SplitHostPort(master)
		off := errors.New("its submission server is not to be asked")
		if l.rest != "0" {
			rest := newSparkREST(net.JoinHostPort(host, l.rest))
			_, off = rest.look(ctx)
			if off == nil {
				return rest, master, nil
			}
		}
		d := net.Dialer{Timeout: restTime / 2}
		c, err := d.DialContext(ctx, "tcp", master)
		if err != nil {
			problems = append(problems, fmt.Errorf("there is no master at spark://%s: %w", master, bareDial(err)))
			continue
		}
		c.Close()
		submit, err := newSparkSubmit()
		if err == nil {
			return submit, master, nil
		}
		problems = append(problems, fmt.Errorf("master %s does not take applications at port %s (%w), and %w\n"+
			"hint: spark.master.rest.enabled=true for the master, or ?rest=PORT after its address", master, l.rest, bareDial(off), err))
	}
	return nil, "", errors.Join(problems...)
}

// bareDial leaves out what a dialled address repeats.
func bareDial(err error) error {
	var e *net.OpError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// room checks that the executors fit on the machines of a standalone Spark, busy or not.
func (l *sparkLauncher) room(ctx context.Context, team Team, master string, engine sparkEngine) error {
	if master == "" {
		return nil // others have quotas and queues, and say so
	}
	host, _, _ := net.SplitHostPort(master)
	page := net.JoinHostPort(host, l.ui)
	room, err := readSparkRoom(ctx, page)
	if err != nil {
		team.Say("cluster: how many cores Spark has is not known: its page http://%s: %v; ?ui=PORT after the master's address says where it is", page, bareDial(err))
		return nil
	}
	cores, driver := max(team.Resources.CPUs, 1), sparkHeapMiB
	if engine.here() {
		driver = 0
	}
	total, free := room.cores()
	fit := room.slots(cores, sparkHeapMiB+team.Resources.MemoryMiB, driver)
	switch {
	case fit < team.Workers:
		memory := 0
		for _, w := range room.Workers {
			if w.State == "ALIVE" {
				memory += w.Memory
			}
		}
		hint := ""
		if fit > 0 {
			hint = fmt.Sprintf("\nhint: --workers %d", fit)
		}
		return fmt.Errorf("master %s has %d cores and %d MiB on machines that work: room for %d workers of %d cores and %d MiB "+
			"(with the %d MiB of an executor), but %d are wanted%s", master, total, memory, fit, cores,
			sparkHeapMiB+team.Resources.MemoryMiB, sparkHeapMiB, team.Workers, hint)
	case free < cores*team.Workers:
		team.Say("cluster: %d of Spark's %d cores are free; workers wait for those of others", free, total)
	}
	return nil
}

// reached returns an address on the way to the machines of a master that is not
// standalone: that of its API server, or of the world.
func (l *sparkLauncher) reached() string {
	if u, err := url.Parse(strings.TrimPrefix(l.master, "k8s://")); err == nil && u.Host != "" {
		return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "443"))
	}
	if strings.HasPrefix(l.master, "local") {
		return "127.0.0.1:1"
	}
	return "192.0.2.1:1" // of no machine, by RFC 5737: by way of the default route
}

// sameHost returns the host of an address of this machine; where that is any, the one on
// the way to another.
func sameHost(own, to string) (string, error) {
	host, _, err := net.SplitHostPort(own)
	if ip := net.ParseIP(host); err != nil || host != "" && (ip == nil || !ip.IsUnspecified()) {
		return host, err
	}
	c, err := net.Dial("udp", to)
	if err != nil {
		return "", bareDial(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).IP.String(), nil
}

// properties are those of an application. Tasks are as wide as executors, so that each
// has one.
func (l *sparkLauncher) properties(team Team, host string, engine sparkEngine) map[string]string {
	r := team.Resources
	cores := max(r.CPUs, 1)
	p := map[string]string{
		"spark.master": l.master, "spark.app.name": "gespann-" + plain(team.Name),
		"spark.executor.cores": strconv.Itoa(cores), "spark.task.cpus": strconv.Itoa(cores),
		"spark.executor.instances": strconv.Itoa(team.Workers), "spark.cores.max": strconv.Itoa(cores * team.Workers),
		"spark.executor.memory": fmt.Sprintf("%dm", sparkHeapMiB), "spark.driver.memory": fmt.Sprintf("%dm", sparkHeapMiB),
		"spark.task.maxFailures": "10000", "spark.speculation": "false", "spark.dynamicAllocation.enabled": "false",
		"spark.excludeOnFailure.enabled": "false", "spark.ui.showConsoleProgress": "false",
		"spark.executor.extraJavaOptions": sparkJava, "spark.driver.extraJavaOptions": sparkJava,
	}
	if r.GPUs > 0 {
		p["spark.executor.resource.gpu.amount"] = strconv.Itoa(r.GPUs)
		p["spark.task.resource.gpu.amount"] = strconv.Itoa(r.GPUs)
	}
	switch { // Spark's own heap is small: a worker is a process beside it
	case len(l.masters) > 0: // where only the heap is counted; Java takes it when it needs it
		p["spark.executor.memory"] = fmt.Sprintf("%dm", sparkHeapMiB+r.MemoryMiB)
	case r.MemoryMiB > 0:
		p["spark.executor.memoryOverhead"] = fmt.Sprintf("%dm", r.MemoryMiB+sparkHeapMiB/2)
	}
	if engine.here() {
		p["spark.submit.deployMode"], p["spark.driver.host"] = "client", host
	} else {
		p["spark.submit.deployMode"], p["spark.driver.cores"], p["spark.driver.supervise"] = "cluster", "0", "false"
	}
	return p
}

// sparkJava has Java begin soon: little of it is run.
const sparkJava = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"

// submission is what is to be run for r.
func (c *sparkCrew) submission(r *sparkRun) *sparkSubmission {
	jar := c.server.folder() + "/gespann-spark.jar"
	s := &sparkSubmission{
		jar: jar, args: []string{c.server.folder(), c.server.digest, strconv.Itoa(r.workers)},
		properties:  c.launcher.properties(c.team, c.host, c.engine),
		environment: map[string]string{"GESPANN_KEY": r.keyText()},
	}
	if !c.engine.here() {
		s.properties["spark.jars"] = jar
	}
	return s
}

// lookSparkSubmit returns the file of spark-submit.
func lookSparkSubmit(look func(string) (string, error)) (string, error) {
	if home := os.Getenv("SPARK_HOME"); home != "" {
		return look(home + "/bin/spark-submit")
	}
	return look("spark-submit")
}
