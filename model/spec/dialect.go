package spec

import (
	"fmt"
	"slices"
	"strings"
)

// A loanword is what other libraries call something of ours.
type loanword struct {
	who   string // whose word it is; "": many people's
	words string // all that mean the same
	ours  string
	note  string // what is different, after a comma
}

// dialects lists the words of Keras and PyTorch that are not ours, besides other
// spellings with capitals, dashes and underscores. Where a word means several things,
// the first that is known at its place counts.
var dialects = []loanword{
	// Layers.
	{"PyTorch", "Linear LazyLinear", "dense", ""},
	{"", "fully_connected fc", "dense", ""},
	{"Keras", "Convolution2D", "conv2d", ""},
	{"Keras", "MaxPool2D", "max_pooling2d", ""},
	{"PyTorch", "MaxPool2d", "max_pooling2d", ""},
	{"Keras", "AvgPool2D", "average_pooling2d", ""},
	{"PyTorch", "AvgPool2d", "average_pooling2d", "in which padding does not count"},
	{"Keras", "GlobalAvgPool2D", "global_average_pooling2d", ""},
	{"PyTorch", "AdaptiveAvgPool2d", "global_average_pooling2d", "if its output is to be 1x1"},
	{"PyTorch", "BatchNorm2d BatchNorm1d BatchNorm", "batch_normalization", "whose momentum is 1 minus PyTorch's"},
	{"", "bn", "batch_normalization", ""},
	{"PyTorch", "LayerNorm", "layer_normalization", ""},
	{"PyTorch", "Unflatten", "reshape", ""},
	{"PyTorch", "Dropout2d", "dropout", "which drops single numbers and no whole channels"},
	{"Keras", "SpatialDropout2D", "dropout", "which drops single numbers and no whole channels"},
	{"PyTorch", "EmbeddingBag", "embedding", ""},
	{"PyTorch", "cat concat", "concatenate", ""},
	{"PyTorch", "Sequential ModuleList", "repeat", "or write its layers in its place"},

	// Losses.
	{"Keras", "mse", "mean_squared_error", ""},
	{"PyTorch", "MSELoss mse_loss", "mean_squared_error", ""},
	{"", "squared_error l2", "mean_squared_error", ""},
	{"Keras", "mae", "mean_absolute_error", ""},
	{"PyTorch", "L1Loss l1_loss", "mean_absolute_error", ""},
	{"", "absolute_error l1", "mean_absolute_error", ""},
	{"PyTorch", "HuberLoss huber_loss", "huber", ""},
	{"PyTorch", "SmoothL1Loss smooth_l1_loss smooth_l1", "huber", "which is delta times as large"},
	{"Keras", "bce", "binary_crossentropy", ""},
	{"PyTorch", "BCELoss BCEWithLogitsLoss", "binary_crossentropy", ""},
	{"", "log_loss", "binary_crossentropy", ""},
	{"PyTorch", "CrossEntropyLoss cross_entropy", "sparse_categorical_crossentropy", ""},
	{"", "xent softmax_cross_entropy", "sparse_categorical_crossentropy", ""},
	{"PyTorch", "NLLLoss nll_loss nll", "sparse_categorical_crossentropy", "which takes the logarithm itself"},

	// Optimisers, schedules and their settings.
	{"PyTorch", "StepLR MultiStepLR", "step", ""},
	{"PyTorch", "ExponentialLR", "exponential", ""},
	{"Keras", "ExponentialDecay", "exponential", ""},
	{"PyTorch", "CosineAnnealingLR CosineAnnealing", "cosine", ""},
	{"Keras", "CosineDecay", "cosine", ""},
	{"PyTorch", "ReduceLROnPlateau", "reduce_on_plateau", ""},
	{"PyTorch", "ConstantLR", "constant", ""},
	{"PyTorch", "lr", "learning_rate", ""},
	{"PyTorch", "betas", "beta_1", "with beta_2 beside it"},
	{"PyTorch", "eps", "epsilon", ""},
	{"PyTorch", "alpha", "rho", ""},
	{"PyTorch", "gamma", "factor", ""},
	{"PyTorch", "gamma", "decay_rate", ""},
	{"PyTorch", "T_max", "decay_steps", ""},
	{"PyTorch", "min_lr", "min_learning_rate", ""},
	{"PyTorch", "lr_scheduler scheduler", "schedule", ""},
	{"", "warmup num_warmup_steps", "warmup_steps", ""},
	{"PyTorch", "clip_grad_norm", "global_clipnorm", ""},
	{"", "max_grad_norm gradient_clipping", "global_clipnorm", ""},

	// Parameters of layers.
	{"PyTorch", "out_features", "units", ""},
	{"PyTorch", "out_channels", "filters", ""},
	{"PyTorch", "kernel_size", "pool_size", ""},
	{"PyTorch", "stride", "strides", ""},
	{"PyTorch", "dilation", "dilation_rate", ""},
	{"PyTorch", "bias", "use_bias", ""},
	{"PyTorch", "p", "rate", ""},
	{"PyTorch", "negative_slope", "alpha", ""},
	{"PyTorch", "num_embeddings", "input_dim", ""},
	{"PyTorch", "embedding_dim", "output_dim", ""},
	{"PyTorch", "dim", "axis", ""},

	// Metrics, activations and initialisers.
	{"Keras", "acc categorical_accuracy sparse_categorical_accuracy binary_accuracy", "accuracy", ""},
	{"Keras", "top_k_categorical_accuracy sparse_top_k_categorical_accuracy", "top_k_accuracy", ""},
	{"", "top5 top_5", "top_k_accuracy", ""},
	{"Keras", "swish", "silu", ""},
	{"", "logistic", "sigmoid", ""},
	{"PyTorch", "Identity", "linear", ""},
	{"PyTorch", "LogSoftmax", "softmax", "of which the cross-entropies take the logarithm"},
	{"PyTorch", "xavier_uniform xavier_uniform_", "glorot_uniform", ""},
	{"PyTorch", "xavier_normal xavier_normal_", "glorot_normal", ""},
	{"PyTorch", "kaiming_uniform kaiming_uniform_", "he_uniform", ""},
	{"PyTorch", "kaiming_normal kaiming_normal_", "he_normal", ""},
	{"", "xavier glorot", "glorot_uniform", ""},
	{"", "kaiming he", "he_uniform", ""},
	{"PyTorch", "uniform uniform_", "random_uniform", ""},
	{"PyTorch", "normal normal_", "random_normal", ""},
	{"PyTorch", "zeros_ zero", "zeros", ""},
	{"PyTorch", "ones_ one", "ones", ""},

	// Sections and settings.
	{"", "layers network", "model", ""},
	{"PyTorch", "criterion", "loss", ""},
	{"", "loss_fn objective", "loss", ""},
	{"PyTorch", "optim", "optimizer", ""},
	{"", "fit training trainer", "train", ""},
	{"", "dataset dataloader", "data", ""},
	{"", "num_epochs n_epochs max_epochs nb_epoch", "epochs", ""},
	{"", "bs batch", "batch_size", ""},
	{"", "val_split validation_fraction validation_size", "validation_split", ""},
	{"", "test_size test_fraction", "test_split", ""},
	{"", "minmax rescale", "scale", ""},
	{"", "standardize zscore", "standard", ""},
	{"", "manual_seed random_seed random_state", "seed", ""},
	{"", "num_threads", "threads", ""},
	{"", "gradient_accumulation_steps accumulation_steps", "accumulate", ""},
	{"PyTorch", "cuda", "gpu", ""},
	{"PyTorch", "float32 float", "fp32", ""},
	{"PyTorch", "bfloat16", "bf16", ""},
}

// needless are words of Keras and PyTorch for what nobody has to say here.
var needless = []struct{ words, hint string }{
	{"in_features in_channels num_features normalized_shape input_shape batch_input_shape input_length",
		"leave it out: it follows from the data and the layers before"},
	{"Input InputLayer", "leave it out: the first layer takes the data, which has a shape"},
	{"Identity", "leave it out"},
	{"data_format", "leave it out: rows are [height, width, channels]"},
	{"from_logits", "leave it out: a cross-entropy takes logits, unless the model ends in softmax or sigmoid"},
	{"Rescaling Normalization StandardScaler MinMaxScaler", "data.normalize does that"},
	{"verbose", "leave it out: train --log says what to show"},
	{"momentum_decay dampening", "leave it out: there is none"},
	{"EarlyStopping", "train.early_stopping does that"},
	{"ModelCheckpoint", "train.checkpoint_every does that"},
}

// elsewhereOnly are words that are spelt like ours and mean something else, which there
// is not here.
const elsewhereOnly = "nadam nadamw radam adamax adan asgd ftrl " +
	"conv1d conv3d max_pooling1d max_pooling3d average_pooling1d average_pooling3d " +
	"global_average_pooling1d global_average_pooling3d group_normalization " +
	"selu celu prelu relu6 geglu reglu swiglu glu mish"

// absent reports whether a word is one of elsewhereOnly.
func absent(word string) bool {
	return slices.ContainsFunc(strings.Fields(elsewhereOnly), func(w string) bool { return plainly(w) == plainly(word) })
}

// plainly is a word without what languages spell differently: capitals, dashes,
// underscores, and the package before it.
func plainly(word string) string {
	word = word[strings.LastIndex(word, ".")+1:]
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", " ", "").Replace(word))
}

// translate returns what another library's word means here, if that is known at its
// place.
func translate(word string, known []string, same func(a, b string) bool) (loanword, bool) {
	for _, f := range dialects {
		if !slices.Contains(known, f.ours) {
			continue
		}
		for _, w := range strings.Fields(f.words) {
			if same(word, w) {
				return loanword{f.who, w, f.ours, f.note}, true
			}
		}
	}
	return loanword{}, false
}

// hint says what the word is here.
func (f loanword) hint() string {
	text := fmt.Sprintf("%s's %s is %q", f.who, f.words, f.ours)
	if f.who == "" {
		text = fmt.Sprintf("%s is %q here", f.words, f.ours)
	}
	if f.note != "" {
		text += ", " + f.note
	}
	return text
}

// needlessHint says why a word of other libraries is not needed, or "".
func needlessHint(word string) string {
	for _, n := range needless {
		for _, w := range strings.Fields(n.words) {
			if plainly(word) == plainly(w) {
				return n.hint
			}
		}
	}
	return ""
}
