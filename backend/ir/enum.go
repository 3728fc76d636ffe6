package ir

import (
	"slices"
	"strconv"
)

var (
	actNames = []string{"none", "relu", "leaky_relu", "elu", "gelu", "sigmoid", "tanh",
		"softplus", "silu"}
	lossNames      = []string{"none", "squared_error", "abs_error", "huber", "sigmoid_xent"}
	metricNames    = []string{"none", "accuracy", "top_k", "binary_accuracy", "mae", "confusion"}
	reductionNames = []string{"none", "sum", "max"}
	kindNames      = []string{"temp", "input", "output", "variable", "grad", "view"}
	typeNames      = []string{"f", "i"}
	roleNames      = []string{"param", "state", "optimizer"}
)

// String returns the name of the op in the text form, such as "conv2d_dx".
func (o Op) String() string {
	if int(o) < len(ops) && ops[o].name != "" {
		return ops[o].name
	}
	return "op" + strconv.Itoa(int(o))
}

// String returns the name of the activation, such as "leaky_relu".
func (a Act) String() string { return enumName(actNames, "act", int(a)) }

// String returns the name of the loss, such as "huber".
func (l Loss) String() string { return enumName(lossNames, "loss", int(l)) }

// String returns the name of the metric, such as "top_k".
func (m MetricKind) String() string { return enumName(metricNames, "metric", int(m)) }

// String returns the name of the reduction, such as "max".
func (r Reduction) String() string { return enumName(reductionNames, "reduction", int(r)) }

// String returns the name of the kind, such as "temp".
func (k Kind) String() string { return enumName(kindNames, "kind", int(k)) }

// String returns "f" for Float and "i" for Int.
func (t Type) String() string { return enumName(typeNames, "type", int(t)) }

// String returns the name of the role, such as "param".
func (r Role) String() string { return enumName(roleNames, "role", int(r)) }

// enumName returns names[i], or what and the number where there is no name.
func enumName(names []string, what string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return what + strconv.Itoa(i)
}

// enumValue returns the index of name in names.
func enumValue(names []string, name string) (int, bool) {
	i := slices.Index(names, name)
	return i, i >= 0
}
