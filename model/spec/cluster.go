package spec

import "cmp"

// Cluster says how several workers train together. It counts where backend.kind
// is cluster; a file may have it for others too, so that one file trains anywhere.
type Cluster struct {
	// Address of the coordinator, host:port or unix:path. Default: none; a coordinator and workers
	// are started on this machine.
	Coordinator string `yaml:"coordinator"`
	// Where to start workers for the run: ssh://host,host or ssh:FILE with a host on each line;
	// slurm or slurm:PARTITION; spark://host:port, or spark:MASTER by spark-submit; kubernetes or
	// kubernetes:NAMESPACE; place, those that an engine has started beside this process, which is
	// their rank 0. Default: none; on this machine.
	Launch string `yaml:"launch"`
	// Address at which launched workers reach this machine, host:port. Default: none; any port of
	// the one on the way to them, and with place port 7077 of all.
	Listen string `yaml:"listen"`
	// Image that pods run, with a tag or digest. Only with launch kubernetes. Default: gespann or,
	// with cards, gespann-cuda, of this release.
	Image string `yaml:"image"`
	// Workers to start, or with a coordinator to wait for. More may join later. With launch, and
	// where nothing is said, as many as there are hosts, tasks of the Slurm job that this is in,
	// or others beside this process.
	Workers int `yaml:"workers" default:"2" min:"1" max:"1024"`
	// Of workers, how many must be there for the run to begin; the others take part as they come.
	// Default: 0; all.
	MinWorkers int `yaml:"min_workers" default:"0" min:"0" max:"1024"`
	// What the engine of launch is to give each worker.
	Resources Each `yaml:"resources"`
	// How the workers make one model.
	Strategy Choice `yaml:"strategy" default:"sync"`
	// How gradients travel in sync, and weights in the other strategies: fp32; or bf16, half the
	// bytes with 7 bits of mantissa.
	Wire string `yaml:"wire" default:"fp32" enum:"fp32,bf16"`
	// Where workers get the rows: local, each from its own disk; stream, from the process that
	// trains; auto, local where the same rows are there, else stream.
	Data string `yaml:"data" default:"auto" enum:"auto,local,stream"`
	// Measure one worker alone for a fifth of a second before the run: a check of what is said at
	// its end, from the time that the workers spent, of how many times as fast as one they were.
	Probe bool `yaml:"probe" default:"true"`
	// Folder that gespann certs has made, to be known to the coordinator. Default: gespann/certs
	// in the user's configuration directory.
	Certs string `yaml:"certs"`
	// Talk to a coordinator that was started with --insecure: without TLS, and without proofs that
	// both sides are of one account.
	Insecure bool `yaml:"insecure" default:"false"`
	// Address of a page that shows the workers and the run, such as localhost:8080. Only without a
	// coordinator, which has its own. Default: none.
	Dashboard string `yaml:"dashboard"`
}

// Each is what an engine gives a worker.
type Each struct {
	// Processors, and threads. Default: 0; those of the host, or one of Slurm, Spark and Kubernetes.
	CPUs int `yaml:"cpus" default:"0" min:"0" max:"4096"`
	// Cards.
	GPUs int `yaml:"gpus" default:"0" min:"0" max:"64"`
	// Memory in MiB. Default: 0; what the engine gives.
	MemoryMiB int `yaml:"memory_mib" default:"0" min:"0" max:"1073741824"`
	// Time until the engine may take it all away. Default: 0; what the engine gives.
	Minutes int `yaml:"minutes" default:"0" min:"0" max:"525600"`
}

// Strategies lists how workers make one model. In their descriptions w are a
// worker's weights, c those that all share, p what w was when the worker last got
// c, and k the window in steps.
var Strategies = map[string]Kind{
	"sync":      {func() any { return new(NoParams) }, "Every step is taken together: each worker has a share of its rows, gradients are summed, and batch_normalization is over the rows of all. The same training as on one machine, but for the order of sums and the masks of dropout, which are those of one machine with train.deterministic."},
	"local_sgd": {func() any { return new(LocalSGD) }, "Workers take k steps alone, then c is the mean of their weights: Stich, 2019."},
	"diloco":    {func() any { return new(DiLoCo) }, "As local_sgd with a long window; c takes a Nesterov step along the mean change of the weights: Douillard et al., 2023."},
	"averaging": {func() any { return new(NoParams) }, "Workers share the rows of an epoch, then c is the mean of their weights: McDonald et al., 2010."},
	"single":    {func() any { return new(NoParams) }, "One worker takes all steps; others stand by in case it is lost."},
	"ensemble":  {func() any { return new(Ensemble) }, "Several models are trained, each by one worker on all rows; the prediction is the mean of theirs: Hansen and Salamon, 1990."},
	"downpour":  {func() any { return new(Downpour) }, "After k steps a worker sends w - p, which c adds: Dean et al., 2012. Diverges with many workers; see adag."},
	"adag":      {func() any { return new(ADAG) }, "After k steps a worker sends (w - p)/k, which c adds: Hermans et al., 2017."},
	"dynsgd":    {func() any { return new(DynSGD) }, "As downpour, but c divides what it adds by one more than the number of updates since the worker last got c: Jiang et al., 2017."},
	"aeasgd":    {func() any { return new(AEASGD) }, "After k steps worker and c move towards each other by rho·learning_rate·(w - c): Zhang et al., 2015."},
	"eamsgd":    {func() any { return new(EAMSGD) }, "As aeasgd, with Nesterov momentum on the workers: Zhang et al., 2015."},
}

// MaxMembers is the most members that an ensemble may have.
const MaxMembers = 1024

type (
	// LocalSGD averages weights after some steps.
	LocalSGD struct {
		// Steps that a worker takes alone, k.
		Window int `yaml:"window" default:"8" min:"1" max:"1048576"`
	}
	// DiLoCo lets an outer optimiser follow the mean change of the weights.
	DiLoCo struct {
		// Steps that a worker takes alone, k.
		Window int `yaml:"window" default:"500" min:"1" max:"1048576"`
		// Of the step that c takes.
		OuterLearningRate float64 `yaml:"outer_learning_rate" default:"0.7" gt:"0"`
		// Of the step that c takes.
		OuterMomentum float64 `yaml:"outer_momentum" default:"0.9" min:"0" lt:"1"`
	}
	// Ensemble trains several models.
	Ensemble struct {
		// How many models. Default: as many as cluster.workers.
		Members int `yaml:"members" min:"1" max:"1024"`
	}
	// Downpour adds what workers learnt.
	Downpour struct {
		// Steps between two updates of a worker, k.
		Window int `yaml:"window" default:"5" min:"1" max:"1048576"`
	}
	// ADAG adds what workers learnt, per step.
	ADAG struct {
		// Steps between two updates of a worker, k.
		Window int `yaml:"window" default:"12" min:"1" max:"1048576"`
	}
	// DynSGD adds what workers learnt, less of it the staler it is.
	DynSGD struct {
		// Steps between two updates of a worker, k.
		Window int `yaml:"window" default:"10" min:"1" max:"1048576"`
	}
	// AEASGD pulls workers and the center together.
	AEASGD struct {
		// Steps between two meetings of a worker with c, k.
		Window int `yaml:"window" default:"32" min:"1" max:"1048576"`
		// Elasticity: worker and c move by rho·learning_rate of what is between them.
		Rho float64 `yaml:"rho" default:"5" gt:"0"`
	}
	// EAMSGD is AEASGD with momentum.
	EAMSGD struct {
		// Steps between two meetings of a worker with c, k.
		Window int `yaml:"window" default:"32" min:"1" max:"1048576"`
		// Elasticity: worker and c move by rho·learning_rate of what is between them.
		Rho float64 `yaml:"rho" default:"5" gt:"0"`
	}
)

// Least returns how many workers must be there for the run to begin.
func (c *Cluster) Least() int { return cmp.Or(c.MinWorkers, c.Workers) }

// Members returns how many models the workers train: 0 where they make one, with
// other strategies than ensemble.
func (c *Cluster) Members() int {
	p, ok := c.Strategy.Params.(*Ensemble)
	switch {
	case !ok:
		return 0
	case p.Members == 0:
		return c.Workers
	}
	return p.Members
}

// StrategyParams returns the numbers that the strategy is told, by key.
func (c *Cluster) StrategyParams() map[string]float64 {
	switch p := c.Strategy.Params.(type) {
	case *LocalSGD:
		return map[string]float64{"window": float64(p.Window)}
	case *DiLoCo:
		return map[string]float64{"window": float64(p.Window),
			"outer_learning_rate": p.OuterLearningRate, "outer_momentum": p.OuterMomentum}
	case *Ensemble:
		return map[string]float64{"members": float64(c.Members())}
	case *Downpour:
		return map[string]float64{"window": float64(p.Window)}
	case *ADAG:
		return map[string]float64{"window": float64(p.Window)}
	case *DynSGD:
		return map[string]float64{"window": float64(p.Window)}
	case *AEASGD:
		return map[string]float64{"window": float64(p.Window), "rho": p.Rho}
	case *EAMSGD:
		return map[string]float64{"window": float64(p.Window), "rho": p.Rho}
	}
	return map[string]float64{}
}

// LearningRate returns the rate of the optimizer, before any schedule.
func (s *Spec) LearningRate() float64 {
	switch p := s.Optimizer.Params.(type) {
	case *SGD:
		return p.LearningRate
	case *Adam:
		return p.LearningRate
	case *AdamW:
		return p.LearningRate
	case *RMSProp:
		return p.LearningRate
	case *Adagrad:
		return p.LearningRate
	}
	return 0
}
