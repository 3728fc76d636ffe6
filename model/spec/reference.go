package spec

// Reference returns configs/README.md.
func Reference() []byte { return nil }
