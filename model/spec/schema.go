package spec

// Schema returns the JSON Schema of a spec.
func Schema() ([]byte, error) { return []byte("{}\n"), nil }
