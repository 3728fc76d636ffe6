// Package spec reads the YAML file that defines a run: data, model, loss,
// optimizer, metrics, train, backend, cluster.
//
// The structs of this package are the one definition of what a file may say. The
// strict decoder, the JSON Schema, configs/README.md and `gespann layers` are made of
// their comments, which document the keys and are copied to docs_gen.go, and of their
// tags:
//
//	yaml    key; fields without one are not read from files
//	default value when the key is absent
//	min,max inclusive bounds; gt, lt exclusive ones
//	enum    comma-separated allowed values
//	req     "true": the key must be present
package spec

//go:generate go test . -run Fresh -update

// A Spec is a validated run.
type Spec struct {
	// What to train on.
	Data Data `yaml:"data" req:"true"`
	// The layers, in order; each takes the previous one's output unless it names its inputs.
	Model []Layer `yaml:"model" req:"true"`
	// What to minimise.
	Loss Choice `yaml:"loss" req:"true"`
	// How to minimise it.
	Optimizer Choice `yaml:"optimizer" default:"adam"`
	// What else to report.
	Metrics []string `yaml:"metrics"`
	// How long, and what to keep.
	Train Train `yaml:"train"`
	// What to run on.
	Backend Backend `yaml:"backend"`
	// How several workers train together, where backend.kind is cluster.
	Cluster Cluster `yaml:"cluster"`
	File    string  `yaml:"-"`

	places   map[string]Pos // by path, where settings were given, for messages
	unheeded []Unheeded     // variables of the environment
}

// A Pos is a place in a file. Line and Col count from 1; 0 is unknown.
type Pos struct {
	File      string
	Line, Col int
}

// A Choice is one kind with its parameters: `adam`, or `adam: {beta_1: 0.8}`.
type Choice struct {
	Kind   string
	Params any // pointer to the struct of the kind, such as *Adam
	Pos    Pos
}

// A Layer is one element of the model. In YAML, the kind is the key of its
// parameters, with name and inputs beside it:
//
//   - conv2d: {filters: 32, kernel_size: 3}
//     name: stem
//     inputs: [input]
type Layer struct {
	Choice `yaml:"-"`
	// Unique name, for inputs, messages and checkpoints. Default: the kind, numbered from the
	// second on (dense, dense_1).
	Name string `yaml:"name"`
	// Names of the layers whose outputs this one takes; 'input' is the data (inside repeat: the
	// block's input). Default: the previous layer.
	Inputs []string `yaml:"inputs"`
	Path   string   `yaml:"-"` // "model[2]", in blocks "model[2].repeat.layers[0]"
}

// Data says what to train on.
type Data struct {
	// Where rows come from.
	Source string `yaml:"source" enum:"digits,mnist,fashion_mnist,idx,csv,npy" req:"true"`
	// Folder with the files of mnist, fashion_mnist or idx. Default for mnist and fashion_mnist:
	// download into the cache directory.
	Dir string `yaml:"dir"`
	// Folder that the relative paths of data are in. Default: that of the file.
	Root string `yaml:"root"`
	// Files and columns, with source csv.
	CSV CSV `yaml:"csv"`
	// Files, with source npy.
	NPY NPY `yaml:"npy"`
	// Rows per gradient.
	BatchSize int `yaml:"batch_size" default:"32" min:"1" max:"1048576"`
	// Fraction of the training rows set aside for validation.
	ValidationSplit float64 `yaml:"validation_split" default:"0" min:"0" lt:"1"`
	// Fraction of all rows set aside for the test, where the source has no test part.
	TestSplit float64 `yaml:"test_split" default:"0" min:"0" lt:"1"`
	// Seed of the rows that validation_split and test_split set aside. train.seed does not move
	// them, so that runs of several seeds are compared on the same rows.
	SplitSeed uint64 `yaml:"split_seed" default:"1"`
	// scale maps features to 0..1: bytes by the largest that the source can hold, other columns by
	// the least and greatest value of the training rows. standard maps each column to mean 0 and
	// deviation 1 over the training rows. Both are computed in float64 from the numbers as they
	// are in the file, and only the result is rounded.
	Normalize string `yaml:"normalize" default:"none" enum:"none,scale,standard"`
	// Turn class labels into one-hot rows, for categorical_crossentropy and regression losses.
	OneHot bool `yaml:"one_hot" default:"false"`
	// Visit the training rows of each epoch in a new order.
	Shuffle bool `yaml:"shuffle" default:"true"`
}

// CSV says which files and columns hold the rows.
type CSV struct {
	// Training file, plain or .gz.
	Path string `yaml:"path"`
	// Test file with the same columns.
	TestPath string `yaml:"test_path"`
	// Encoding of the text. Files that begin with a byte order mark, of UTF-8 or UTF-16, are read
	// by that.
	Encoding string `yaml:"encoding" default:"utf-8" enum:"utf-8,latin-1,windows-1252,utf-16"`
	// Character between fields; \t is a tab.
	Delimiter string `yaml:"delimiter" default:","`
	// Whether the first line names the columns; without it they are named 0, 1, ...
	Header bool `yaml:"header" default:"true"`
	// Column to predict. Default: the last.
	Label string `yaml:"label"`
	// classification reads labels as classes, regression as numbers; auto takes classification for
	// text labels and for the cross-entropy losses.
	Task string `yaml:"task" default:"auto" enum:"auto,classification,regression"`
	// Columns to use. Default: all others.
	Features []string `yaml:"features"`
	// Columns to encode one-hot, or as integer ids when every feature is categorical and the model
	// starts with an embedding. The ids of several columns follow one another, so that one
	// embedding whose input_dim is the sum of their categories serves all. Columns with text must
	// be listed.
	Categorical []string `yaml:"categorical"`
}

// NPY says which array files hold the rows. A .npz file gives several at once as
// file.npz:name.
type NPY struct {
	// Training features, first axis rows.
	X string `yaml:"x"`
	// Training targets.
	Y string `yaml:"y"`
	// Test features.
	TestX string `yaml:"test_x"`
	// Test targets.
	TestY string `yaml:"test_y"`
}

// Train says how long to train and what to keep.
type Train struct {
	// Passes over the training rows.
	Epochs int `yaml:"epochs" default:"10" min:"1"`
	// Seed of initial weights, shuffling and dropout; which rows are held out follows
	// data.split_seed.
	Seed uint64 `yaml:"seed" default:"1"`
	// Batches whose gradients are averaged into one optimizer step, every row counting alike:
	// without batch_normalization and dropout it is the step of one batch of all these rows. What
	// an epoch leaves over is a step of its own at the end of the epoch; moving statistics follow
	// once a step, towards the mean of those of its batches; schedules count steps. Keras's
	// gradient_accumulation_steps differs: what is left over goes to the next epoch's first step,
	// and after the last epoch to none; every batch counts alike, moving statistics follow after
	// each, and schedules count batches.
	Accumulate int `yaml:"accumulate" default:"1" min:"1"`
	// Get the same bits from cpu and from any number of cluster workers: the rows of each step are
	// cut into at least 8 shards, whose gradients are added in a fixed order. Costs some speed
	// where batches are small. batch_normalization is over all shards of a batch, so that those on
	// one machine hold activations and gradients at the same time. For cpu, ref and cluster.
	Deterministic bool `yaml:"deterministic" default:"false"`
	// How the learning rate changes over the steps.
	Schedule Choice `yaml:"schedule" default:"constant"`
	// Stop when the monitored value no longer improves, and put the best weights back.
	EarlyStopping EarlyStopping `yaml:"early_stopping"`
	// How often to save: '2 epochs', '500 steps', or never.
	CheckpointEvery string `yaml:"checkpoint_every" default:"1 epoch"`
	// How many of the latest checkpoints to keep, besides the best.
	KeepCheckpoints int `yaml:"keep_checkpoints" default:"3" min:"1"`
	// Folder for run directories.
	Dir string `yaml:"dir" default:"runs"`
	// Name of the run directory. Default: the file's name without .yaml, numbered from the second
	// run on.
	Name string `yaml:"name"`
}

// EarlyStopping stops a run that no longer improves. Patience 0 switches it off.
type EarlyStopping struct {
	// val_loss, loss, or a metric's name, with val_ for validation.
	Monitor string `yaml:"monitor" default:"val_loss"`
	// Epochs without improvement after which to stop; 0 is off.
	Patience int `yaml:"patience" default:"0" min:"0"`
	// Smallest change that counts as an improvement.
	MinDelta float64 `yaml:"min_delta" default:"0" min:"0"`
}

// Backend says what to run on.
type Backend struct {
	// Backend to use. cpu; gpu, an NVIDIA card; cluster, several workers; auto, the card if there
	// is one to use, else the cluster if cluster.coordinator is set, else the CPU; or ref, slow
	// and plain.
	Kind string `yaml:"kind" default:"cpu"`
	// CPU threads; 0 takes all. Results do not depend on it. The workers that cluster starts share
	// them. Not for gpu.
	Threads int `yaml:"threads" default:"0" min:"0" max:"1024"`
	// Which card, as gespann devices numbers them. Only for gpu and auto.
	Device int `yaml:"device" default:"0" min:"0" max:"1023"`
	// What matrix products and convolutions multiply in: fp32; or, on cards of compute capability
	// 8.0 and up, tf32 (10 bits of mantissa) or bf16 (7 bits). Sums and weights are fp32 in all
	// three. Only for gpu, auto, and workers with a card; the CPU computes in fp32.
	Precision string `yaml:"precision" default:"fp32" enum:"fp32,tf32,bf16"`
	Use       string `yaml:"-"` // the backend that auto has come to mean on this machine; "": Kind
}
