//go:build unix

package launch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Answers of kubectl 1.34, shortened.
const (
	kubeVersion = `{"major":"1","minor":"34","gitVersion":"v1.34.3"}`
	kubeCreated = `{"apiVersion":"v1","kind":"List","items":[{"kind":"Secret","metadata":{"name":"n","uid":"11"}},{"kind":"Job","metadata":{"name":"n","uid":"22"}}]}`
	kubeJob     = `{"kind":"Job","metadata":{"name":"n"},"status":{}}`
	kubeRuns    = `{"kind":"Pod","metadata":{"name":"n-0"},"status":{"phase":"Running","containerStatuses":[{"state":{"running":{"startedAt":"x"}}}]}}`
)

// says is a script that says something.
func says(text string) string { return "printf '%s\\n' '" + text + "'" }

// lists is a script that says what kubectl does of objects.
func lists(objects ...string) string {
	return says(`{"kind":"List","items":[` + strings.Join(objects, ",") + `]}`)
}

// kubectl returns a script that answers as kubectl does, and notes what it was asked for in
// the file asked. What override has takes the place of an answer.
func kubectl(dir, question, answer string) string {
	script := `echo "$@" >>` + dir + "/asked\ncase \"$*\" in\n"
	if question != "" {
		script += `"` + question + `"*) ` + answer + ";;\n"
	}
	return script + "\"get --raw=/version\"*) " + says(kubeVersion) + ";;\n" +
		"config*) echo https://10.9.8.7:6443;;\n" +
		"create*) cat >" + dir + "/created; " + says(kubeCreated) + ";;\n" +
		`"get jobs,pods"*) ` + lists(kubeJob, kubeRuns) + ";;\n" +
		`"get events"*) ` + lists() + ";;\nesac\n"
}

// kubeTeam is a team with an image.
func kubeTeam(say func(string, ...any)) Team {
	work := team(say)
	work.Image = "registry.example/gespann:1.2"
	return work
}

// TestKubeRefuses has clusters that cannot do what is asked, and checks the sentence: of
// Launch, of the crew's failure, or one that is said while it waits.
func TestKubeRefuses(t *testing.T) {
	pod := func(status string) string {
		return lists(kubeJob, `{"kind":"Pod","metadata":{"name":"n-1"},"status":`+status+`}`)
	}
	waits := func(reason, message string) string {
		return pod(`{"containerStatuses":[{"state":{"waiting":{"reason":"` + reason + `","message":"` + message + `"}}}]}`)
	}
	event := func(on, reason, message string) string { // of the Job whose name is in what was asked
		return `n=$(sed -n "s/.*instance=\([a-z0-9-]*\) .*/\1/p" DIR/asked | tail -n 1); printf '{"items":[{"kind":"Event","reason":"` +
			reason + `","message":"` + message + `","involvedObject":{"kind":"` + on + `","name":"%s"}}]}' "$n"`
	}
	const look = "get jobs,pods"
	for _, c := range []struct{ name, question, answer, want string }{
		{"no cluster", "get --raw=/version", says("The connection to the server localhost:8080 was refused") + " >&2; exit 1",
			"launch: kubernetes: The connection to the server localhost:8080 was refused"},
		{"old", "get --raw=/version", says(`{"major":"1","minor":"27+","gitVersion":"v1.27.1"}`), "the cluster is of version v1.27.1, want 1.31 or later"},
		{"here", "config", "echo https://127.0.0.1:6443", "pods would look for this machine at 127.0.0.1:6443, which is their own\nhint: cluster.listen"},
		{"forbidden", "create", says(`Error from server (Forbidden): jobs.batch is forbidden: User "u" cannot create resource "jobs"`) + " >&2; exit 1",
			`kubernetes: Error from server (Forbidden): jobs.batch is forbidden: User "u" cannot create`},
		{"image", look, waits("ImagePullBackOff", "Back-off pulling image"), "no pod can have the image registry.example/gespann:1.2: ImagePullBackOff: Back-off pulling image"},
		{"image, first", look, waits("ErrImagePull", "not found"), "pod n-1 cannot have the image registry.example/gespann:1.2: ErrImagePull: not found"},
		{"config", look, waits("CreateContainerConfigError", "image will run as root"), "pod n-1 does not start: CreateContainerConfigError: image will run as root"},
		{"unschedulable", look, pod(`{"conditions":[{"type":"PodScheduled","status":"False","message":"0/2 nodes are available: 2 Insufficient nvidia.com/gpu."}]}`),
			"pod n-1 has no node: 0/2 nodes are available: 2 Insufficient nvidia.com/gpu."},
		{"node gone", look, pod(`{"conditions":[{"type":"DisruptionTarget","status":"True","message":"Taint manager: deleting due to NoExecute taint"}]}`),
			"pod n-1 is taken away: Taint manager: deleting due to NoExecute taint; the others go on"},
		{"a worker fails", look, pod(`{"containerStatuses":[{"state":{"terminated":{"exitCode":137,"reason":"OOMKilled"}}}]}`),
			"pod n-1 has ended with exit code 137 (OOMKilled)"},
		{"deadline", look, lists(`{"kind":"Job","status":{"conditions":[{"type":"Failed","status":"True","reason":"DeadlineExceeded","message":"active longer"}]}}`),
			"has failed: DeadlineExceeded: active longer"},
		{"deleted", look, lists(), "is gone: somebody has deleted it"},
		{"away", look, says("Unable to connect to the server: EOF") + " >&2; exit 1", "Unable to connect to the server: EOF; the workers go on meanwhile"},
		{"no answer", look, "exec sleep 30", "kubernetes: kubectl has no answer from the API server; the workers go on meanwhile"},
		{"nonsense", look, "echo x", "kubernetes: what kubectl says: invalid character"},
		{"quota", "get events", event("Job", "FailedCreate", "exceeded quota: q"), "FailedCreate: exceeded quota: q"},
		{"no secret", "get events", event("Pod", "FailedMount", "secret not found"), "FailedMount: secret not found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "no answer" && testing.Short() {
				t.Skip("waits for one")
			}
			dir := t.TempDir()
			fake(t, map[string]string{"kubectl": kubectl(dir, c.question, strings.ReplaceAll(c.answer, "DIR", dir))})
			said := make(chan string, 100)
			l, err := For("kubernetes:team")
			if err != nil {
				t.Fatal(err)
			}
			crew, err := l.Launch(t.Context(), kubeTeam(func(format string, args ...any) { said <- fmt.Sprintf(format, args...) }))
			launched := err == nil
			for err == nil {
				select {
				case <-crew.Failed():
					err = crew.Err()
				case text := <-said:
					if strings.Contains(text, c.want) {
						err = errors.New(text)
					}
				case <-time.After(time.Minute):
					err = errors.New("nothing")
				}
			}
			if launched {
				crew.Close()
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
			text, _ := os.ReadFile(filepath.Join(dir, "asked"))
			asked := string(text)
			if created, deleted := strings.Contains(asked, "create "), strings.Contains(asked, "delete job,secret gespann-a-run-"); created != deleted {
				t.Errorf("created %v, deleted %v:\n%s", created, deleted, asked)
			}
			if strings.Count(asked, "--namespace=team") != strings.Count(asked, "\n") {
				t.Errorf("not all of the namespace:\n%s", asked)
			}
		})
	}
}

// TestKubeCreates checks what Kubernetes is given, and that the Secret goes with the Job.
func TestKubeCreates(t *testing.T) {
	dir := t.TempDir()
	fake(t, map[string]string{"kubectl": kubectl(dir, "", "")})
	l, err := For("kubernetes:prod/team")
	if err != nil {
		t.Fatal(err)
	}
	work := kubeTeam(t.Logf)
	work.Resources = Resources{CPUs: 4, GPUs: 1, MemoryMiB: 8000, Minutes: 90}
	crew, err := l.Launch(t.Context(), work)
	if err != nil {
		t.Fatal(err)
	}
	if err := crew.Close(); err != nil {
		t.Fatal(err)
	}
	created, _ := os.ReadFile(filepath.Join(dir, "created"))
	for _, want := range []string{"completions: 2", `"--coordinator=10.9.8.7:6443"`, `"--patience=60s"`, `"nvidia.com/gpu":"1"`, `"memory":"8000Mi"`,
		"activeDeadlineSeconds: 5400", "ttlSecondsAfterFinished: 60", "runAsNonRoot: true", `image: "registry.example/gespann:1.2"`} {
		if !strings.Contains(string(created), want) {
			t.Errorf("got\n%s\nwant %s", created, want)
		}
	}
	asked, _ := os.ReadFile(filepath.Join(dir, "asked"))
	for _, want := range []string{`"kind":"Job"`, `"uid":"22"`, "--context=prod --namespace=team", "--cascade=foreground"} {
		if !strings.Contains(string(asked), want) {
			t.Errorf("kubectl was asked\n%s\nwant %s", asked, want)
		}
	}
	work.Image = "gespann"
	if _, err := l.Launch(t.Context(), work); err == nil || !strings.Contains(err.Error(), "want a tag other than latest") {
		t.Errorf("without a tag: got %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := l.Launch(t.Context(), kubeTeam(t.Logf)); err == nil || !strings.Contains(err.Error(), "kubectl: there is no such program on this machine") {
		t.Errorf("without kubectl: got %v", err)
	}
}

// TestKubeOnce checks that what ails several pods alike is said of one, though Kubernetes
// names each, and that what kubectl says of each object is said once.
func TestKubeOnce(t *testing.T) {
	dir := t.TempDir()
	pod := func(name string) string {
		return `{"kind":"Pod","metadata":{"name":"gespann-n-` + name + `"},"status":{"conditions":[{"type":"PodScheduled","status":"False","message":"no room"}]}}`
	}
	event := func(name string) string { // of the Job
		return `{"reason":"FailedCreate","message":"pods \"gespann-n-` + name + `\" is forbidden: exceeded quota","involvedObject":{"kind":"Job","name":"JOB"}}`
	}
	answers := `"get jobs,pods"*) ` + lists(kubeJob, pod("0-abcde"), pod("1-fghij"), pod("2-klmno")) + ";;\n" +
		`"get events"*) n=$(sed -n "s/.*instance=\([a-z0-9-]*\) .*/\1/p" ` + dir + `/asked | tail -n 1); ` +
		lists(event("3-pqrst"), event("3-uvwxy"), event("4-zabcd")) + ` | sed "s/JOB/$n/g"; echo x >>` + dir + "/looked;;\n"
	fake(t, map[string]string{"kubectl": strings.Replace(kubectl(dir, "", ""), "case \"$*\" in\n", "case \"$*\" in\n"+answers, 1)})
	l, err := For("kubernetes")
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 100)
	crew, err := l.Launch(t.Context(), kubeTeam(func(format string, args ...any) { said <- fmt.Sprintf(format, args...) }))
	if err != nil {
		t.Fatal(err)
	}
	for range 600 {
		if text, _ := os.ReadFile(filepath.Join(dir, "looked")); len(text) > 4 { // twice, at least
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	crew.Close()
	close(said)
	var all []string
	for text := range said {
		all = append(all, text)
	}
	text := strings.Join(all, "\n")
	for _, want := range []string{"pod gespann-n-0-abcde has no node: no room", `FailedCreate: pods "gespann-n-3-pqrst" is forbidden: exceeded quota`} {
		if !strings.Contains(text, want) {
			t.Errorf("got\n%s\nwant %s", text, want)
		}
	}
	if len(all) != 3 { // and the Job
		t.Errorf("got\n%s\nwant each once", text)
	}

	fake(t, map[string]string{"kubectl": kubectl(dir, "create", says("Error: no namespace\nError: no namespace")+" >&2; exit 1")})
	if _, err := l.Launch(t.Context(), kubeTeam(t.Logf)); err == nil || err.Error() != "launch: kubernetes: Error: no namespace" {
		t.Errorf("got %v, want it once", err)
	}
}
