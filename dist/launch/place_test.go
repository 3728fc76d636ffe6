package launch

import (
	"strings"
	"testing"
)

func environment(pairs string) func(string) (string, bool) {
	env := map[string]string{}
	for pair := range strings.FieldsSeq(pairs) {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	return func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	}
}

// TestFind has what the engines set, as their documentation and, of Slurm, a run of
// srun say.
func TestFind(t *testing.T) {
	const slurm = "SLURM_JOB_ID=7 SLURM_STEP_ID=0 SLURM_PROCID=3 SLURM_LOCALID=1 SLURM_NTASKS=4 SLURM_STEP_NUM_TASKS=4 " +
		"SLURMD_NODENAME=n2 SLURM_JOB_NODELIST=n[1-2] SLURM_STEP_NODELIST=n[1-2] "
	for _, test := range []struct {
		env  string
		want *Place
		err  string
	}{
		{env: "HOME=/root RANK=ace", want: nil},
		{env: slurm, want: &Place{"Slurm", "7", 3, 4, 1, "n2", "n1"}},
		{env: "SLURM_JOB_ID=7 SLURM_PROCID=0 SLURM_NTASKS=4", want: nil}, // the batch script itself
		{env: slurm + "RANK=5 LOCAL_RANK=1 WORLD_SIZE=8 MASTER_ADDR=n1 MASTER_PORT=29500 TORCHELASTIC_RUN_ID=r",
			want: &Place{"torchrun", "r", 5, 8, 1, "", "n1"}},
		{env: slurm + "OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_LOCAL_RANK=0",
			want: &Place{"Open MPI", "", 0, 2, 0, "", ""}},
		{env: "PMI_RANK=1 PMI_SIZE=2 MPI_LOCALRANKID=1", want: &Place{"MPICH", "", 1, 2, 1, "", ""}},
		{env: "JOB_COMPLETION_INDEX=2", want: &Place{"Kubernetes", "", 2, 0, -1, "", ""}},
		{env: "PET_NODE_RANK=1 PET_NNODES=2:4 PET_MASTER_ADDR=job-node-0-0.job JOB_COMPLETION_INDEX=1",
			want: &Place{"Kubeflow", "", 1, 0, -1, "", "job-node-0-0.job"}},
		{env: "LWS_WORKER_INDEX=1 LWS_GROUP_SIZE=3 LWS_LEADER_ADDRESS=a-0.a.default",
			want: &Place{"LeaderWorkerSet", "", 1, 3, -1, "", "a-0.a.default"}},

		{env: "JOB_COMPLETION_INDEX=", err: `JOB_COMPLETION_INDEX: got "", want a number from 0, as Kubernetes sets it`},
		{env: "PMI_RANK=-1", err: `PMI_RANK: got "-1", want a number from 0`},
		{env: "PMI_RANK=1 PMI_SIZE=0", err: `PMI_SIZE: got "0", want a number from 1`},
		{env: "PMI_RANK=2 PMI_SIZE=2", err: "PMI_RANK: got 2, but there are 2 processes, as MPICH says"},
		{env: slurm + "SLURM_LOCALID=x", err: `SLURM_LOCALID: got "x"`},
	} {
		got, err := Find(environment(test.env))
		switch {
		case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
			t.Errorf("%s:\ngot error %v, want %s", test.env, err, test.err)
		case test.err == "" && err != nil:
			t.Errorf("%s:\ngot error %v", test.env, err)
		case (got == nil) != (test.want == nil) || got != nil && *got != *test.want:
			t.Errorf("%s:\ngot  %+v\nwant %+v", test.env, got, test.want)
		}
	}
}

func TestFirstHost(t *testing.T) {
	for list, want := range map[string]string{
		"": "", "n1": "n1", "n1,n2": "n1", "n[1-3]": "n1", "n[001-003,7]": "n001", "n[5,7]": "n5",
		"n[1-3]-ib,m": "n1-ib", "rack[0-1]node[08-15]": "rack0node08", "n[1": "", "n[],x": "n",
	} {
		if got := FirstHost(list); got != want {
			t.Errorf("%s: got %q, want %q", list, got, want)
		}
	}
}

func FuzzFirstHost(f *testing.F) {
	f.Add("rack[0-1]node[08-15],x")
	f.Fuzz(func(t *testing.T, list string) {
		if host := FirstHost(list); strings.ContainsAny(host, "[,") || len(host) > len(list) {
			t.Errorf("%q: got %q", list, host)
		}
	})
}

func TestDevice(t *testing.T) {
	for _, test := range []struct {
		local   int
		visible string
		set     bool
		want    int
	}{
		{-1, "", false, 0}, {0, "", false, 0}, {3, "", false, 3},
		{3, "GPU-5", true, 0}, {3, "0,1", true, 1}, {1, "4,5,6", true, 1},
	} {
		p := Place{Local: test.local}
		if got := p.Device(test.visible, test.set); got != test.want {
			t.Errorf("%+v: got %d", test, got)
		}
	}
}
