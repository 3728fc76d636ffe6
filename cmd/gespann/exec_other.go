//go:build !unix

package main

import "errors"

// replaceProcess would make this process another program, if the system could.
func replaceProcess(string, []string) error {
	return errors.New("start this program instead: here one cannot hand over to another")
}
