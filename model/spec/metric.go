package spec

import (
	"strconv"
	"strings"
)

// defaultTopK is the k of top_k_accuracy, as in Keras.
const defaultTopK = 5

// TopK returns the k of a metric's name: 5 for top_k_accuracy, 3 for
// top_3_accuracy. Other names are not ok.
func TopK(metric string) (k int, ok bool) {
	if metric == "top_k_accuracy" {
		return defaultTopK, true
	}
	digits, ok := strings.CutPrefix(metric, "top_")
	if !ok {
		return 0, false
	}
	digits, ok = strings.CutSuffix(digits, "_accuracy")
	k, err := strconv.Atoi(digits)
	return k, ok && err == nil && k > 0 && digits == strconv.Itoa(k)
}

// isMetric reports whether metrics may list that name.
func isMetric(name string) bool {
	_, top := TopK(name)
	return top || Metrics[name] != ""
}
