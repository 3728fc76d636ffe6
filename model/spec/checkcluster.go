package spec

import (
	"net"
	"strings"
)

// cluster checks the settings of a cluster, and that those which flags give have
// an effect. A file may have them for every backend.
func (d *decoder) cluster() {
	c := &d.spec.Cluster
	d.uselessFlags()
	if c.Coordinator != "" && !isAddress(c.Coordinator) {
		d.report("cluster.coordinator", "such as "+addressHint(c.Coordinator),
			"got %q, want host:port or unix:path", clip(c.Coordinator))
	}
	if c.Dashboard != "" && !isAddress(c.Dashboard) {
		d.report("cluster.dashboard", "such as localhost:8080", "got %q, want host:port", clip(c.Dashboard))
	}
	if c.MinWorkers > c.Workers && c.Launch == "" { // else cmd counts them
		d.report("cluster.min_workers", "", "got %d, want at most cluster.workers, %d", c.MinWorkers, c.Workers)
	}
	d.launch()
	if d.failed("cluster.strategy") {
		return
	}
	if !d.failed("optimizer") {
		d.elastic()
	}
	if d.spec.Train.Deterministic {
		d.sameBits()
	}
}

// launch checks the settings of workers that are started elsewhere.
func (d *decoder) launch() {
	c := &d.spec.Cluster
	const way = "ssh://HOST,HOST, ssh:FILE, slurm, slurm:PARTITION, spark://HOST:PORT, spark:MASTER, kubernetes, kubernetes:NAMESPACE or place"
	kind, rest, _ := strings.Cut(c.Launch, ":")
	switch {
	case c.Launch == "":
		if c.Listen != "" {
			d.report("cluster.listen", "set cluster.launch", "has no effect: no workers are launched elsewhere")
		}
		if c.Image != "" {
			d.report("cluster.image", "set cluster.launch to kubernetes", "has no effect: no workers are launched in pods")
		}
		if c.Resources != (Each{}) {
			d.report("cluster.resources", "set cluster.launch", "has no effect: no workers are launched elsewhere")
		}
		return
	case (kind == "ssh" || kind == "spark") && strings.Trim(rest, "/") != "", kind == "slurm", kind == "kubernetes", c.Launch == "place":
	default:
		d.report("cluster.launch", "", "got %q, want "+way, clip(c.Launch))
	}
	if c.Coordinator != "" && d.layers.origin["cluster.coordinator"] == d.layers.origin["cluster.launch"] { // else the later one counts
		d.report("cluster.launch", "leave one of them out", "has no effect: the workers are those of cluster.coordinator")
	}
	if c.Listen != "" && (strings.HasPrefix(c.Listen, "unix:") || !isAddress(c.Listen)) {
		d.report("cluster.listen", "such as 10.0.0.1:7077", "got %q, want host:port", clip(c.Listen))
	}
	if kind == "spark" && c.Resources.Minutes > 0 {
		d.report("cluster.resources.minutes", "leave it out", "has no effect: Spark gives machines for as long as it takes")
	}
	if kind == "ssh" && (c.Resources.GPUs > 0 || c.Resources.MemoryMiB > 0 || c.Resources.Minutes > 0) {
		d.report("cluster.resources", "", "gpus, memory_mib and minutes have no effect: ssh places nothing, a worker has what its host has")
	}
	if c.Image != "" && kind != "kubernetes" {
		d.report("cluster.image", "", "has no effect: it is for pods, and launch is %s", clip(c.Launch))
	}
	if kind == "place" && (c.Resources.MemoryMiB > 0 || c.Resources.Minutes > 0) {
		d.report("cluster.resources", "", "memory_mib and minutes have no effect: the engine has placed the workers")
	}
}

// sameBits checks that a deterministic run asks for nothing that cannot be.
func (d *decoder) sameBits() {
	c := &d.spec.Cluster
	if c.Strategy.Kind != "sync" {
		d.report("cluster.strategy", "use sync, or leave train.deterministic out",
			"got %s, whose result depends on the workers, but train.deterministic is set", c.Strategy.Kind)
	}
	if c.Wire == "bf16" {
		d.report("cluster.wire", "use fp32, or leave train.deterministic out",
			"got bf16, whose result depends on the workers, but train.deterministic is set")
	}
}

// isAddress reports whether one can listen on or connect to an address.
func isAddress(text string) bool {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		return path != ""
	}
	_, port, err := net.SplitHostPort(text)
	return err == nil && port != "" && !strings.Contains(text, "/")
}

// addressHint completes an address that lacks its port.
func addressHint(text string) string {
	if text != "" && !strings.ContainsAny(text, ":/") {
		return clip(text) + ":7077"
	}
	return "host:7077"
}

// uselessFlags reports flags for a cluster that has no part in the run.
func (d *decoder) uselessFlags() {
	c, kind := &d.spec.Cluster, d.spec.Backend.Kind
	for _, key := range sortedKeys(d.layers.origin) {
		flag := d.layers.origin[key]
		name, below := strings.CutPrefix(key, "cluster.")
		if !below || !strings.HasPrefix(flag, "--") || d.failed(key) {
			continue
		}
		local := c.Coordinator == ""
		hint, msg := "", ""
		switch {
		case kind == "auto" && local:
			hint, msg = "set cluster.coordinator, or backend.kind to cluster",
				"has no effect: kind is auto, and no coordinator is set"
		case kind != "cluster" && kind != "auto":
			hint, msg = "add --backend=cluster", "has no effect: backend is "+clip(kind)
		case local && c.Launch == "place" && (name == "certs" || name == "insecure"):
			continue
		case local && c.Launch != "" && (name == "certs" || name == "insecure"):
			msg = "has no effect: workers that are launched get certificates made for the run"
		case local && (name == "certs" || name == "insecure"):
			msg = "has no effect: without a coordinator everything stays on this machine"
		case !local && (name == "launch" || name == "listen" || name == "image" || strings.HasPrefix(name, "resources.")):
			msg = "has no effect: the workers are those of cluster.coordinator"
		case !local && name == "dashboard":
			msg = "has no effect: the coordinator has a page of its own"
		default:
			continue
		}
		d.fail(Pos{File: flag}, key, hint, "%s", msg)
	}
}

// elastic checks that elastic averaging fits the optimizer.
func (d *decoder) elastic() {
	s := d.spec
	var rho float64
	switch p := s.Cluster.Strategy.Params.(type) {
	case *AEASGD:
		rho = p.Rho
	case *EAMSGD:
		rho = p.Rho
		if sgd, ok := s.Optimizer.Params.(*SGD); !ok || !sgd.Nesterov {
			d.report("cluster.strategy", "set optimizer to sgd: {momentum: 0.9, nesterov: true}, or use aeasgd",
				"eamsgd is for sgd with Nesterov momentum, but optimizer is %s", withoutMomentum(s.Optimizer))
		}
	default:
		return
	}
	if rate := s.LearningRate(); !(rho*rate < 1) {
		path := "cluster.strategy." + s.Cluster.Strategy.Kind + ".rho"
		d.report(path, "", "got %v, want less than 1/learning_rate, which is %.4g", rho, 1/rate)
	}
}

// withoutMomentum names an optimizer that is not sgd with Nesterov momentum.
func withoutMomentum(c Choice) string {
	if p, ok := c.Params.(*SGD); ok && p.Momentum > 0 {
		return "sgd without nesterov"
	} else if ok {
		return "sgd without momentum"
	}
	return c.Kind
}
