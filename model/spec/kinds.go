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
		Units             int    `yaml:"units" doc:"Size of the output." req:"true" min:"1" max:"2147483647"`
		Activation        string `yaml:"activation" doc:"Applied to the output." default:"linear" enum:"@activation"`
		UseBias           bool   `yaml:"use_bias" doc:"Whether to add a bias." default:"true"`
		KernelInitializer string `yaml:"kernel_initializer" doc:"Initial kernel." default:"glorot_uniform" enum:"@initializer"`
		BiasInitializer   string `yaml:"bias_initializer" doc:"Initial bias." default:"zeros" enum:"@initializer"`
	}
	// Activation is an activation on its own.
	Activation struct {
		Kind  string   `yaml:"kind" doc:"Which one." req:"true" enum:"@activation"`
		Alpha *float64 `yaml:"alpha" doc:"Slope of leaky_relu for negative inputs (default 0.2), or scale of elu (default 1)."`
	}
	// Dropout drops inputs in training.
	Dropout struct {
		Rate float64 `yaml:"rate" doc:"Fraction to drop." req:"true" min:"0" lt:"1"`
		Seed uint64  `yaml:"seed" doc:"Added to the run's seed." default:"0"`
	}
	// Flatten makes each row a vector.
	Flatten struct{}
	// Reshape gives each row another shape.
	Reshape struct {
		TargetShape []int `yaml:"target_shape" doc:"Shape of a row; one -1 takes what is left." req:"true"`
	}
	// Conv2D is a 2-D convolution.
	Conv2D struct {
		Filters           int    `yaml:"filters" doc:"Output channels." req:"true" min:"1" max:"2147483647"`
		KernelSize        Pair   `yaml:"kernel_size" doc:"Height and width of the window; one number for both." req:"true" min:"1"`
		Strides           Pair   `yaml:"strides" doc:"Steps of the window." default:"1" min:"1"`
		Padding           string `yaml:"padding" doc:"valid: none; same: zeros so that the output has ceil(input/stride) positions." default:"valid" enum:"valid,same"`
		DilationRate      Pair   `yaml:"dilation_rate" doc:"Distance between the taps of the window." default:"1" min:"1"`
		Groups            int    `yaml:"groups" doc:"Parts into which channels and filters are split." default:"1" min:"1"`
		Activation        string `yaml:"activation" doc:"Applied to the output." default:"linear" enum:"@activation"`
		UseBias           bool   `yaml:"use_bias" doc:"Whether to add a bias." default:"true"`
		KernelInitializer string `yaml:"kernel_initializer" doc:"Initial kernel." default:"glorot_uniform" enum:"@initializer"`
		BiasInitializer   string `yaml:"bias_initializer" doc:"Initial bias." default:"zeros" enum:"@initializer"`
	}
	// Pool2D is max or average pooling.
	Pool2D struct {
		PoolSize Pair   `yaml:"pool_size" doc:"Height and width of the window." default:"2" min:"1"`
		Strides  Pair   `yaml:"strides" doc:"Steps of the window. Default: pool_size." min:"1"`
		Padding  string `yaml:"padding" doc:"As for conv2d." default:"valid" enum:"valid,same"`
	}
	// GlobalAveragePooling2D averages over height and width.
	GlobalAveragePooling2D struct{}
	// BatchNormalization normalises channels over the batch. A batch must have more than
	// one value in each channel.
	BatchNormalization struct {
		Momentum float64 `yaml:"momentum" doc:"Of the running statistics." default:"0.99" min:"0" lt:"1"`
		Epsilon  float64 `yaml:"epsilon" doc:"Added to the variance." default:"0.001" gt:"0"`
	}
	// LayerNormalization normalises rows.
	LayerNormalization struct {
		Epsilon float64 `yaml:"epsilon" doc:"Added to the variance." default:"0.001" gt:"0"`
	}
	// Embedding maps ids to vectors.
	Embedding struct {
		InputDim              int    `yaml:"input_dim" doc:"Number of ids: 0 up to this, exclusive." req:"true" min:"1" max:"2147483647"`
		OutputDim             int    `yaml:"output_dim" doc:"Size of a vector." req:"true" min:"1" max:"2147483647"`
		EmbeddingsInitializer string `yaml:"embeddings_initializer" doc:"Initial vectors." default:"random_uniform" enum:"@initializer"`
	}
	// AddLayers sums its inputs.
	AddLayers struct{}
	// Concatenate joins its inputs.
	Concatenate struct {
		Axis int `yaml:"axis" doc:"Axis of the batched tensor; 0 is the batch and not allowed, -1 the last." default:"-1"`
	}
	// Repeat is a block of layers, several times. Layers of the copies are named
	// name_1, name_2, ...; inputs inside the block mean the same copy.
	Repeat struct {
		Times  int     `yaml:"times" doc:"How often." req:"true" min:"1" max:"10000"`
		Layers []Layer `yaml:"layers" doc:"The block." req:"true"`
	}

	// Huber is the Huber loss.
	Huber struct {
		Delta float64 `yaml:"delta" doc:"Where squared turns absolute." default:"1" gt:"0"`
	}

	// Common is shared by most optimisers.
	Common struct {
		WeightDecay float64 `yaml:"weight_decay" doc:"Decoupled: the weights shrink by this times the learning rate in each step." default:"0" min:"0"`
		Clip        `yaml:",inline"`
	}
	// Clip bounds gradients; at most one of the three may be set.
	Clip struct {
		Clipnorm       float64 `yaml:"clipnorm" doc:"Largest norm of one variable's gradient; 0 is none." default:"0" min:"0"`
		GlobalClipnorm float64 `yaml:"global_clipnorm" doc:"Largest norm of all gradients together; 0 is none." default:"0" min:"0"`
		Clipvalue      float64 `yaml:"clipvalue" doc:"Largest absolute value of a gradient's element; 0 is none." default:"0" min:"0"`
	}
	// SGD is gradient descent.
	SGD struct {
		LearningRate float64 `yaml:"learning_rate" doc:"Step size." default:"0.01" min:"0"`
		Momentum     float64 `yaml:"momentum" doc:"Fraction of the last step that is kept." default:"0" min:"0" lt:"1"`
		Nesterov     bool    `yaml:"nesterov" doc:"Nesterov's form of momentum." default:"false"`
		Common       `yaml:",inline"`
	}
	// Adam is Adam.
	Adam struct {
		LearningRate float64 `yaml:"learning_rate" doc:"Step size." default:"0.001" min:"0"`
		Beta1        float64 `yaml:"beta_1" doc:"Decay of the first moment." default:"0.9" min:"0" lt:"1"`
		Beta2        float64 `yaml:"beta_2" doc:"Decay of the second moment." default:"0.999" min:"0" lt:"1"`
		Epsilon      float64 `yaml:"epsilon" doc:"Added to the root of the second moment." default:"1e-7" gt:"0"`
		AMSGrad      bool    `yaml:"amsgrad" doc:"Use the largest second moment so far: Reddi et al., 2018." default:"false"`
		Common       `yaml:",inline"`
	}
	// AdamW is Adam with weight decay.
	AdamW struct {
		LearningRate float64 `yaml:"learning_rate" doc:"Step size." default:"0.001" min:"0"`
		Beta1        float64 `yaml:"beta_1" doc:"Decay of the first moment." default:"0.9" min:"0" lt:"1"`
		Beta2        float64 `yaml:"beta_2" doc:"Decay of the second moment." default:"0.999" min:"0" lt:"1"`
		Epsilon      float64 `yaml:"epsilon" doc:"Added to the root of the second moment." default:"1e-7" gt:"0"`
		AMSGrad      bool    `yaml:"amsgrad" doc:"Use the largest second moment so far." default:"false"`
		WeightDecay  float64 `yaml:"weight_decay" doc:"Decoupled weight decay." default:"0.004" min:"0"`
		Clip         `yaml:",inline"`
	}
	// RMSProp is RMSprop.
	RMSProp struct {
		LearningRate float64 `yaml:"learning_rate" doc:"Step size." default:"0.001" min:"0"`
		Rho          float64 `yaml:"rho" doc:"Decay of the mean square." default:"0.9" min:"0" lt:"1"`
		Momentum     float64 `yaml:"momentum" doc:"Fraction of the last step that is kept." default:"0" min:"0" lt:"1"`
		Epsilon      float64 `yaml:"epsilon" doc:"Added to the mean square." default:"1e-7" gt:"0"`
		Centered     bool    `yaml:"centered" doc:"Subtract the squared mean gradient." default:"false"`
		Common       `yaml:",inline"`
	}
	// Adagrad is Adagrad.
	Adagrad struct {
		LearningRate            float64 `yaml:"learning_rate" doc:"Step size." default:"0.001" min:"0"`
		InitialAccumulatorValue float64 `yaml:"initial_accumulator_value" doc:"Start of the sum of squares." default:"0.1" min:"0"`
		Epsilon                 float64 `yaml:"epsilon" doc:"Added to the sum of squares." default:"1e-7" gt:"0"`
		Common                  `yaml:",inline"`
	}

	// Constant keeps the learning rate.
	Constant struct {
		Warmup `yaml:",inline"`
	}
	// StepDecay lowers the rate in steps.
	StepDecay struct {
		StepSize int     `yaml:"step_size" doc:"Optimizer steps between changes." req:"true" min:"1"`
		Factor   float64 `yaml:"factor" doc:"What the rate is multiplied with." default:"0.1" gt:"0"`
		Warmup   `yaml:",inline"`
	}
	// Exponential lowers the rate a little in each step.
	Exponential struct {
		DecaySteps int     `yaml:"decay_steps" doc:"Steps after which the rate has changed by decay_rate." req:"true" min:"1"`
		DecayRate  float64 `yaml:"decay_rate" doc:"Factor per decay_steps." req:"true" gt:"0"`
		Staircase  bool    `yaml:"staircase" doc:"Change only every decay_steps." default:"false"`
		Warmup     `yaml:",inline"`
	}
	// Cosine lowers the rate along half a cosine.
	Cosine struct {
		DecaySteps int     `yaml:"decay_steps" doc:"Steps after warm-up until alpha is reached; 0 is to the end of the run." default:"0" min:"0"`
		Alpha      float64 `yaml:"alpha" doc:"Final fraction of the rate." default:"0" min:"0" max:"1"`
		Warmup     `yaml:",inline"`
	}
	// ReduceOnPlateau lowers the rate when nothing improves.
	ReduceOnPlateau struct {
		Monitor         string  `yaml:"monitor" doc:"As for early_stopping." default:"val_loss"`
		Factor          float64 `yaml:"factor" doc:"What the rate is multiplied with." default:"0.1" gt:"0" lt:"1"`
		Patience        int     `yaml:"patience" doc:"Epochs without improvement before the rate changes." default:"10" min:"0"`
		MinDelta        float64 `yaml:"min_delta" doc:"Smallest change that counts as an improvement." default:"1e-4" min:"0"`
		MinLearningRate float64 `yaml:"min_learning_rate" doc:"The rate does not fall below this." default:"0" min:"0"`
		Warmup          `yaml:",inline"`
	}
	// Warmup raises the rate linearly at the start.
	Warmup struct {
		WarmupSteps int `yaml:"warmup_steps" doc:"Steps over which the rate rises linearly from 0: step i of n, counted from 0, has i/n of it." default:"0" min:"0"`
	}
)

// A Pair is height and width; in YAML one number, or a list of two.
type Pair [2]int
