package spec

// Layers lists the layer kinds by their YAML key. A new layer is a struct here
// and a builder in package model.
var Layers = map[string]Kind{
	"dense":                    {func() any { return new(Dense) }, "Fully connected: y = activation(x·kernel + bias), over the last axis."},
	"activation":               {func() any { return new(Activation) }, "Elementwise activation, or softmax over the last axis."},
	"dropout":                  {func() any { return new(Dropout) }, "Sets a random fraction of the inputs to 0 in training and scales the others up."},
	"flatten":                  {func() any { return new(Flatten) }, "Makes each row a vector."},
	"reshape":                  {func() any { return new(Reshape) }, "Gives each row another shape of the same size."},
	"conv2d":                   {func() any { return new(Conv2D) }, "2-D convolution over rows of [height, width, channels]."},
	"max_pooling2d":            {func() any { return new(Pool2D) }, "Maximum over windows."},
	"average_pooling2d":        {func() any { return new(Pool2D) }, "Mean over windows; padding does not count."},
	"global_average_pooling2d": {func() any { return new(GlobalAveragePooling2D) }, "Mean over height and width."},
	"batch_normalization":      {func() any { return new(BatchNormalization) }, "Normalises each channel over the batch, whoever computes which of its rows; running statistics at inference. A batch of one row, the last of an epoch too, is an error where it has one value per channel. With train.accumulate each batch is by itself, and the running statistics follow the mean of those of a step, once."},
	"layer_normalization":      {func() any { return new(LayerNormalization) }, "Normalises each row over the last axis."},
	"embedding":                {func() any { return new(Embedding) }, "Looks up a trained vector for each integer id."},
	"add":                      {func() any { return new(AddLayers) }, "Sum of its inputs, which have one shape."},
	"concatenate":              {func() any { return new(Concatenate) }, "Joins its inputs along an axis."},
	"repeat":                   {func() any { return new(Repeat) }, "A block of layers, several times in a row."},
}

// Losses lists the losses. Cross-entropies work on logits: a final softmax or
// sigmoid is folded into them, so they are stable for any finite logits.
var Losses = map[string]Kind{
	"sparse_categorical_crossentropy": {func() any { return new(NoParams) }, "-log of the probability of the labelled class; softmax or logits out, integer labels."},
	"categorical_crossentropy":        {func() any { return new(NoParams) }, "Cross-entropy with rows of probabilities, such as one-hot labels."},
	"binary_crossentropy":             {func() any { return new(NoParams) }, "Cross-entropy of independent yes/no outputs; sigmoid or logits out."},
	"mean_squared_error":              {func() any { return new(NoParams) }, "Mean of (y - target)²."},
	"mean_absolute_error":             {func() any { return new(NoParams) }, "Mean of |y - target|."},
	"huber":                           {func() any { return new(Huber) }, "Squared near the target, absolute far from it."},
}

// Optimizers lists the optimisers, with Keras's parameter names and defaults.
var Optimizers = map[string]Kind{
	"sgd":     {func() any { return new(SGD) }, "Gradient descent: minus learning_rate times the gradient, with momentum if wanted."},
	"adam":    {func() any { return new(Adam) }, "Steps scaled by running means of the gradient and its square: Kingma and Ba, 2015."},
	"adamw":   {func() any { return new(AdamW) }, "Adam with decoupled weight decay: Loshchilov and Hutter, 2019."},
	"rmsprop": {func() any { return new(RMSProp) }, "Steps scaled by a running mean of the squared gradient: Hinton, 2012."},
	"adagrad": {func() any { return new(Adagrad) }, "Steps scaled by the sum of the squared gradients: Duchi et al., 2011."},
}

// Schedules lists the learning-rate schedules; each may start with a linear
// warm-up from 0.
var Schedules = map[string]Kind{
	"constant":          {func() any { return new(Constant) }, "The optimizer's learning rate throughout."},
	"step":              {func() any { return new(StepDecay) }, "The rate times factor after every step_size steps."},
	"exponential":       {func() any { return new(Exponential) }, "The rate times decay_rate^(step/decay_steps)."},
	"cosine":            {func() any { return new(Cosine) }, "Half a cosine from the rate down to alpha·rate: Loshchilov and Hutter, 2017."},
	"reduce_on_plateau": {func() any { return new(ReduceOnPlateau) }, "The rate times factor when the monitored value has stopped improving."},
}

// Metrics lists the metrics and what each reports.
var Metrics = map[string]string{
	"accuracy":            "Fraction of rows whose largest output is the labelled class; for one sigmoid output, split at one half.",
	"top_k_accuracy":      "Fraction of rows whose class is among the k largest outputs: five, or as many as a number in place of k says, such as top_3_accuracy.",
	"mean_absolute_error": "Mean of |y - target|, where y is what predict writes: with a cross-entropy, probabilities, also if the model leaves the activation to the loss.",
}

// A Kind is one choice: its parameters and what it is.
type Kind struct {
	New func() any // pointer to a zero parameter struct
	Doc string
}

// NoParams is for kinds without parameters.
type NoParams struct{}

type (
	// Dense is a fully connected layer.
	Dense struct {
		// Size of the output.
		Units int `yaml:"units" req:"true" min:"1" max:"2147483647"`
		// Applied to the output.
		Activation string `yaml:"activation" default:"linear" enum:"@activation"`
		// Whether to add a bias.
		UseBias bool `yaml:"use_bias" default:"true"`
		// Initial kernel.
		KernelInitializer string `yaml:"kernel_initializer" default:"glorot_uniform" enum:"@initializer"`
		// Initial bias.
		BiasInitializer string `yaml:"bias_initializer" default:"zeros" enum:"@initializer"`
	}
	// Activation is an activation on its own.
	Activation struct {
		// Which one.
		Kind string `yaml:"kind" req:"true" enum:"@activation"`
		// Slope of leaky_relu for negative inputs (default 0.2), or scale of elu (default 1).
		Alpha *float64 `yaml:"alpha"`
	}
	// Dropout drops inputs in training.
	Dropout struct {
		// Fraction to drop.
		Rate float64 `yaml:"rate" req:"true" min:"0" lt:"1"`
		// Added to the run's seed.
		Seed uint64 `yaml:"seed" default:"0"`
	}
	// Flatten makes each row a vector.
	Flatten struct{}
	// Reshape gives each row another shape.
	Reshape struct {
		// Shape of a row; one -1 takes what is left.
		TargetShape []int `yaml:"target_shape" req:"true"`
	}
	// Conv2D is a 2-D convolution.
	Conv2D struct {
		// Output channels.
		Filters int `yaml:"filters" req:"true" min:"1" max:"2147483647"`
		// Height and width of the window; one number for both.
		KernelSize Pair `yaml:"kernel_size" req:"true" min:"1"`
		// Steps of the window.
		Strides Pair `yaml:"strides" default:"1" min:"1"`
		// valid: none; same: zeros so that the output has ceil(input/stride) positions.
		Padding string `yaml:"padding" default:"valid" enum:"valid,same"`
		// Distance between the taps of the window.
		DilationRate Pair `yaml:"dilation_rate" default:"1" min:"1"`
		// Parts into which channels and filters are split.
		Groups int `yaml:"groups" default:"1" min:"1"`
		// Applied to the output.
		Activation string `yaml:"activation" default:"linear" enum:"@activation"`
		// Whether to add a bias.
		UseBias bool `yaml:"use_bias" default:"true"`
		// Initial kernel.
		KernelInitializer string `yaml:"kernel_initializer" default:"glorot_uniform" enum:"@initializer"`
		// Initial bias.
		BiasInitializer string `yaml:"bias_initializer" default:"zeros" enum:"@initializer"`
	}
	// Pool2D is max or average pooling.
	Pool2D struct {
		// Height and width of the window.
		PoolSize Pair `yaml:"pool_size" default:"2" min:"1"`
		// Steps of the window. Default: pool_size.
		Strides Pair `yaml:"strides" min:"1"`
		// As for conv2d.
		Padding string `yaml:"padding" default:"valid" enum:"valid,same"`
	}
	// GlobalAveragePooling2D averages over height and width.
	GlobalAveragePooling2D struct{}
	// BatchNormalization normalises channels over the batch. A batch must have more than
	// one value in each channel.
	BatchNormalization struct {
		// Of the running statistics.
		Momentum float64 `yaml:"momentum" default:"0.99" min:"0" lt:"1"`
		// Added to the variance.
		Epsilon float64 `yaml:"epsilon" default:"0.001" gt:"0"`
	}
	// LayerNormalization normalises rows.
	LayerNormalization struct {
		// Added to the variance.
		Epsilon float64 `yaml:"epsilon" default:"0.001" gt:"0"`
	}
	// Embedding maps ids to vectors.
	Embedding struct {
		// Number of ids: 0 up to this, exclusive.
		InputDim int `yaml:"input_dim" req:"true" min:"1" max:"2147483647"`
		// Size of a vector.
		OutputDim int `yaml:"output_dim" req:"true" min:"1" max:"2147483647"`
		// Initial vectors.
		EmbeddingsInitializer string `yaml:"embeddings_initializer" default:"random_uniform" enum:"@initializer"`
	}
	// AddLayers sums its inputs.
	AddLayers struct{}
	// Concatenate joins its inputs.
	Concatenate struct {
		// Axis of the batched tensor; 0 is the batch and not allowed, -1 the last.
		Axis int `yaml:"axis" default:"-1"`
	}
	// Repeat is a block of layers, several times. Layers of the copies are named
	// name_1, name_2, ...; inputs inside the block mean the same copy.
	Repeat struct {
		// How often.
		Times int `yaml:"times" req:"true" min:"1" max:"10000"`
		// The block.
		Layers []Layer `yaml:"layers" req:"true"`
	}

	// Huber is the Huber loss.
	Huber struct {
		// Where squared turns absolute.
		Delta float64 `yaml:"delta" default:"1" gt:"0"`
	}

	// Common is shared by most optimisers.
	Common struct {
		// Decoupled: the weights shrink by this times the learning rate in each step.
		WeightDecay float64 `yaml:"weight_decay" default:"0" min:"0"`
		Clip        `yaml:",inline"`
	}
	// Clip bounds gradients; at most one of the three may be set.
	Clip struct {
		// Largest norm of one variable's gradient; 0 is none.
		Clipnorm float64 `yaml:"clipnorm" default:"0" min:"0"`
		// Largest norm of all gradients together; 0 is none.
		GlobalClipnorm float64 `yaml:"global_clipnorm" default:"0" min:"0"`
		// Largest absolute value of a gradient's element; 0 is none.
		Clipvalue float64 `yaml:"clipvalue" default:"0" min:"0"`
	}
	// SGD is gradient descent.
	SGD struct {
		// Step size.
		LearningRate float64 `yaml:"learning_rate" default:"0.01" min:"0"`
		// Fraction of the last step that is kept.
		Momentum float64 `yaml:"momentum" default:"0" min:"0" lt:"1"`
		// Nesterov's form of momentum.
		Nesterov bool `yaml:"nesterov" default:"false"`
		Common   `yaml:",inline"`
	}
	// Adam is Adam.
	Adam struct {
		// Step size.
		LearningRate float64 `yaml:"learning_rate" default:"0.001" min:"0"`
		// Decay of the first moment.
		Beta1 float64 `yaml:"beta_1" default:"0.9" min:"0" lt:"1"`
		// Decay of the second moment.
		Beta2 float64 `yaml:"beta_2" default:"0.999" min:"0" lt:"1"`
		// Added to the root of the second moment.
		Epsilon float64 `yaml:"epsilon" default:"1e-7" gt:"0"`
		// Use the largest second moment so far: Reddi et al., 2018.
		AMSGrad bool `yaml:"amsgrad" default:"false"`
		Common  `yaml:",inline"`
	}
	// AdamW is Adam with weight decay.
	AdamW struct {
		// Step size.
		LearningRate float64 `yaml:"learning_rate" default:"0.001" min:"0"`
		// Decay of the first moment.
		Beta1 float64 `yaml:"beta_1" default:"0.9" min:"0" lt:"1"`
		// Decay of the second moment.
		Beta2 float64 `yaml:"beta_2" default:"0.999" min:"0" lt:"1"`
		// Added to the root of the second moment.
		Epsilon float64 `yaml:"epsilon" default:"1e-7" gt:"0"`
		// Use the largest second moment so far.
		AMSGrad bool `yaml:"amsgrad" default:"false"`
		// Decoupled weight decay.
		WeightDecay float64 `yaml:"weight_decay" default:"0.004" min:"0"`
		Clip        `yaml:",inline"`
	}
	// RMSProp is RMSprop.
	RMSProp struct {
		// Step size.
		LearningRate float64 `yaml:"learning_rate" default:"0.001" min:"0"`
		// Decay of the mean square.
		Rho float64 `yaml:"rho" default:"0.9" min:"0" lt:"1"`
		// Fraction of the last step that is kept.
		Momentum float64 `yaml:"momentum" default:"0" min:"0" lt:"1"`
		// Added to the mean square.
		Epsilon float64 `yaml:"epsilon" default:"1e-7" gt:"0"`
		// Subtract the squared mean gradient.
		Centered bool `yaml:"centered" default:"false"`
		Common   `yaml:",inline"`
	}
	// Adagrad is Adagrad.
	Adagrad struct {
		// Step size.
		LearningRate float64 `yaml:"learning_rate" default:"0.001" min:"0"`
		// Start of the sum of squares.
		InitialAccumulatorValue float64 `yaml:"initial_accumulator_value" default:"0.1" min:"0"`
		// Added to the sum of squares.
		Epsilon float64 `yaml:"epsilon" default:"1e-7" gt:"0"`
		Common  `yaml:",inline"`
	}

	// Constant keeps the learning rate.
	Constant struct {
		Warmup `yaml:",inline"`
	}
	// StepDecay lowers the rate in steps.
	StepDecay struct {
		// Optimizer steps between changes.
		StepSize int `yaml:"step_size" req:"true" min:"1"`
		// What the rate is multiplied with.
		Factor float64 `yaml:"factor" default:"0.1" gt:"0"`
		Warmup `yaml:",inline"`
	}
	// Exponential lowers the rate a little in each step.
	Exponential struct {
		// Steps after which the rate has changed by decay_rate.
		DecaySteps int `yaml:"decay_steps" req:"true" min:"1"`
		// Factor per decay_steps.
		DecayRate float64 `yaml:"decay_rate" req:"true" gt:"0"`
		// Change only every decay_steps.
		Staircase bool `yaml:"staircase" default:"false"`
		Warmup    `yaml:",inline"`
	}
	// Cosine lowers the rate along half a cosine.
	Cosine struct {
		// Steps after warm-up until alpha is reached; 0 is to the end of the run.
		DecaySteps int `yaml:"decay_steps" default:"0" min:"0"`
		// Final fraction of the rate.
		Alpha  float64 `yaml:"alpha" default:"0" min:"0" max:"1"`
		Warmup `yaml:",inline"`
	}
	// ReduceOnPlateau lowers the rate when nothing improves.
	ReduceOnPlateau struct {
		// As for early_stopping.
		Monitor string `yaml:"monitor" default:"val_loss"`
		// What the rate is multiplied with.
		Factor float64 `yaml:"factor" default:"0.1" gt:"0" lt:"1"`
		// Epochs without improvement before the rate changes.
		Patience int `yaml:"patience" default:"10" min:"0"`
		// Smallest change that counts as an improvement.
		MinDelta float64 `yaml:"min_delta" default:"1e-4" min:"0"`
		// The rate does not fall below this.
		MinLearningRate float64 `yaml:"min_learning_rate" default:"0" min:"0"`
		Warmup          `yaml:",inline"`
	}
	// Warmup raises the rate linearly at the start.
	Warmup struct {
		// Steps over which the rate rises linearly from 0: step i of n, counted from 0, has i/n of
		// it.
		WarmupSteps int `yaml:"warmup_steps" default:"0" min:"0"`
	}
)

// A Pair is height and width; in YAML one number, or a list of two.
type Pair [2]int
