//go:build !amd64 || noasm

package vec

var useAsm = false

func ask(*byte, int) {}

func sumLanes(*[width]float32, []float32) int { return 0 }

func tree32(*[width]float32) float32 { return 0 }

func squareLanes(*[8]float64, []float32) int { return 0 }

func deviationLanes(*twoLanes, []float32, float32) int { return 0 }

func normalLanes(_ *threeLanes, _, _, _ []float32, _, _ float32) int { return 0 }

func maxLanes(*[width]float32, []float32) int { return 0 }

func sumColumns32(_, _ []float32, _, _ int) bool { return false }

func sumColumns8(_, _ []float32, _, _ int) bool { return false }
