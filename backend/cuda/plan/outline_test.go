package plan_test

import (
	"strings"
	"testing"

	"github.com/gespann/gespann/backend/cuda/plan"
)

// TestOutline compares outlines with texts: of fused launches, sums in parts, launches
// beside others, and with words of the caller's.
func TestOutline(t *testing.T) {
	var text strings.Builder
	for _, p := range programs(t, build(t, "mnist-cnn", 28, 28, 1), 128) {
		p = plan.Arrange(p)
		built, err := plan.Build(p, plan.Options{SM: 90, Layout: plan.Layout(p)})
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString(built.Outline(func(l *plan.Launch) string {
			if l.Product != nil && l.Product.TransA {
				return "of the words"
			}
			return ""
		}) + "\n")
	}
	golden(t, "outline-mnist-cnn", text.String())
}
