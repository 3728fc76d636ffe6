package launch

import (
	"fmt"
	"strconv"
	"strings"
)

// A Place is where an engine has put a process, among those that it started together.
type Place struct {
	Engine string // "Slurm", "torchrun", ...
	Job    string // what the engine calls them together; "": it does not say
	Rank   int    // from 0
	Size   int    // of all; 0: not known
	Local  int    // rank among those on this machine; -1: not known
	Host   string // of this machine; "": not known
	First  string // host of rank 0, where a coordinator is to be expected; "": not known
}

// An engine is known by variables of the environment that it gives to what it starts.
// Of those with a "|" one is enough; the first that is set counts.
type engine struct {
	name                                string
	rank, size, local, job, host, first string
	also                                string // must be set, too; "": rank alone tells
	pick                                func(string) string
}

// engines are in the order of asking. One that was started inside another inherits
// the variables of the outer one, so inner ones come first.
//
//	torchrun    https://docs.pytorch.org/docs/stable/elastic/run.html#environment-variables
//	Kubeflow    PET_*: the same, for a torchrun that is still to be started
//	Open MPI    https://docs.open-mpi.org/en/main/tuning-apps/environment-var.html
//	MPICH       PMI_*, and MPI_LOCALRANKID of its process manager Hydra
//	LeaderWorkerSet  https://lws.sigs.k8s.io/docs/reference/labels-annotations-and-environment-variables/
//	Kubernetes  https://kubernetes.io/docs/concepts/workloads/controllers/job/#completion-mode
//	Slurm       https://slurm.schedmd.com/srun.html#SECTION_OUTPUT-ENVIRONMENT-VARIABLES
var engines = []engine{
	{name: "torchrun", rank: "RANK", also: "WORLD_SIZE", size: "WORLD_SIZE", local: "LOCAL_RANK", job: "TORCHELASTIC_RUN_ID",
		first: "MASTER_ADDR"},
	{name: "Kubeflow", rank: "PET_NODE_RANK", size: "PET_NNODES", first: "PET_MASTER_ADDR"},
	{name: "Open MPI", rank: "OMPI_COMM_WORLD_RANK", size: "OMPI_COMM_WORLD_SIZE", local: "OMPI_COMM_WORLD_LOCAL_RANK"},
	{name: "MPICH", rank: "PMI_RANK", size: "PMI_SIZE", local: "MPI_LOCALRANKID"},
	{name: "LeaderWorkerSet", rank: "LWS_WORKER_INDEX", size: "LWS_GROUP_SIZE", first: "LWS_LEADER_ADDRESS"},
	{name: "Kubernetes", rank: "JOB_COMPLETION_INDEX"},
	{name: "Slurm", rank: "SLURM_PROCID", also: "SLURM_STEP_ID", size: "SLURM_STEP_NUM_TASKS|SLURM_NTASKS",
		local: "SLURM_LOCALID", job: "SLURM_JOB_ID", host: "SLURMD_NODENAME",
		first: "SLURM_STEP_NODELIST|SLURM_JOB_NODELIST", pick: FirstHost},
}

// Find returns where an engine has put the process with an environment, which lookup
// looks variables up in; nil: no engine that is known. The error names a variable that
// is not what its engine would say.
func Find(lookup func(string) (string, bool)) (*Place, error) {
	for _, e := range engines {
		rank, ok := lookup(e.rank)
		if _, also := lookup(e.also); !ok || e.also != "" && !also {
			continue
		}
		return e.place(rank, lookup)
	}
	return nil, nil
}

func (e *engine) place(rank string, lookup func(string) (string, bool)) (*Place, error) {
	text := func(names string) (value, name string) {
		for name := range strings.SplitSeq(names, "|") {
			if v, ok := lookup(name); ok && name != "" {
				return v, name
			}
		}
		return "", ""
	}
	number := func(value, name string, least, otherwise int) (int, error) {
		if value == "" && name != e.rank {
			return otherwise, nil
		}
		n, err := strconv.Atoi(value)
		if err != nil || n < least {
			return 0, fmt.Errorf("%s: got %.80q, want a number from %d, as %s sets it", name, value, least, e.name)
		}
		return n, nil
	}
	p := &Place{Engine: e.name}
	var err error
	if p.Rank, err = number(rank, e.rank, 0, 0); err != nil {
		return nil, err
	}
	value, name := text(e.size)
	if strings.Contains(value, ":") { // an elastic team, of 2:4 nodes
		value = ""
	}
	if p.Size, err = number(value, name, 1, 0); err != nil {
		return nil, err
	}
	value, name = text(e.local)
	if p.Local, err = number(value, name, 0, -1); err != nil {
		return nil, err
	}
	if p.Size > 0 && p.Rank >= p.Size {
		return nil, fmt.Errorf("%s: got %d, but there are %d processes, as %s says", e.rank, p.Rank, p.Size, e.name)
	}
	p.Job, _ = text(e.job)
	p.Host, _ = text(e.host)
	p.First, _ = text(e.first)
	if e.pick != nil {
		p.First = e.pick(p.First)
	}
	return p, nil
}

// FirstHost returns the first of the hosts in a list as Slurm writes it, such as
// "n[01-16,20],login1"; "" if there is none.
func FirstHost(list string) string {
	var host strings.Builder
	for rest := list; rest != ""; {
		at := strings.IndexAny(rest, "[,")
		if at < 0 {
			host.WriteString(rest)
			break
		}
		host.WriteString(rest[:at])
		if rest[at] == ',' {
			break
		}
		inside, after, ok := strings.Cut(rest[at+1:], "]")
		if !ok || strings.Contains(inside, "[") {
			return ""
		}
		host.WriteString(inside[:strings.IndexAny(inside+"-", "-,")])
		rest = after
	}
	return host.String()
}

// Device returns the card for the process among those that it sees: those that
// visible, the value of CUDA_VISIBLE_DEVICES, names, or all where it is not set.
// Processes that share a machine get different ones, as long as there are enough.
func (p *Place) Device(visible string, set bool) int {
	local := max(p.Local, 0)
	if !set {
		return local
	}
	return local % (strings.Count(visible, ",") + 1)
}
