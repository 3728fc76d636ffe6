package launch

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A kubeLauncher has Kubernetes place workers, as an Indexed Job, which replaces pods that
// are lost. All goes through kubectl, with the user's configuration. Job and Secret go
// when the run ends; where the driver is killed, the workers give it up after a minute,
// the Job ends with them and is removed a minute later, and its Secret with it.
type kubeLauncher struct{ context, namespace string }

// newKube reads "", "NAMESPACE" or "CONTEXT/NAMESPACE".
func newKube(rest string) (*kubeLauncher, error) {
	l := &kubeLauncher{namespace: rest}
	if at := strings.LastIndex(rest, "/"); at >= 0 {
		l.context, l.namespace = rest[:at], rest[at+1:]
	}
	if strings.HasPrefix(l.context, "-") || l.namespace != "" && !subdomain.MatchString(l.namespace) {
		return nil, fmt.Errorf("launch: got kubernetes:%.80s, want kubernetes, kubernetes:NAMESPACE or kubernetes:CONTEXT/NAMESPACE, as kubectl knows them", rest)
	}
	return l, nil
}

// Workers implements Launcher: Kubernetes does not say.
func (l *kubeLauncher) Workers() int { return 0 }

// How workers of a driver outside are given up, and the least version: that of Jobs whose
// indexes fail one by one.
const (
	crewPatience = "60s"
	leastMinor   = 31
)

// kubectl runs kubectl for the cluster and the namespace.
func (l *kubeLauncher) kubectl(ctx context.Context, in io.Reader, args ...string) (string, error) {
	if l.context != "" {
		args = append(args, "--context="+l.context)
	}
	if l.namespace != "" {
		args = append(args, "--namespace="+l.namespace)
	}
	out, err := run(ctx, in, "kubectl", args...)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return "", errors.New("kubernetes: kubectl has no answer from the API server")
	}
	if err != nil {
		// Of several objects it says the same of each.
		err = fmt.Errorf("kubernetes: %s", strings.Join(slices.Compact(strings.Split(err.Error(), "\n")), "\n"))
	}
	return out, err
}

// Launch implements Launcher.
func (l *kubeLauncher) Launch(ctx context.Context, team Team) (Crew, error) {
	if err := CheckImage(team.Image); err != nil {
		return nil, err
	}
	label, err := Label(team.Name)
	if err != nil {
		return nil, err
	}
	server, err := l.look(ctx)
	if err != nil {
		return nil, fmt.Errorf("launch: %w", err)
	}
	v, err := team.Invite(server)
	if err != nil {
		return nil, err
	}
	if host, _, _ := net.SplitHostPort(v.Coordinator); loopback(host) {
		return nil, fmt.Errorf("launch: kubernetes: pods would look for this machine at %s, which is their own\n"+
			"hint: cluster.listen says an address at which they reach it, as host:port; where they reach none, gespann manifest "+
			"--to kubernetes has the driver in a pod, too", v.Coordinator)
	}
	c := &kubeCrew{
		launcher: l, team: team, at: v.Coordinator, failed: make(chan struct{}), quit: make(chan struct{}),
		name: label + "-" + strings.ToLower(rand.Text()[:6]), // two runs of one name are two Jobs
	}
	if err := c.create(ctx, v.Files); err != nil {
		c.remove()
		return nil, fmt.Errorf("launch: %w", err)
	}
	team.Say("cluster: Job %s of %d workers, which reach this machine at %s", c.name, team.Workers, c.at)
	c.running.Go(c.watch)
	return c, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// look checks that there is a cluster, new enough, and returns where.
func (l *kubeLauncher) look(ctx context.Context) (server string, err error) {
	// Not kubectl version: that refuses versions of which it cannot tell how old they are.
	out, err := l.kubectl(ctx, nil, "get", "--raw=/version", "--request-timeout=10s")
	if err != nil {
		return "", err
	}
	var version struct{ Major, Minor, GitVersion string }
	if err := json.Unmarshal([]byte(out), &version); err != nil {
		return "", fmt.Errorf("kubernetes: kubectl get --raw=/version: %w", err)
	}
	major, _ := strconv.Atoi(version.Major)
	minor, _ := strconv.Atoi(strings.TrimRight(version.Minor, "+"))
	if major == 1 && minor < leastMinor {
		return "", fmt.Errorf("kubernetes: the cluster is of version %s, want 1.%d or later", version.GitVersion, leastMinor)
	}
	out, err = l.kubectl(ctx, nil, "config", "view", "--minify", "--output=jsonpath={.clusters[0].cluster.server}")
	if err != nil {
		return "", err
	}
	u, err := url.Parse(strings.TrimSpace(out))
	if err != nil || u.Hostname() == "" {
		return "", fmt.Errorf("kubernetes: kubectl config view names the server %.80q, want its address", out)
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}

// A kubeCrew is a Job.
type kubeCrew struct {
	launcher *kubeLauncher
	team     Team
	name, at string
	running  sync.WaitGroup
	quit     chan struct{}
	ending   sync.Once

	once   sync.Once
	failed chan struct{}
	err    error
}

// create makes the Secret and the Job, and the one the other's.
func (c *kubeCrew) create(ctx context.Context, files map[string][]byte) error {
	m := &Manifest{Name: c.name, Image: c.team.Image, Files: files, Workers: c.team.Workers, Resources: c.team.Resources}
	p := m.pods()
	p.WorkerArgs = append(workerArgs(m.Resources, "JOB_COMPLETION_INDEX"), "--coordinator="+c.at, "--once", "--patience="+crewPatience)
	text, err := render("crew", p)
	if err != nil {
		return err
	}
	out, err := c.launcher.kubectl(ctx, strings.NewReader(text), "create", "--filename=-", "--output=json")
	if err != nil {
		return err
	}
	objects, err := decode(out)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if o.Kind != "Job" {
			continue
		}
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"ownerReferences": []map[string]any{
			{"apiVersion": "batch/v1", "kind": "Job", "name": c.name, "uid": o.Metadata.UID},
		}}})
		if err != nil {
			return err
		}
		_, err = c.launcher.kubectl(ctx, nil, "patch", "secret", c.name, "--type=merge", "--patch="+string(patch))
		return err
	}
	return fmt.Errorf("kubernetes: kubectl create has made no Job of %s", c.name)
}

// remove deletes all of it, and waits until it is gone.
func (c *kubeCrew) remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), removeTime+lookTime) // so that kubectl says it
	defer cancel()
	_, err := c.launcher.kubectl(ctx, nil, "delete", "job,secret", c.name, "--ignore-not-found", "--cascade=foreground",
		"--timeout="+removeTime.String())
	return err
}

// Failed implements Crew.
func (c *kubeCrew) Failed() <-chan struct{} { return c.failed }

// Err implements Crew.
func (c *kubeCrew) Err() error {
	select {
	case <-c.failed:
		return c.err
	default:
		return nil
	}
}

func (c *kubeCrew) fail(format string, args ...any) {
	c.once.Do(func() {
		c.err = fmt.Errorf("kubernetes: "+format, args...)
		close(c.failed)
	})
}

// Close implements Crew.
func (c *kubeCrew) Close() error {
	c.ending.Do(func() { close(c.quit) })
	c.running.Wait()
	err := c.remove()
	if err != nil { // as when the node of a pod is gone: it is deleted when that is back
		c.team.Say("cluster: Job %s is not gone yet: %v", c.name, err)
	}
	return err
}

// An object is what is read of a Kubernetes object.
type object struct {
	Kind     string
	Items    []object
	Metadata struct{ Name, UID string }
	Status   struct {
		Phase, Reason, Message string
		Conditions             []struct{ Type, Status, Reason, Message string }
		ContainerStatuses      []struct {
			State struct {
				Waiting    *struct{ Reason, Message string }
				Running    *struct{ StartedAt string }
				Terminated *struct {
					ExitCode int
					Reason   string
				}
			}
		}
	}
	// Of an event.
	InvolvedObject  struct{ Kind, Name string }
	Reason, Message string
}

// decode reads objects, one after the other or as lists.
func decode(text string) (all []object, err error) {
	for d := json.NewDecoder(strings.NewReader(text)); ; {
		var o object
		switch err := d.Decode(&o); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("kubernetes: what kubectl says: %w", err)
		}
		if o.Items != nil {
			all = append(all, o.Items...)
		} else {
			all = append(all, o)
		}
	}
}
