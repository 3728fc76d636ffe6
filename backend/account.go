package backend

// An Accountant is a session that keeps an account of what several workers cost.
type Accountant interface {
	Account() Account
}

// An Account says where the time of a run on several workers went.
type Account struct {
	Strategy string          `json:"strategy"`
	Workers  []WorkerAccount `json:"workers"`
	Rows     int64           `json:"rows"` // trained on, by all
	// Seconds of training, from span to span; validation and checkpoints are not in
	// it.
	Seconds float64 `json:"seconds"`
	// OneWorker is the speed of one worker alone, in rows per second, in a probe
	// before the run; 0: not measured. Worth tells whether to believe it.
	OneWorker float64 `json:"one_worker"`
	// SameMachine: all workers share one machine.
	SameMachine bool `json:"same_machine"`
}

// A WorkerAccount is the share of one worker. The seconds add up to the time
// that it was a member of the run.
type WorkerAccount struct {
	Name    string `json:"name"`    // host or --name
	Backend string `json:"backend"` // cpu, gpu
	Rows    int64  `json:"rows"`
	// Compute is spent on gradients and updates, Wait on others, Comm on moving
	// tensors while there was nothing to compute.
	Compute float64 `json:"compute"`
	// Update is the part of Compute that each of them spends on the same update.
	Update   float64 `json:"update,omitempty"`
	Wait     float64 `json:"wait"`
	Comm     float64 `json:"comm"`
	Sent     int64   `json:"sent"` // bytes of tensors
	Received int64   `json:"received"`
	Lost     bool    `json:"lost"`             // was a member, and is no more
	Why      string  `json:"why,omitempty"`    // it was lost, or TookLeave
	Probed   bool    `json:"probed,omitempty"` // OneWorker is its speed
}

// TookLeave is why a worker is no more that had to end, and did so between steps.
const TookLeave = "it was told to end, and left between steps"

// RowsPerSecond returns the speed of all workers together.
func (a Account) RowsPerSecond() float64 {
	if a.Seconds <= 0 {
		return 0
	}
	return float64(a.Rows) / a.Seconds
}

// Left reports whether the worker was not lost, but told to end.
func (x WorkerAccount) Left() bool { return x.Why == TookLeave }
