package spec

import "testing"

func TestTopK(t *testing.T) {
	for name, want := range map[string]int{
		"top_k_accuracy": 5, "top_1_accuracy": 1, "top_12_accuracy": 12,
		"top_0_accuracy": 0, "top_-1_accuracy": 0, "top_03_accuracy": 0, "top_+3_accuracy": 0,
		"top_3": 0, "top__accuracy": 0, "accuracy": 0, "top_99999999999999999999_accuracy": 0,
	} {
		k, ok := TopK(name)
		if ok != (want > 0) || ok && k != want {
			t.Errorf("TopK(%q) = %d, %v, want %d, %v", name, k, ok, want, want > 0)
		}
	}
}
