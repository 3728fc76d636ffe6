// Package spec reads the YAML file that defines a run: data, model, loss,
// optimizer, metrics, train, backend, cluster.
//
// The structs of this package are the one definition of what a file may say.
// Their tags give the defaults, bounds and documentation from which the strict
// decoder, the JSON Schema, configs/README.md and `gespann layers` are made:
//
//	yaml    key; fields without one are not read from files
//	doc     one sentence for the reference
//	default value when the key is absent
//	min,max inclusive bounds; gt, lt exclusive ones
//	enum    comma-separated allowed values
//	req     "true": the key must be present
package spec

// A Spec is a validated run.
type Spec struct {
	Data      Data     `yaml:"data" doc:"What to train on." req:"true"`
	Model     []Layer  `yaml:"model" doc:"The layers, in order; each takes the previous one's output unless it names its inputs." req:"true"`
	Loss      Choice   `yaml:"loss" doc:"What to minimise." req:"true"`
	Optimizer Choice   `yaml:"optimizer" doc:"How to minimise it." default:"adam"`
	Metrics   []string `yaml:"metrics" doc:"What else to report."`
	Train     Train    `yaml:"train" doc:"How long, and what to keep."`
	Backend   Backend  `yaml:"backend" doc:"What to run on."`
	Cluster   Cluster  `yaml:"cluster" doc:"How several workers train together, where backend.kind is cluster."`
	File      string   `yaml:"-"`

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
	Name   string   `yaml:"name" doc:"Unique name, for inputs, messages and checkpoints. Default: the kind, numbered from the second on (dense, dense_1)."`
	Inputs []string `yaml:"inputs" doc:"Names of the layers whose outputs this one takes; 'input' is the data (inside repeat: the block's input). Default: the previous layer."`
	Path   string   `yaml:"-"` // "model[2]", in blocks "model[2].repeat.layers[0]"
}

// Data says what to train on.
type Data struct {
	Source          string  `yaml:"source" doc:"Where rows come from." enum:"digits,mnist,fashion_mnist,idx,csv,npy" req:"true"`
	Dir             string  `yaml:"dir" doc:"Folder with the files of mnist, fashion_mnist or idx. Default for mnist and fashion_mnist: download into the cache directory."`
	Root            string  `yaml:"root" doc:"Folder that the relative paths of data are in. Default: that of the file."`
	CSV             CSV     `yaml:"csv" doc:"Files and columns, with source csv."`
	NPY             NPY     `yaml:"npy" doc:"Files, with source npy."`
	BatchSize       int     `yaml:"batch_size" doc:"Rows per gradient." default:"32" min:"1" max:"1048576"`
	ValidationSplit float64 `yaml:"validation_split" doc:"Fraction of the training rows set aside for validation." default:"0" min:"0" lt:"1"`
	TestSplit       float64 `yaml:"test_split" doc:"Fraction of all rows set aside for the test, where the source has no test part." default:"0" min:"0" lt:"1"`
	SplitSeed       uint64  `yaml:"split_seed" doc:"Seed of the rows that validation_split and test_split set aside. train.seed does not move them, so that runs of several seeds are compared on the same rows." default:"1"`
	Normalize       string  `yaml:"normalize" doc:"scale maps features to 0..1: bytes by the largest that the source can hold, other columns by the least and greatest value of the training rows. standard maps each column to mean 0 and deviation 1 over the training rows. Both are computed in float64 from the numbers as they are in the file, and only the result is rounded." default:"none" enum:"none,scale,standard"`
	OneHot          bool    `yaml:"one_hot" doc:"Turn class labels into one-hot rows, for categorical_crossentropy and regression losses." default:"false"`
	Shuffle         bool    `yaml:"shuffle" doc:"Visit the training rows of each epoch in a new order." default:"true"`
}

// CSV says which files and columns hold the rows.
type CSV struct {
	Path        string   `yaml:"path" doc:"Training file, plain or .gz."`
	TestPath    string   `yaml:"test_path" doc:"Test file with the same columns."`
	Encoding    string   `yaml:"encoding" doc:"Encoding of the text. Files that begin with a byte order mark, of UTF-8 or UTF-16, are read by that." default:"utf-8" enum:"utf-8,latin-1,windows-1252,utf-16"`
	Delimiter   string   `yaml:"delimiter" doc:"Character between fields; \\t is a tab." default:","`
	Header      bool     `yaml:"header" doc:"Whether the first line names the columns; without it they are named 0, 1, ..." default:"true"`
	Label       string   `yaml:"label" doc:"Column to predict. Default: the last."`
	Task        string   `yaml:"task" doc:"classification reads labels as classes, regression as numbers; auto takes classification for text labels and for the cross-entropy losses." default:"auto" enum:"auto,classification,regression"`
	Features    []string `yaml:"features" doc:"Columns to use. Default: all others."`
	Categorical []string `yaml:"categorical" doc:"Columns to encode one-hot, or as integer ids when every feature is categorical and the model starts with an embedding. The ids of several columns follow one another, so that one embedding whose input_dim is the sum of their categories serves all. Columns with text must be listed."`
}

// NPY says which array files hold the rows. A .npz file gives several at once as
// file.npz:name.
type NPY struct {
	X     string `yaml:"x" doc:"Training features, first axis rows."`
	Y     string `yaml:"y" doc:"Training targets."`
	TestX string `yaml:"test_x" doc:"Test features."`
	TestY string `yaml:"test_y" doc:"Test targets."`
}

// Train says how long to train and what to keep.
type Train struct {
	Epochs          int           `yaml:"epochs" doc:"Passes over the training rows." default:"10" min:"1"`
	Seed            uint64        `yaml:"seed" doc:"Seed of initial weights, shuffling and dropout; which rows are held out follows data.split_seed." default:"1"`
	Accumulate      int           `yaml:"accumulate" doc:"Batches whose gradients are averaged into one optimizer step, every row counting alike: without batch_normalization and dropout it is the step of one batch of all these rows. What an epoch leaves over is a step of its own at the end of the epoch; moving statistics follow once a step, towards the mean of those of its batches; schedules count steps. Keras's gradient_accumulation_steps differs: what is left over goes to the next epoch's first step, and after the last epoch to none; every batch counts alike, moving statistics follow after each, and schedules count batches." default:"1" min:"1"`
	Deterministic   bool          `yaml:"deterministic" doc:"Get the same bits from cpu and from any number of cluster workers: the rows of each step are cut into at least 8 shards, whose gradients are added in a fixed order. Costs some speed where batches are small. batch_normalization is over all shards of a batch, so that those on one machine hold activations and gradients at the same time. For cpu, ref and cluster." default:"false"`
	Schedule        Choice        `yaml:"schedule" doc:"How the learning rate changes over the steps." default:"constant"`
	EarlyStopping   EarlyStopping `yaml:"early_stopping" doc:"Stop when the monitored value no longer improves, and put the best weights back."`
	CheckpointEvery string        `yaml:"checkpoint_every" doc:"How often to save: '2 epochs', '500 steps', or never." default:"1 epoch"`
	KeepCheckpoints int           `yaml:"keep_checkpoints" doc:"How many of the latest checkpoints to keep, besides the best." default:"3" min:"1"`
	Dir             string        `yaml:"dir" doc:"Folder for run directories." default:"runs"`
	Name            string        `yaml:"name" doc:"Name of the run directory. Default: the file's name without .yaml, numbered from the second run on."`
}

// EarlyStopping stops a run that no longer improves. Patience 0 switches it off.
type EarlyStopping struct {
	Monitor  string  `yaml:"monitor" doc:"val_loss, loss, or a metric's name, with val_ for validation." default:"val_loss"`
	Patience int     `yaml:"patience" doc:"Epochs without improvement after which to stop; 0 is off." default:"0" min:"0"`
	MinDelta float64 `yaml:"min_delta" doc:"Smallest change that counts as an improvement." default:"0" min:"0"`
}

// Backend says what to run on.
type Backend struct {
	Kind      string `yaml:"kind" doc:"Backend to use. cpu; gpu, an NVIDIA card; cluster, several workers; auto, the card if there is one to use, else the cluster if cluster.coordinator is set, else the CPU; or ref, slow and plain." default:"cpu"`
	Threads   int    `yaml:"threads" doc:"CPU threads; 0 takes all. Results do not depend on it. The workers that cluster starts share them. Not for gpu." default:"0" min:"0" max:"1024"`
	Device    int    `yaml:"device" doc:"Which card, as gespann devices numbers them. Only for gpu and auto." default:"0" min:"0" max:"1023"`
	Precision string `yaml:"precision" doc:"What the factors of matrix products and convolutions are rounded to: fp32; bf16 (7 bits of mantissa); or tf32 (10 bits). Sums and weights are fp32 in all three. Cards need compute capability 8.0 for bf16 and tf32, and are faster in them. A CPU has fp32 and bf16; it is faster in bf16 only where gespann devices says by AVX512_BF16, else a little slower. Convolutions in groups of fewer than 8 channels stay in fp32." default:"fp32" enum:"fp32,tf32,bf16"`
	Use       string `yaml:"-"` // the backend that auto has come to mean on this machine; "": Kind
}
