package web

import (
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/dist/server"
	"github.com/gespann/gespann/dist/server/jobs"
	"github.com/gespann/gespann/dist/wire"
)

// noon is when all Views of these tests are.
var noon = time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)

// A fake is a coordinator whose View tests set.
type fake struct {
	mu       sync.Mutex
	view     *server.View
	watchers map[chan struct{}]bool
	specs    map[string]string
	logs     map[string]string
	curves   map[string]*jobs.Curve
}

func newFake(v *server.View) *fake {
	return &fake{
		view: v, watchers: map[chan struct{}]bool{},
		specs: map[string]string{}, logs: map[string]string{}, curves: map[string]*jobs.Curve{},
	}
}

func (f *fake) View() *server.View {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.view
}

// set changes what the coordinator is.
func (f *fake) set(v *server.View) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.view = v
	for ch := range f.watchers {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

func (f *fake) Watch() (<-chan struct{}, func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ch := make(chan struct{}, 1)
	f.watchers[ch] = true
	return ch, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.watchers, ch)
	}
}

// end ends all watches, as a coordinator does that closes.
func (f *fake) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for ch := range f.watchers {
		close(ch)
	}
	clear(f.watchers)
}

// watching returns the number of watches.
func (f *fake) watching() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.watchers)
}

var errNone = errors.New("there is none")

func (f *fake) Curve(id string) (*jobs.Curve, error) {
	if c := f.curves[id]; c != nil {
		return c, nil
	}
	return nil, errNone
}

func (f *fake) Spec(id string) ([]byte, error) {
	if text := f.specs[id]; text != "" {
		return []byte(text), nil
	}
	return nil, errNone
}

func (f *fake) LogTail(id string, bytes int) ([]byte, error) {
	text := f.logs[id]
	if text == "" {
		return nil, errNone
	}
	return []byte(text[max(0, len(text)-bytes):]), nil
}

// emptyView is a coordinator to which nobody has come.
func emptyView() *server.View {
	return &server.View{
		Version: "v0.4.0", Coordinator: "00ff", Started: noon.Add(-90 * time.Second), Time: noon,
		Uptime: 90, Keeps: true, Workers: []server.WorkerView{}, Jobs: []server.JobView{},
	}
}

// runningView is a coordinator in the middle of a job, at a share of it.
func runningView(share float64) *server.View {
	const took = 200
	v := emptyView()
	v.Started, v.Uptime = noon.Add(-5*time.Hour), 5*3600
	v.Workers = []server.WorkerView{
		someWorker("anna", "10.0.0.11:50412", "cpu", "AMD EPYC 9654", 8, share, 0.86),
		someWorker("bert", "10.0.0.12:39120", "cpu", "AMD EPYC 9654", 8, share, 0.84),
		someWorker("cora", "10.0.0.13:41886", "gpu", "NVIDIA H200", 4, share, 0.71),
		someWorker("dora", "10.0.0.14:40222", "cpu", "Intel Xeon 6338", 4, share, 0.62),
	}
	v.Workers[3].State = "silent"
	v.Workers[3].Heard = 2.25
	j := someJob("mnist-cnn-3fa1c0", "mnist-cnn", wire.JobRunning)
	j.Started = noon.Add(-time.Duration(took * share * float64(time.Second)))
	j.Took = took * share
	if share > 0 {
		j.Left = took * (1 - share)
	}
	epochs := share * 10
	j.Epoch, j.Epochs, j.Steps = int(epochs)+1, 10, 422
	j.Step, j.Done = int(422*(epochs-math.Floor(epochs))), int64(422*epochs)
	j.Progress, j.RowsPerSecond, j.Strategy, j.Workers = share, 13640, "sync", 4
	j.Curve = someCurve(epochs)
	j.Latest = map[string]wire.Value{}
	if n := len(j.Curve.Train); n > 0 {
		j.Latest["loss"], j.Latest["accuracy"] = j.Curve.Train[n-1].Values["loss"], j.Curve.Train[n-1].Values["accuracy"]
	}
	if n := len(j.Curve.Validation); n > 0 {
		j.Latest["val_loss"], j.Latest["val_accuracy"] = j.Curve.Validation[n-1].Values["loss"], j.Curve.Validation[n-1].Values["accuracy"]
	}
	j.Account = someAccount(v.Workers, took*share)
	v.Lost = []server.LostWorker{{
		ID: "id-emil", Name: "emil", Address: "10.0.0.15:50110", Backend: "cpu", Job: j.ID,
		State: server.WorkerLost, Time: noon.Add(-3 * time.Minute), Why: "silent for 3.2 s",
	}, {
		ID: "id-fred", Name: "fred", Address: "10.0.0.16:50111", Backend: "cpu",
		State: server.WorkerLeft, Time: noon.Add(-4 * time.Minute), Why: backend.TookLeave,
	}}
	queued := someJob("digits-resnet-77ab01", "digits-resnet", wire.JobQueued)
	queued.Wants, queued.Reason = 6, "waiting for workers: it wants 6, and 4 are connected; jobs that want fewer go first"
	queued.Position, queued.Created = 1, noon.Add(-4*time.Minute)
	v.Jobs = append([]server.JobView{j, queued}, endedJobs()...)
	v.Totals = server.Totals{
		Beats: 72000, Messages: 74123, Commits: 12, TensorBytesIn: 52428800, TensorBytesOut: 104857600,
		WorkersJoined: 5, WorkersLost: 1, WorkersLeft: 1, JobsDone: 1, JobsFailed: 1, JobsCancelled: 1, Rows: 9876543,
	}
	return v
}

func someWorker(name, address, backend, device string, threads int, share, compute float64) server.WorkerView {
	return server.WorkerView{
		ID: "id-" + name, Name: name, Address: address, Host: "host-" + name, Version: "v0.4.0",
		Backend: backend, Device: device, Threads: threads, State: "compute", Job: "mnist-cnn-3fa1c0",
		Since: noon.Add(-3 * time.Hour), Heard: 0.25, RowsPerSecond: math.Round(4000 + 500*compute + 300*math.Sin(40*share+compute*99)),
		Compute: compute, Wait: (1 - compute) * 0.375, Comm: (1 - compute) * 0.625, Seconds: 200 * share,
		Rows: int64(900000 * share * compute), Sent: int64(2.1e9 * share), Received: int64(2.2e9 * share),
	}
}

func someJob(id, name, state string) server.JobView {
	j := server.JobView{}
	j.ID, j.Name, j.State, j.Submitted, j.Created = id, name, state, true, noon.Add(-10*time.Minute)
	return j
}

func endedJobs() []server.JobView {
	failed := someJob("digits-mlp-0b9e44", "digits-mlp", wire.JobFailed)
	failed.Reason = "epoch 3, step 12: the loss is NaN, in layers[2] (dense)\nhint: a smaller optimizer.learning_rate"
	failed.Started, failed.Ended, failed.Epoch, failed.Epochs = noon.Add(-50*time.Minute), noon.Add(-49*time.Minute), 3, 80
	failed.Took = 41 // it waited for workers before
	failed.Progress, failed.Step, failed.Steps, failed.Done, failed.Strategy = 0.03, 12, 20, 52, "adag"
	failed.Latest = map[string]wire.Value{"loss": wire.Value(math.NaN())}
	failed.Curve = &jobs.Curve{}
	for i, v := range []float64{2.3, 1.9, 8.5, 310, math.NaN()} {
		failed.Curve.AddTrain(jobs.Point{Step: int64(10 * (i + 1)), Epoch: float64(i+1) / 2, Rows: 640,
			Values: map[string]wire.Value{"loss": wire.Value(v)}})
	}
	done := someJob("mnist-mlp-5512fe", "mnist-mlp", wire.JobDone)
	done.Started, done.Ended, done.Epoch, done.Epochs, done.Progress = noon.Add(-2*time.Hour), noon.Add(-115*time.Minute), 5, 5, 1
	done.Took, done.Workers = 300, 4
	done.Latest = map[string]wire.Value{"loss": 0.021, "val_loss": 0.065, "test_loss": 0.0602, "test_accuracy": 0.9821}
	cancelled := someJob("mnist-cnn-aa01d2", "mnist-cnn, wide", wire.JobCancelled)
	cancelled.Started, cancelled.Ended, cancelled.Epoch = noon.Add(-3*time.Hour), noon.Add(-170*time.Minute), 2
	cancelled.Took, cancelled.Workers = 600, 2
	cancelled.Latest = map[string]wire.Value{"loss": 0.31, "val_loss": 0.29, "val_accuracy": 0.9134}
	return []server.JobView{failed, done, cancelled}
}

// someCurve is a training of so many epochs, always the same.
func someCurve(epochs float64) *jobs.Curve {
	random := rand.New(rand.NewPCG(1, 2))
	c := &jobs.Curve{}
	round := func(v float64) wire.Value { return wire.Value(math.Round(v*1e4) / 1e4) }
	const perEpoch = 20
	for i := 1; float64(i) <= epochs*perEpoch; i++ {
		at := float64(i) / perEpoch
		loss := 0.06 + 2.1*math.Exp(-1.7*at) + 0.28*math.Exp(-at/3) + 0.02*random.NormFloat64()*math.Exp(-at/6)
		c.AddTrain(jobs.Point{Step: int64(i * 21), Epoch: at, Rows: 2688, Values: map[string]wire.Value{
			"loss": round(loss), "accuracy": round(1 - 0.28*loss - 0.004*random.Float64())}})
		if i%perEpoch == 0 {
			val := 0.08 + 1.4*math.Exp(-1.6*at) + 0.16*math.Exp(-at/2.5) + 0.006*random.NormFloat64()
			c.AddValidation(jobs.Point{Step: int64(i * 21), Epoch: at, Rows: 6000, Values: map[string]wire.Value{
				"loss": round(val), "accuracy": round(1 - 0.25*val)}})
		}
	}
	return c
}

func someAccount(workers []server.WorkerView, seconds float64) *backend.Account {
	a := &backend.Account{Strategy: "sync", Seconds: seconds, OneWorker: 4400}
	for _, w := range workers {
		a.Workers = append(a.Workers, backend.WorkerAccount{
			Name: w.Name, Backend: w.Backend, Rows: w.Rows, Compute: w.Compute * seconds,
			Wait: w.Wait * seconds, Comm: w.Comm * seconds, Sent: w.Sent, Received: w.Received,
		})
		a.Rows += w.Rows
	}
	return a
}

const someSpec = `data: {source: mnist, normalize: scale, batch_size: 128}
model:
  - conv2d: {filters: 32, kernel_size: 3, activation: relu}
  - max_pooling2d
  - flatten
  - dropout: 0.5
  - dense: {units: 10, activation: softmax}
loss: sparse_categorical_crossentropy
optimizer: adam
metrics: [accuracy]
train: {epochs: 10}
cluster: {strategy: sync}
`

const someLog = `2026-03-02T11:58:40Z starting
2026-03-02T11:58:41Z 4 workers
2026-03-02T11:59:00Z epoch 1/10  loss 0.5354  accuracy 0.8445  val_loss 0.1846  31k rows/s
2026-03-02T11:59:20Z epoch 2/10  loss 0.1886  accuracy 0.9479  val_loss 0.1241  32k rows/s
`

// running is a coordinator in the middle of a job, with all that belongs to it.
func running(share float64) *fake {
	f := newFake(runningView(share))
	f.specs["mnist-cnn-3fa1c0"], f.logs["mnist-cnn-3fa1c0"] = someSpec, someLog
	f.specs["digits-mlp-0b9e44"], f.logs["digits-mlp-0b9e44"] = someSpec, someLog
	return f
}

// nasty is a name that wants to be more than a name.
const nasty = `"><script>alert(1)</script>'\` + "\n{{.}}\x1b[31m\u202e"

// hostileView has nasty names everywhere that others choose.
func hostileView() *server.View {
	v := runningView(0.25)
	v.Warning, v.Version = nasty, nasty
	w := &v.Workers[0]
	w.Name, w.Address, w.Backend, w.Device, w.State, w.Version = nasty, nasty, nasty, nasty, nasty, nasty
	w.Compute, w.Wait, w.Comm = math.Inf(1), math.NaN(), -1
	w.RowsPerSecond, w.Heard = math.NaN(), math.Inf(1)
	v.Workers[1].ID, v.Workers[1].Name = v.Workers[2].ID, v.Workers[2].Name
	j := &v.Jobs[0]
	j.Name, j.Reason, j.Strategy, j.State = nasty, nasty, nasty, nasty
	j.Progress, j.RowsPerSecond = math.NaN(), math.Inf(-1)
	j.Latest[nasty] = wire.Value(math.Inf(1))
	for _, p := range j.Curve.Train {
		p.Values[nasty] = 1e308
	}
	j.Curve.Train[0].Values[nasty] = -1e308
	j.Account.Workers[0].Name = nasty
	v.Lost[0].Name, v.Lost[0].Why, v.Lost[0].Job = nasty, nasty, nasty
	v.Jobs[1].Name, v.Jobs[2].Reason, v.Jobs[2].Name = nasty, nasty, nasty
	return v
}
