package launch

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/gespann/gespann/internal/clock"
)

// How a Job is looked after. Looking again and again, in place of a watch, outlasts an API
// server that is away for a while, and a laptop that was closed.
const (
	removeTime = 45 * time.Second
	lookSoon   = time.Second      // while pods are not all running
	lookLate   = 10 * time.Second // while they are
	lookTime   = 20 * time.Second // for an answer
	shyTime    = 15 * time.Second // after which a worker that runs should have come
)

// watch says what is wrong with the Job's pods, each thing once, until quit.
func (c *kubeCrew) watch() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-c.quit:
			cancel()
		case <-ctx.Done():
		}
	}()
	w := &kubeWatch{kubeCrew: c, said: map[string]bool{}, since: map[string]time.Duration{}}
	for wait := lookSoon; ; {
		select {
		case <-c.quit:
			return
		case <-time.After(wait):
		}
		wait = lookSoon
		if w.look(ctx) {
			wait = lookLate
		}
	}
}

// A kubeWatch is what was seen of a Job so far.
type kubeWatch struct {
	*kubeCrew
	clock clock.System
	said  map[string]bool
	since map[string]time.Duration // by pod, when it was first seen to run
	ran   bool                     // a pod has run
	away  bool                     // the API server does not answer
}

// podName is what Kubernetes calls the pods of a Job: by their index, and by chance.
var podName = regexp.MustCompile(`(gespann-[-a-z0-9]+)-[0-9]+-[a-z0-9]{5}\b`)

// say says something once: of one pod, when it is the same of several.
func (w *kubeWatch) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.sayAs(podName.ReplaceAllString(text, "$1"), text)
}

// sayAs says something unless the same was said.
func (w *kubeWatch) sayAs(same, text string) {
	if !w.said[same] {
		w.said[same] = true
		w.team.Say("kubernetes: %s", text)
	}
}

// look looks once, and reports whether all is as it should be.
func (w *kubeWatch) look(outer context.Context) bool {
	ctx, cancel := context.WithTimeout(outer, lookTime)
	defer cancel()
	out, err := w.launcher.kubectl(ctx, nil, "get", "jobs,pods", "--selector=app.kubernetes.io/instance="+w.name, "--output=json")
	var all []object
	if err == nil {
		all, err = decode(out)
	}
	if outer.Err() != nil {
		return true
	}
	if err != nil {
		if !w.away {
			w.team.Say("%v; the workers go on meanwhile", err)
		}
		w.away = true
		return false
	}
	w.away = false
	jobs, running := 0, 0
	for _, o := range all {
		switch o.Kind {
		case "Job":
			jobs++
			w.job(&o)
		case "Pod":
			if w.pod(ctx, &o) {
				running++
			}
		}
	}
	if jobs == 0 {
		w.fail("Job %s is gone: somebody has deleted it", w.name)
	}
	if running < w.team.Workers {
		w.events(ctx)
		return false
	}
	return true
}

// job looks whether Kubernetes gives no more workers.
func (w *kubeWatch) job(o *object) {
	for _, c := range o.Status.Conditions {
		if c.Type == "Failed" && c.Status == "True" {
			w.fail("Job %s has failed: %s: %s", w.name, c.Reason, c.Message)
		}
	}
}

// pod looks at a pod, and reports whether it runs.
func (w *kubeWatch) pod(ctx context.Context, o *object) bool {
	name, s := o.Metadata.Name, &o.Status
	for _, c := range s.Conditions {
		switch {
		case c.Type == "PodScheduled" && c.Status == "False":
			w.say("pod %s has no node: %s", name, c.Message)
		case c.Type == "DisruptionTarget" && c.Status == "True":
			text := fmt.Sprintf("pod %s is taken away: %s; the others go on, and Kubernetes starts another", name, c.Message)
			w.sayAs(text, text)
		}
	}
	running := false
	for _, c := range s.ContainerStatuses {
		switch {
		case c.State.Running != nil:
			running, w.ran = true, true
			w.shy(ctx, name)
		case c.State.Waiting != nil:
			w.waits(name, c.State.Waiting.Reason, c.State.Waiting.Message)
		case c.State.Terminated != nil && c.State.Terminated.ExitCode != 0 && !w.said[name]:
			w.said[name] = true
			words, err := w.launcher.kubectl(ctx, nil, "logs", name, "--tail=5")
			if err != nil {
				words = ""
			}
			w.team.Say("kubernetes: pod %s has ended with exit code %d (%s)%s", name, c.State.Terminated.ExitCode,
				c.State.Terminated.Reason, quoted(words))
		}
	}
	return running
}

// quoted returns words below a heading, or nothing.
func quoted(words string) string {
	if words = strings.TrimSpace(words); words != "" {
		return "; its last words:\n" + words
	}
	return ""
}

// waits says why a container does not start. One whose image cannot be had ends the run,
// when no other had it either.
func (w *kubeWatch) waits(pod, reason, message string) {
	switch reason {
	case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull":
		w.say("pod %s cannot have the image %s: %s: %s", pod, w.team.Image, reason, message)
		if !w.ran && reason != "ErrImagePull" { // that one is tried again
			w.fail("no pod can have the image %s: %s: %s", w.team.Image, reason, message)
		}
	case "CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff":
		w.say("pod %s does not start: %s: %s", pod, reason, message)
	}
}

// shy says when a worker runs and does not reach this machine.
func (w *kubeWatch) shy(ctx context.Context, pod string) {
	first, seen := w.since[pod]
	if !seen {
		w.since[pod] = w.clock.Elapsed()
		return
	}
	if w.clock.Elapsed()-first < shyTime || w.said["shy "+pod] {
		return
	}
	w.said["shy "+pod] = true
	words, err := w.launcher.kubectl(ctx, nil, "logs", pod, "--tail=2")
	if err == nil && strings.Contains(words, "connecting again") {
		w.say("pod %s runs, but does not reach this machine at %s%s\n"+
			"hint: cluster.listen says another address, as host:port; where pods reach none, gespann manifest --to kubernetes "+
			"has the driver in a pod, too", pod, w.at, quoted(words))
	}
}

// events says what Kubernetes warns of: quotas, volumes, nodes.
func (w *kubeWatch) events(ctx context.Context) {
	out, err := w.launcher.kubectl(ctx, nil, "get", "events", "--field-selector=type=Warning", "--output=json")
	if err != nil {
		return // who may not read events does without
	}
	all, err := decode(out)
	if err != nil {
		return
	}
	for _, e := range all {
		on := e.InvolvedObject
		if (on.Name == w.name || strings.HasPrefix(on.Name, w.name+"-")) && e.Reason != "FailedScheduling" { // the pod says that
			w.say("%s %s: %s: %s", strings.ToLower(on.Kind), on.Name, e.Reason, e.Message)
		}
	}
}
