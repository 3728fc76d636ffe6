package launch

import "errors"

func newKube(string) (Launcher, error) { return nil, errors.New("x") }
