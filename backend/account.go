package backend

// An Accountant is a session that keeps an account of what several workers cost.
type Accountant interface {
	Account() Account
}

// An Account says where the time of a run on several workers went.
type Account struct {
	Strategy string
	Workers  []WorkerAccount
	Rows     int64   // trained on, by all
	Seconds  float64 // of training, from span to span; validation and checkpoints are not in it
	// OneWorker is the speed of one worker alone, in rows per second, measured
	// before the run; 0: not measured.
	OneWorker float64
	// SameMachine: all workers share one machine.
	SameMachine bool
}

// A WorkerAccount is the share of one worker. The seconds add up to the time
// that it was a member of the run.
type WorkerAccount struct {
	Name    string // host or --name
	Backend string // cpu, gpu
	Rows    int64
	// Compute is spent on gradients and updates, Wait on others, Comm on moving
	// tensors while there was nothing to compute.
	Compute, Wait, Comm float64
	Sent, Received      int64 // bytes of tensors
	Lost                bool  // was a member, and is no more
}

// RowsPerSecond returns the speed of all workers together.
func (a Account) RowsPerSecond() float64 {
	if a.Seconds <= 0 {
		return 0
	}
	return float64(a.Rows) / a.Seconds
}

// SpeedUp returns how many times as fast as one worker they were, or 0 when one
// worker's speed is not known.
func (a Account) SpeedUp() float64 {
	if a.OneWorker <= 0 {
		return 0
	}
	return a.RowsPerSecond() / a.OneWorker
}
