package main

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// asNode in the environment has the test binary be a node of a Kubernetes cluster, and
// says which: 1, 2 and so on.
const asNode = "GESPANN_TEST_NODE"

func init() { roles[asNode] = nodeMain }

// A kubelet plays a node for a real control plane: it registers itself, keeps its lease,
// and runs the pods that it is given, in namespaces of their own, on a bridge that all
// nodes share. It says the logs of pods, and their names to one another, as CoreDNS does.
// There is one image; what is in it is what Dockerfile puts there. It enforces neither limits
// nor NetworkPolicies, and restarts nothing that does not answer its probe.
type kubelet struct {
	server, token, image, program string // what it is told by the environment
	name, subnet, dir             string

	mu   sync.Mutex
	last int                 // pod that was given an address
	pods map[string]*nodePod // by uid
}

var nodeClient = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // a test cluster's own

// nodeMain is the kubelet's main function.
func nodeMain(number string) {
	k := &kubelet{
		server: os.Getenv("GESPANN_TEST_SERVER"), token: os.Getenv("GESPANN_TEST_TOKEN"), image: os.Getenv("GESPANN_TEST_IMAGE"),
		program: os.Getenv("GESPANN_TEST_PROGRAM"), name: "node-" + number, subnet: "10.88." + number + ".", pods: map[string]*nodePod{},
	}
	err := k.run()
	fmt.Fprintln(os.Stderr, "kubelet:", err)
	os.Exit(1)
}

func (k *kubelet) run() (err error) {
	if k.dir, err = os.MkdirTemp(os.Getenv("GESPANN_TEST_DIR"), "node"); err != nil {
		return err
	}
	if err := os.Chmod(k.dir, 0o755); err != nil {
		return err
	}
	exec.Command("ip", "link", "add", "kube0", "type", "bridge").Run() // one node's is all nodes'
	for _, args := range []string{"addr replace " + k.subnet + "1/16 dev kube0", "link set kube0 up"} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", args, err, out)
		}
	}
	logs, err := net.Listen("tcp", k.subnet+"1:10250")
	if err != nil {
		return err
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(k.logs))
	server.Listener = logs
	server.StartTLS()
	names, err := net.ListenPacket("udp", k.subnet+"1:53")
	if err != nil {
		return err
	}
	go k.names(names)
	if err := k.call("POST", "/api/v1/nodes", k.node(), nil); err != nil && !strings.Contains(err.Error(), "already exists") {
		return err
	}
	go func() {
		for ; ; time.Sleep(2 * time.Second) {
			if err := k.beat(); err != nil {
				fmt.Fprintln(os.Stderr, "kubelet:", err)
			}
		}
	}()
	for ; ; time.Sleep(time.Second) {
		fmt.Fprintln(os.Stderr, "kubelet: watch:", k.watch())
	}
}

type fields = map[string]any

func (k *kubelet) node() fields {
	resources := fields{"cpu": "4", "memory": "8Gi", "ephemeral-storage": "20Gi", "pods": "50"}
	return fields{
		"metadata": fields{"name": k.name, "labels": fields{"kubernetes.io/hostname": k.name, "kubernetes.io/os": "linux"}},
		"status": fields{
			"capacity": resources, "allocatable": resources, "addresses": []fields{{"type": "InternalIP", "address": k.subnet + "1"}},
			"daemonEndpoints": fields{"kubeletEndpoint": fields{"Port": 10250}},
			"nodeInfo":        fields{"kubeletVersion": "v1.34.0", "operatingSystem": "linux", "architecture": "amd64"},
			"conditions": []fields{{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "a test",
				"lastHeartbeatTime": time.Now().UTC().Format(time.RFC3339)}},
		},
	}
}

// beat says that the node is there.
func (k *kubelet) beat() error {
	const leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
	spec := fields{"holderIdentity": k.name, "leaseDurationSeconds": 10, "renewTime": time.Now().UTC().Format("2006-01-02T15:04:05.000000Z")}
	err := k.call("PATCH", leases+"/"+k.name, fields{"spec": spec}, nil)
	if err != nil && strings.Contains(err.Error(), "not found") {
		err = k.call("POST", leases, fields{"metadata": fields{"name": k.name}, "spec": spec}, nil)
	}
	status := k.node()
	delete(status, "metadata")
	return errors.Join(err, k.call("PATCH", "/api/v1/nodes/"+k.name+"/status", status, nil))
}

// call asks the API server for something.
func (k *kubelet) call(method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	answer, err := k.open(method, path, body)
	if err != nil {
		return err
	}
	defer answer.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, answer)
		return err
	}
	return json.NewDecoder(answer).Decode(out)
}

func (k *kubelet) open(method, path string, body []byte) (io.ReadCloser, error) {
	r, err := http.NewRequest(method, k.server+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+k.token)
	r.Header.Set("Content-Type", "application/json")
	if method == "PATCH" {
		r.Header.Set("Content-Type", "application/strategic-merge-patch+json")
	}
	answer, err := nodeClient.Do(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode >= 300 {
		text, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, answer.Status, text)
	}
	return answer.Body, nil
}

// watch follows the pods of the node for as long as the API server says them.
func (k *kubelet) watch() error {
	answer, err := k.open("GET", "/api/v1/pods?watch=true&resourceVersion=0&fieldSelector="+url.QueryEscape("spec.nodeName="+k.name), nil)
	if err != nil {
		return err
	}
	defer answer.Close()
	for d := json.NewDecoder(answer); ; {
		var event struct {
			Type   string
			Object json.RawMessage
		}
		if err := d.Decode(&event); err != nil {
			return err
		}
		var o nodePodObject
		if err := json.Unmarshal(event.Object, &o); err != nil || event.Type == "ERROR" {
			return fmt.Errorf("%s: %s", event.Type, event.Object)
		}
		k.mu.Lock()
		p := k.pods[o.Metadata.UID]
		if p == nil && event.Type != "DELETED" {
			k.last++
			p = &nodePod{kubelet: k, object: o, number: k.last, stop: make(chan time.Duration, 10)}
			k.pods[o.Metadata.UID] = p
			go p.life()
		}
		k.mu.Unlock()
		switch {
		case p == nil:
		case event.Type == "DELETED":
			p.stop <- 0
		case o.Metadata.DeletionTimestamp != "" && !p.ending.Swap(true):
			p.stop <- time.Duration(o.Metadata.DeletionGracePeriodSeconds) * time.Second
		}
	}
}

// logs answers GET /containerLogs/NAMESPACE/POD/CONTAINER; it follows none.
func (k *kubelet) logs(w http.ResponseWriter, r *http.Request) {
	words := strings.Split(r.URL.Path, "/")
	k.mu.Lock()
	var p *nodePod
	for _, each := range k.pods {
		if m := each.object.Metadata; len(words) > 3 && m.Namespace == words[2] && m.Name == words[3] && (p == nil || each.number > p.number) {
			p = each
		}
	}
	k.mu.Unlock()
	if p == nil {
		http.Error(w, "no such pod", http.StatusNotFound)
		return
	}
	out, _ := exec.Command("tail", "-n", cmp.Or(r.FormValue("tailLines"), "+1"), p.path("log")).Output()
	w.Write(out)
}

// names answers questions for HOSTNAME.SERVICE.NAMESPACE.svc.cluster.local and for services by
// what the endpoint controller has found.
func (k *kubelet) names(conn net.PacketConn) {
	for packet := make([]byte, 1500); ; {
		n, from, err := conn.ReadFrom(packet)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(packet[:n]) != nil || len(m.Questions) != 1 {
			continue
		}
		q := m.Questions[0]
		addresses := k.resolve(strings.ToLower(q.Name.String()))
		m.Response, m.Authoritative, m.RecursionAvailable, m.Additionals = true, true, true, nil
		if len(addresses) == 0 {
			m.RCode = dnsmessage.RCodeNameError
		}
		for _, a := range addresses {
			if ip := net.ParseIP(a).To4(); ip != nil && q.Type == dnsmessage.TypeA {
				m.Answers = append(m.Answers, dnsmessage.Resource{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 5}, Body: &dnsmessage.AResource{A: [4]byte(ip)},
				})
			}
		}
		if answer, err := m.Pack(); err == nil {
			conn.WriteTo(answer, from)
		}
	}
}

func (k *kubelet) resolve(name string) (addresses []string) {
	name, inside := strings.CutSuffix(name, ".svc.cluster.local.")
	words := strings.Split(name, ".")
	if n := len(words); !inside || n < 2 || n > 3 {
		return nil
	}
	host, service, namespace := "", words[len(words)-2], words[len(words)-1]
	if len(words) == 3 {
		host = words[0]
	}
	var slices struct {
		Items []struct {
			Endpoints []struct {
				Addresses  []string
				Hostname   string
				Conditions struct{ Ready bool }
			}
		}
	}
	k.call("GET", "/apis/discovery.k8s.io/v1/namespaces/"+namespace+"/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3D"+service, nil, &slices)
	for _, s := range slices.Items {
		for _, e := range s.Endpoints {
			if e.Conditions.Ready && (host == "" || host == e.Hostname) {
				addresses = append(addresses, e.Addresses...)
			}
		}
	}
	return addresses
}

// write writes a file for pods.
func (k *kubelet) write(path, text string, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return errors.Join(os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode))
}
