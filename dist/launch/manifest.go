package launch

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

// A Manifest is a run that Kubernetes places, driver and workers.
type Manifest struct {
	Kind      string            // one of ManifestKinds
	Name      string            // of all objects; see Label
	Image     string            // with a tag or digest
	Config    string            // the run's YAML
	Files     map[string][]byte // certificates of the run
	Workers   int
	Resources Resources // of each worker
	Storage   string    // size of the claim for the run, as Kubernetes writes it
	DataClaim string    // claim with the files of the data; "": none
	Download  bool      // the driver downloads the data
}

// ManifestKinds are the ways in which Kubernetes may place a run: two Jobs, and what
// others have made of Jobs.
//
//	jobset           https://jobset.sigs.k8s.io
//	leaderworkerset  https://lws.sigs.k8s.io
//	trainjob         https://www.kubeflow.org/docs/components/trainer
var ManifestKinds = []string{"kubernetes", "jobset", "leaderworkerset", "trainjob"}

// Driver and workers of the manifests agree on these.
const (
	ManifestCerts   = "/etc/gespann/certs"
	ManifestHome    = "/data" // of the claim for the run
	ManifestData    = "/work" // of the claim with the data
	ManifestListen  = ":7077"
	ManifestPage    = ":8080"
	maxLabel        = 40 // leaves room for what controllers append, within 63
	workerPatience  = "30m"
	driverMemoryMiB = 1024
)

//go:embed kube/parts.yaml
var manifestParts string

// Label returns the name of a run's objects: "gespann-" and the run's name, as a name in
// the DNS.
func Label(name string) (string, error) {
	label := strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		}
		return '-'
	}, name)
	label = "gespann-" + strings.Trim(label, "-")
	if label == "gespann-" || len(label) > maxLabel {
		return "", fmt.Errorf("launch: got the name %.80q, want letters and digits, and at most %d characters: Kubernetes makes names of hosts of it\n"+
			"hint: --name gives the run another", name, maxLabel-len("gespann-"))
	}
	return label, nil
}

// Forms of what Kubernetes takes.
var (
	quantity  = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$`)
	subdomain = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)
	imageName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._:/@-]*$`)
)

// CheckImage checks that the name of an image says which one: without a tag it would be
// the latest, which is another one tomorrow.
func CheckImage(image string) error {
	last := image[strings.LastIndex(image, "/")+1:]
	switch {
	case !imageName.MatchString(image):
		return fmt.Errorf("launch: got image %.80q, want one such as registry.example/gespann:1.2", image)
	case strings.HasSuffix(last, ":latest") || !strings.ContainsAny(last, ":@"):
		return fmt.Errorf("launch: image %s: want a tag other than latest, or a digest: pods that are started later must run the same program", image)
	}
	return nil
}

// YAML returns the manifest, for kubectl apply.
func (m *Manifest) YAML() (string, error) {
	if !slices.Contains(ManifestKinds, m.Kind) {
		return "", fmt.Errorf("launch: got %.80q, want one of %s", m.Kind, strings.Join(ManifestKinds, ", "))
	}
	if err := CheckImage(m.Image); err != nil {
		return "", err
	}
	switch {
	case !quantity.MatchString(m.Storage):
		return "", fmt.Errorf("launch: got the size %.80q, want one such as 10Gi", m.Storage)
	case m.DataClaim != "" && !subdomain.MatchString(m.DataClaim):
		return "", fmt.Errorf("launch: got the claim %.80q, want the name of a PersistentVolumeClaim", m.DataClaim)
	}
	pods := m.pods()
	parts := []string{"secret", "config", "claim", "policy", m.Kind}
	var out strings.Builder
	fmt.Fprintf(&out, "# The run %s on Kubernetes, made by gespann manifest. Delete it, but for the claim with the results, by\n"+
		"#   kubectl delete %s,networkpolicy,configmap,secret -l app.kubernetes.io/instance=%s\n", m.Name, m.deletes(), m.Name)
	for _, part := range parts {
		text, err := render(part, pods)
		if err != nil {
			return "", err
		}
		out.WriteString("---\n" + text + "\n")
	}
	return out.String(), nil
}

// deletes returns the kinds that the manifest has of its own.
func (m *Manifest) deletes() string {
	switch m.Kind {
	case "kubernetes":
		return "job,service"
	case "trainjob":
		return "trainjob,trainingruntime"
	}
	return m.Kind
}

// pods are what the template takes.
type pods struct {
	*Manifest
	WorkerContainer  string
	WorkerArgs       []string
	Subdomain        bool // the pod of the driver needs one to have a name
	DriverMemory     string
	Requests, Limits map[string]string
	Minutes, Seconds int
	Size             int
}

func (m *Manifest) pods() *pods {
	p := &pods{
		Manifest: m, WorkerContainer: "worker", Minutes: m.Resources.Minutes, Seconds: 60 * m.Resources.Minutes, Size: m.Workers + 1,
		DriverMemory: strconv.Itoa(max(m.Resources.MemoryMiB, driverMemoryMiB)) + "Mi",
	}
	at, index := "", "JOB_COMPLETION_INDEX"
	switch m.Kind {
	case "kubernetes":
		p.Subdomain = true
		at = m.Name + "-driver-0." + m.Name + ManifestListen
	case "jobset":
		at = m.Name + "-driver-0-0." + m.Name + ManifestListen
	case "trainjob":
		p.WorkerContainer = "node" // as the trainer wants it
		at = m.Name + "-driver-0-0." + m.Name + ManifestListen
	case "leaderworkerset":
		at, index = "$(LWS_LEADER_ADDRESS)"+ManifestListen, "LWS_WORKER_INDEX"
	}
	p.WorkerArgs = append(workerArgs(m.Resources, index), "--coordinator="+at, "--once", "--patience="+workerPatience)
	p.Requests, p.Limits = m.Resources.kube()
	return p
}

// workerArgs are those of a worker in a pod.
func workerArgs(r Resources, index string) []string {
	kind := "cpu"
	if r.GPUs > 0 {
		kind = "gpu"
	}
	return []string{"worker", "--name=worker-$(" + index + ")", "--backend=" + kind, "--threads=" + strconv.Itoa(max(r.CPUs, 1)),
		"--certs=" + ManifestCerts}
}

// kube returns what a container asks for, and what it gets at most.
func (r Resources) kube() (requests, limits map[string]string) {
	requests = map[string]string{"cpu": strconv.Itoa(max(r.CPUs, 1))}
	limits = map[string]string{"cpu": requests["cpu"]}
	if r.MemoryMiB > 0 {
		requests["memory"] = strconv.Itoa(r.MemoryMiB) + "Mi"
		limits["memory"] = requests["memory"]
	}
	if r.GPUs > 0 {
		limits["nvidia.com/gpu"] = strconv.Itoa(r.GPUs)
	}
	return requests, limits
}

// render renders a part.
func render(part string, data any) (string, error) {
	t := template.New("manifest")
	execute := func(name string, data any) (string, error) {
		var b bytes.Buffer
		err := t.ExecuteTemplate(&b, name, data)
		return b.String(), err
	}
	t.Funcs(template.FuncMap{
		"include": func(name string, data any, by int) (string, error) {
			text, err := execute(name, data)
			return indent(by, text), err
		},
		"indent": indent,
		"quote":  strconv.Quote,
		"base64": base64.StdEncoding.EncodeToString,
		"json": func(v any) (string, error) {
			text, err := json.Marshal(v)
			return string(text), err
		},
	})
	if _, err := t.Parse(manifestParts); err != nil {
		return "", fmt.Errorf("launch: %w", err)
	}
	text, err := execute(part, data)
	return text, err
}

// indent begins each line with spaces, but for empty ones.
func indent(by int, text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines {
		if line != "" {
			lines[i] = strings.Repeat(" ", by) + line
		}
	}
	return strings.Join(lines, "\n")
}
