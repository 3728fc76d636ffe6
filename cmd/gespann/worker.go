package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/cpu"
	"github.com/gespann/gespann/backend/cpu/vec"
	"github.com/gespann/gespann/backend/cuda"
	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/collective"
	"github.com/gespann/gespann/dist/launch"
	"github.com/gespann/gespann/dist/rpc"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/dist/worker"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/train"
	"github.com/gespann/gespann/model"
	"github.com/gespann/gespann/model/spec"
)

// workerFlags are what a worker is told.
type workerFlags struct {
	coordinator, backend, name, dataDir, listen string
	metrics                                     string // address; "": none
	threads, device                             int
	roots                                       []string
	trust                                       trustFlags
	child, invited, once, withParent            bool
	patience                                    time.Duration
	invitation                                  *rpc.Trust    // nil: nobody has invited it
	place                                       *launch.Place // nil: no engine has started it
	proven                                      bool          // the coordinator is of this account
}

func newWorker(t terminal) *cobra.Command { return newWorkerWith(t, new(workerFlags)) }

func newWorkerWith(t terminal, f *workerFlags) *cobra.Command {
	c := &cobra.Command{
		Use:   "worker",
		Short: "Train what a coordinator says",
		Long: `Worker connects to a coordinator and trains with others, on the CPU or a card of
this machine, until it is interrupted. When the coordinator is away, it waits for
it and connects again.

Interrupted, or told to end by SIGTERM, it leaves after the step at hand, so that
nobody has to repeat one: within 20 s.

Slurm, Kubernetes, MPI and torchrun tell what they start where it is: name, card
and, where they know it, the coordinator's machine are theirs then, unless flags
say otherwise, and the worker ends with the process that has started it.

A job's rows come from the coordinator, or from this machine where it has the
same ones. Files are read below the folders of --data-root and --data-dir only:
without them, none. For a coordinator of its own account on this machine, and
jobs of that account, a worker reads any file.`,
		Example: `  gespann worker --coordinator trainer:7077
  gespann worker --coordinator trainer:7077 --backend gpu --device 1
  gespann worker --coordinator trainer:7077 --threads 4 --data-dir /shared/mnist
  srun gespann worker --once                    # the coordinator is on the first node`,
		Args: args(0, 0, "none"),
		RunE: func(c *cobra.Command, _ []string) error {
			if f.invited {
				if err := f.accept(&t); err != nil {
					return err
				}
			}
			if f.child {
				return asChild(c.Context(), t, f.coordinator, func(ctx context.Context, leave <-chan struct{}) error {
					return work(ctx, t, *f, leave)
				})
			}
			if err := f.placed(c.Flags()); err != nil {
				return err
			}
			return untilTold(c.Context(), t.err, f.withParent, func(ctx context.Context, leave <-chan struct{}) error {
				return work(ctx, t, *f, leave)
			})
		},
	}
	c.Flags().StringVar(&f.coordinator, "coordinator", coordinatorFromEnv(), "address of the coordinator, host:port or unix:path")
	c.Flags().StringVar(&f.backend, "backend", kindAuto, "what to train on: cpu, gpu, or auto, the card if there is one to use")
	c.Flags().IntVar(&f.threads, "threads", 0, "CPU threads; 0 takes all")
	c.Flags().IntVar(&f.device, "device", 0, "which card, as gespann devices numbers them")
	c.Flags().StringVar(&f.name, "name", "", "name for people (default the machine's, and its rank or process ID)")
	c.Flags().BoolVar(&f.once, "once", false, "end with the first job, with exit code 0")
	c.Flags().DurationVar(&f.patience, "patience", 0, "end with an error when the coordinator is away for so `long`, such as 10m; 0 waits for ever")
	c.Flags().BoolVar(&f.withParent, "with-parent", false, "leave when the process that has started it is gone")
	c.Flags().StringVar(&f.dataDir, "data-dir", "", "`folder` with the files of jobs: in place of data.dir, and for relative paths; also a --data-root")
	c.Flags().StringArrayVar(&f.roots, "data-root", nil, "`folder` that jobs of other accounts may read files in; once for each")
	c.Flags().StringVar(&f.listen, "listen", "", "`host:port` for other workers (default any port, on the way to the coordinator)")
	c.Flags().StringVar(&f.metrics, "metrics", "", "`host:port` of /metrics, /healthz and /readyz; a port alone is for this machine (default none)")
	f.trust.add(c)
	addLogFormat(c)
	c.Flags().BoolVar(&f.child, "child", false, "end when standard input does")
	c.Flags().BoolVar(&f.invited, "invited", false, "read where and whose the coordinator is from standard input")
	for _, name := range []string{"child", "invited"} {
		if err := c.Flags().MarkHidden(name); err != nil {
			panic(err)
		}
	}
	return c
}

// placed finds out where an engine has put this worker, for what flags do not say.
func (f *workerFlags) placed(flags *pflag.FlagSet) (err error) {
	if f.place, err = launch.Find(os.LookupEnv); err != nil || f.place == nil {
		return err
	}
	if !flags.Changed("with-parent") {
		f.withParent = true
	}
	if !flags.Changed("device") {
		f.device = f.place.Device(os.LookupEnv("CUDA_VISIBLE_DEVICES"))
	}
	_, told := os.LookupEnv("GESPANN_CLUSTER_COORDINATOR")
	if f.place.First != "" && !told && !flags.Changed("coordinator") {
		_, port, _ := net.SplitHostPort(defaultCoordinator)
		f.coordinator = net.JoinHostPort(f.place.First, port)
	}
	return nil
}

// call returns the worker's name: with what tells those of one machine apart.
func (f *workerFlags) call() (string, error) {
	host, err := os.Hostname()
	if f.place == nil {
		return fmt.Sprintf("%s-%d", host, os.Getpid()), err
	}
	return fmt.Sprintf("%s-%d", cmp.Or(f.place.Host, host), f.place.Rank), err
}

// settleName calls the worker something, unless it has a name.
func (f *workerFlags) settleName() (err error) {
	if f.name == "" {
		f.name, err = f.call()
	}
	return err
}

// work serves the coordinator until ctx ends, or it has left.
func work(ctx context.Context, t terminal, f workerFlags, leave <-chan struct{}) error {
	if err := f.settleName(); err != nil {
		return err
	}
	t.call(f.name)
	log := newLog(t.err)
	reader, err := f.reader(ctx, log)
	if err != nil {
		return err
	}
	device, err := f.settle(ctx)
	if err != nil {
		return err
	}
	reader.name = f.name
	trust, err := f.trustOf()
	if err != nil {
		return err
	}
	f.proven = trust.ProvesAccount(f.coordinator)
	peers, err := f.peers(ctx, trust, leave, log)
	if err != nil || peers == nil {
		return err
	}
	defer peers.Close()
	watched := new(worker.Monitor)
	shown, err := f.show(t, watched, log)
	if err != nil {
		return err
	}
	defer shown()
	return worker.Run(ctx, worker.Options{
		Monitor: watched,
		Dial: func(ctx context.Context) (dist.Conn, error) {
			return rpc.Dial(ctx, f.coordinator, rpc.Worker, trust)
		},
		Peers: peers, Host: peers.Host(),
		Name: f.name, Version: moduleVersion(), Backend: f.backend, Device: device, Threads: f.threads,
		Load: reader.load, Open: f.open, OneJob: f.once, Patience: f.patience, Leave: leave,
		Loops: collective.Loops{
			Add:    func(sum, x []float32) { vec.Add(sum, sum, x) },
			ToBF16: vec.ToBF16, FromBF16: vec.FromBF16, AddBF16: vec.AddBF16,
		},
		Log: log,
	})
}

// peers opens the ports for other workers. Those are on the way to the coordinator, whose
// name an engine may give only when it has started it: who is patient waits for that. It
// returns nil when it was told to leave meanwhile.
func (f *workerFlags) peers(ctx context.Context, trust rpc.Trust, leave <-chan struct{}, log *slog.Logger) (*rpc.Peers, error) {
	for began := time.Now(); ; {
		peers, err := rpc.NewPeers(rpc.PeerOptions{Coordinator: f.coordinator, Listen: f.listen, Trust: trust})
		var unknown *net.DNSError
		if !errors.As(err, &unknown) || time.Since(began) >= f.patience {
			return peers, err
		}
		log.Info("connecting again", "in", nameDelay, "because", err)
		select {
		case <-time.After(nameDelay):
		case <-leave:
			return nil, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// nameDelay is how long a name that is unknown is not asked for.
const nameDelay = time.Second

// settle finds out what to train on, and returns its name. When that is a card and
// this program has no CUDA, the one that has takes over.
func (f *workerFlags) settle(ctx context.Context) (device string, err error) {
	if err := f.settleName(); err != nil {
		return "", err
	}
	switch f.backend {
	case kindCPU:
	case kindGPU, kindAuto:
		survey, _, err := ask(ctx, f.device)
		var card *cuda.Card
		if err == nil {
			card, err = survey.Card(f.device)
		}
		switch {
		case ctx.Err() != nil:
			return "", ctx.Err()
		case err == nil && !cuda.Built:
			return "", handOver()
		case err == nil:
			f.backend, f.threads = kindGPU, 1
			return card.Name, nil
		case f.backend == kindGPU:
			return "", advised(err)
		}
		f.backend = kindCPU
	default:
		return "", usagef("--backend: got %q, want cpu, gpu or auto", f.backend)
	}
	if f.threads == 0 {
		f.threads = runtime.GOMAXPROCS(0)
	}
	return processor(), nil
}

// processor returns the name of the processor.
func processor() string {
	file, err := os.Open("/proc/cpuinfo")
	if err == nil {
		defer file.Close()
		for lines := bufio.NewScanner(file); lines.Scan(); {
			if key, name, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
				return strings.TrimSpace(name)
			}
		}
	}
	return runtime.GOARCH + ", " + cpu.Kernels() + " kernels"
}

// parseJob reads the spec of a job.
func parseJob(text []byte) (*spec.Spec, error) { return train.ParseSpec("job", text, spec.Options{}) }

// open builds the model of a job and opens the backend.
func (f *workerFlags) open(ctx context.Context, job wire.Job, set *data.Set) (backend.Session, error) {
	s, err := parseJob(job.Spec)
	if err != nil {
		return nil, err
	}
	m, err := model.Build(s, input(&set.Prep))
	if err != nil {
		return nil, err
	}
	if err := worker.CheckVars(job.Vars, m.Vars()); err != nil {
		return nil, err
	}
	precision := s.Backend.Precision
	switch {
	case f.backend == kindCPU && precision == "tf32":
		return nil, fmt.Errorf("backend.precision is tf32, but worker %s computes in fp32 or bf16, on its CPU", f.name)
	case f.backend == kindGPU && job.Shards > 0:
		return nil, fmt.Errorf("train.deterministic is for CPUs, but worker %s has a card\nhint: gespann worker --backend cpu", f.name)
	}
	b, err := backend.Lookup(f.backend)
	if err != nil {
		return nil, err
	}
	session, err := b.Open(ctx, backend.Job{
		Spec: job.Spec, Programs: m, Data: set, Seed: job.Seed,
		BatchSize: job.BatchSize, Accumulate: job.Accumulate, Shuffle: job.Shuffle, Shards: job.Shards,
		Threads: f.threads, Device: f.device, Precision: precision,
	})
	if err != nil && !f.trusts(&job) {
		err = data.Conceal(err)
	}
	return session, err
}
