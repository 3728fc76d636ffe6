package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// nodePodObject is what a kubelet reads of a pod.
type nodePodObject struct {
	Metadata struct {
		Name, Namespace, UID, DeletionTimestamp string
		DeletionGracePeriodSeconds              int
		Labels, Annotations                     map[string]string
	}
	Spec struct {
		Hostname, RestartPolicy string
		SecurityContext         struct{ RunAsUser, RunAsGroup, FSGroup int }
		Containers              []nodeContainer
		Volumes                 []struct {
			Name                  string
			Secret                *struct{ SecretName string }
			ConfigMap             *struct{ Name string }
			PersistentVolumeClaim *struct{ ClaimName string }
		}
	}
	Status struct{ Phase string }
}

type nodeContainer struct {
	Name, Image string
	Args        []string
	Env         []struct {
		Name, Value string
		ValueFrom   *struct{ FieldRef struct{ FieldPath string } }
	}
	VolumeMounts []struct {
		Name, MountPath string
		ReadOnly        bool
	}
	ReadinessProbe, StartupProbe *struct{ HTTPGet struct{ Path string } }
}

// A nodePod is a pod on a kubelet's node.
type nodePod struct {
	*kubelet
	object   nodePodObject
	number   int
	stop     chan time.Duration // how long it may take to end
	ending   atomic.Bool
	restarts int
}

func (p *nodePod) path(name string) string { return filepath.Join(p.dir, p.object.Metadata.UID, name) }
func (p *nodePod) address() string         { return fmt.Sprint(p.subnet, p.number+9) }
func (p *nodePod) url() string {
	return "/api/v1/namespaces/" + p.object.Metadata.Namespace + "/pods/" + p.object.Metadata.Name
}

// life runs the pod until it is over.
func (p *nodePod) life() {
	runtime.LockOSThread() // whose end is the pod's
	o, c := &p.object, &p.object.Spec.Containers[0]
	code, reason := 137, "ContainerStatusUnknown" // of a pod that an earlier kubelet has run
	for o.Status.Phase == "" || o.Status.Phase == "Pending" {
		code, reason = 137, "Killed" // of one that was never started
		if c.Image != p.image {
			p.waits("ErrImagePull", fmt.Sprintf("failed to pull and unpack image %q: failed to resolve reference %q: not found", c.Image, c.Image))
			time.Sleep(time.Second)
			p.waits("ImagePullBackOff", fmt.Sprintf("Back-off pulling image %q: ErrImagePull: not found", c.Image))
			<-p.stop
			break
		}
		script, err := p.script()
		if err != nil {
			p.waits("ContainerCreating", "")
			p.event("FailedMount", err.Error())
			select {
			case <-p.stop:
			case <-time.After(2 * time.Second):
				continue
			}
			break
		}
		if code, err = p.container(script); err != nil {
			fmt.Fprintln(os.Stderr, "kubelet:", o.Metadata.Name, err)
		}
		if reason = "Error"; code == 0 {
			reason = "Completed"
		}
		if o.Spec.RestartPolicy != "Always" || p.ending.Load() {
			break
		}
		p.restarts++
		time.Sleep(time.Second)
	}
	phase := "Failed"
	if code == 0 {
		phase = "Succeeded"
	}
	if o.Status.Phase != "Failed" && o.Status.Phase != "Succeeded" {
		p.status(phase, false, fields{"terminated": fields{"exitCode": code, "reason": reason, "finishedAt": now()}})
	}
	if !p.ending.Load() {
		<-p.stop // until it is deleted
	}
	err := p.call("DELETE", p.url(), fields{"gracePeriodSeconds": 0, "preconditions": fields{"uid": o.Metadata.UID}}, nil)
	if err != nil && !strings.Contains(err.Error(), "not found") {
		fmt.Fprintln(os.Stderr, "kubelet:", err)
	}
}

func now() string { return time.Now().UTC().Format(time.RFC3339) }

// container runs the container once, and returns its exit code.
func (p *nodePod) container(script string) (code int, err error) {
	o, c := &p.object, &p.object.Spec.Containers[0]
	env := []string{asProgram + "=1", "PATH=/usr/local/bin", "HOME=/data", "HOSTNAME=" + o.Metadata.Name}
	args := strings.Join(c.Args, "\x00")
	for _, e := range c.Env {
		value := e.Value
		if e.ValueFrom != nil {
			value = o.field(e.ValueFrom.FieldRef.FieldPath)
		}
		env = append(env, e.Name+"="+value)
		args = strings.ReplaceAll(args, "$("+e.Name+")", value)
	}
	cmd := exec.Command("/bin/sh", append([]string{"-c", script, "pod"}, strings.Split(args, "\x00")...)...)
	cmd.Env = env
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL, // a node that is lost takes its pods with it
	}
	log, err := os.OpenFile(p.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return 128, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	ready, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return 128, err
	}
	ended := make(chan struct{})
	go p.live(c, ended)
	out, err := exec.Command("ip", "link", "add", fmt.Sprint(p.name, "p", p.number), "master", "kube0", "up", "type", "veth",
		"peer", "name", "eth0", "netns", fmt.Sprint(cmd.Process.Pid)).CombinedOutput()
	if err != nil {
		fmt.Fprintf(log, "ip: %v: %s", err, out)
		cmd.Process.Kill()
	}
	fmt.Fprintln(ready, "go")
	go func() {
		for {
			select {
			case grace := <-p.stop:
				if grace == 0 {
					cmd.Process.Kill()
					continue
				}
				cmd.Process.Signal(syscall.SIGTERM)
				time.AfterFunc(grace, func() { cmd.Process.Kill() })
			case <-ended:
				return
			}
		}
	}()
	cmd.Wait()
	close(ended)
	code = cmd.ProcessState.ExitCode()
	if s := cmd.ProcessState.Sys().(syscall.WaitStatus); s.Signaled() {
		code = 128 + int(s.Signal())
	}
	return code, nil
}

// live says that the container runs, and later that it is ready, as its probe says.
func (p *nodePod) live(c *nodeContainer, ended chan struct{}) {
	state := fields{"running": fields{"startedAt": now()}}
	probe := c.ReadinessProbe
	if probe == nil {
		probe = c.StartupProbe
	}
	p.status("Running", probe == nil, state)
	for probe != nil {
		select {
		case <-ended:
			return
		case <-time.After(500 * time.Millisecond):
		}
		answer, err := (&http.Client{Timeout: time.Second}).Get("http://" + p.address() + ":8080" + probe.HTTPGet.Path)
		if err != nil {
			continue
		}
		answer.Body.Close()
		if answer.StatusCode == http.StatusOK {
			p.status("Running", true, state)
			return
		}
	}
}

// field returns a field of the pod, as the downward API names it.
func (o *nodePodObject) field(path string) string {
	kind, rest, _ := strings.Cut(path, "['")
	key := strings.TrimSuffix(rest, "']")
	switch kind {
	case "metadata.name":
		return o.Metadata.Name
	case "metadata.labels":
		return o.Metadata.Labels[key]
	}
	return o.Metadata.Annotations[key]
}

// script brings the pod's volumes and returns what makes its root and runs its program.
func (p *nodePod) script() (string, error) {
	o, root := &p.object, p.path("root")
	lines := []string{
		"read go; shown=$PATH; PATH=/usr/sbin:/usr/bin:/sbin:/bin; set -e", "hostname " + o.Metadata.Name, "ip link set lo up",
		"ip addr add " + p.address() + "/16 dev eth0; ip link set eth0 up; ip route add default via " + p.subnet + "1",
		"mount --make-rprivate /; mount --bind " + root + " " + root, "mount -t proc proc " + root + "/proc; mount --rbind /dev " + root + "/dev",
	}
	bind := func(from, to string, readOnly bool) {
		lines = append(lines, fmt.Sprintf("mount --bind %s %s/%s", from, root, to))
		if readOnly {
			lines = append(lines, fmt.Sprintf("mount -o remount,bind,ro %s/%s", root, to))
		}
	}
	names := fmt.Sprintf("nameserver %s1\nsearch %s.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n", p.subnet, o.Metadata.Namespace)
	err := errors.Join(p.write(root+"/etc/resolv.conf", names, 0o644), p.write(root+"/usr/local/bin/gespann", "", 0o755),
		p.write(root+"/etc/hosts", "127.0.0.1 localhost\n"+p.address()+" "+o.Metadata.Name+"\n", 0o644),
		os.MkdirAll(root+"/proc", 0o755), os.MkdirAll(root+"/dev", 0o755), os.MkdirAll(root+"/data", 0o777), os.MkdirAll(root+"/tmp", 0o777),
		os.Chmod(root+"/data", 0o777), os.Chmod(root+"/tmp", 0o777))
	bind(p.program, "usr/local/bin/gespann", true)
	volumes := map[string]string{}
	for _, v := range o.Spec.Volumes {
		volume := p.path("volumes/" + v.Name)
		var keep error
		switch {
		case v.Secret != nil:
			keep = p.files(volume, v.Name, "secret", v.Secret.SecretName)
		case v.ConfigMap != nil:
			keep = p.files(volume, v.Name, "configmap", v.ConfigMap.Name)
		case v.PersistentVolumeClaim != nil:
			volume, keep = p.claim(v.PersistentVolumeClaim.ClaimName)
		default: // an emptyDir
			keep = errors.Join(os.MkdirAll(volume, 0o777), os.Chmod(volume, 0o777))
		}
		volumes[v.Name] = volume
		err = errors.Join(err, keep)
	}
	for _, m := range o.Spec.Containers[0].VolumeMounts {
		err = errors.Join(err, os.MkdirAll(root+m.MountPath, 0o755))
		bind(volumes[m.Name], m.MountPath, m.ReadOnly)
	}
	s := o.Spec.SecurityContext
	lines = append(lines, "mount -o remount,bind,ro "+root, fmt.Sprintf(`PATH=$shown exec /usr/bin/unshare --root=%s --wd=/data --setgid=%d --setuid=%d `+
		`/usr/local/bin/gespann "$@" </dev/null`, root, s.RunAsGroup, s.RunAsUser))
	return strings.Join(lines, "\n"), err
}

// files writes what a Secret or ConfigMap has as files that the pod's group reads.
func (p *nodePod) files(dir, volume, kind, name string) error {
	var o struct{ Data map[string]string }
	if err := p.call("GET", "/api/v1/namespaces/"+p.object.Metadata.Namespace+"/"+kind+"s/"+name, nil, &o); err != nil {
		return fmt.Errorf("MountVolume.SetUp failed for volume %q : %s %q not found", volume, kind, name)
	}
	for name, text := range o.Data {
		if kind == "secret" {
			content, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				return err
			}
			text = string(content)
		}
		path := filepath.Join(dir, name)
		if err := errors.Join(p.write(path, text, 0o440), os.Chown(path, 0, p.object.Spec.SecurityContext.FSGroup)); err != nil {
			return err
		}
	}
	return nil
}

// claim returns the folder of the volume that a claim is bound to.
func (p *nodePod) claim(name string) (string, error) {
	var claim struct{ Spec struct{ VolumeName string } }
	err := p.call("GET", "/api/v1/namespaces/"+p.object.Metadata.Namespace+"/persistentvolumeclaims/"+name, nil, &claim)
	var volume struct {
		Spec struct{ HostPath struct{ Path string } }
	}
	if err == nil {
		err = p.call("GET", "/api/v1/persistentvolumes/"+claim.Spec.VolumeName, nil, &volume)
	}
	dir := volume.Spec.HostPath.Path
	if err != nil || dir == "" {
		return "", errors.Join(err, fmt.Errorf("claim %s has no folder", name))
	}
	return dir, errors.Join(os.MkdirAll(dir, 0o770), os.Chown(dir, 0, p.object.Spec.SecurityContext.FSGroup), os.Chmod(dir, 0o2770))
}

// status says how the pod is.
func (p *nodePod) status(phase string, ready bool, state fields) {
	c := &p.object.Spec.Containers[0]
	yes := map[bool]string{true: "True", false: "False"}[ready]
	status := fields{
		"phase": phase, "hostIP": p.subnet + "1", "startTime": now(),
		"conditions": []fields{{"type": "Ready", "status": yes}, {"type": "ContainersReady", "status": yes}, {"type": "Initialized", "status": "True"}},
		"containerStatuses": []fields{{"name": c.Name, "image": c.Image, "imageID": "", "ready": ready, "started": phase == "Running",
			"restartCount": p.restarts, "state": state}},
	}
	if phase == "Running" {
		status["podIP"], status["podIPs"] = p.address(), []fields{{"ip": p.address()}}
	}
	if err := p.call("PATCH", p.url()+"/status", fields{"metadata": fields{"uid": p.object.Metadata.UID}, "status": status}, nil); err != nil {
		fmt.Fprintln(os.Stderr, "kubelet:", err)
		if strings.Contains(err.Error(), "not found") || strings.Contains(err.Error(), "onflict") {
			p.stop <- 0 // it is gone, or another's
		}
	}
}

func (p *nodePod) waits(reason, message string) {
	p.status("Pending", false, fields{"waiting": fields{"reason": reason, "message": message}})
}

// event warns of something.
func (p *nodePod) event(reason, message string) {
	m := p.object.Metadata
	p.call("POST", "/api/v1/namespaces/"+m.Namespace+"/events", fields{
		"metadata": fields{"generateName": m.Name + ".", "namespace": m.Namespace}, "type": "Warning", "reason": reason, "message": message,
		"involvedObject": fields{"apiVersion": "v1", "kind": "Pod", "namespace": m.Namespace, "name": m.Name, "uid": m.UID},
		"firstTimestamp": now(), "lastTimestamp": now(), "count": 1, "source": fields{"component": "kubelet", "host": p.name},
	}, nil)
}
