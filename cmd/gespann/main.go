// Command gespann trains neural networks that a YAML file defines.
package main

import (
	"os"

	_ "github.com/gespann/gespann/backend/cpu"  // registers cpu
	_ "github.com/gespann/gespann/backend/cuda" // registers gpu
	_ "github.com/gespann/gespann/backend/ref"  // registers ref
)

func main() {
	os.Exit(execute(terminal{os.Stdin, os.Stdout, os.Stderr}, os.Args[1:]))
}
