package data

// A Layout describes the tables of a Set without their elements: what a receiver
// needs to make sense of the bytes that follow.
type Layout struct {
	Parts   [3]PartLayout `json:"parts"`
	Classes int           `json:"classes"`
	Source  string        `json:"source"`
	Prep    Prep          `json:"prep"`
}

// A PartLayout describes one split.
type PartLayout struct {
	Rows int         `json:"rows"`
	X    TableLayout `json:"x"`
	Y    TableLayout `json:"y"`
}

// A TableLayout describes a table: element type "u8", "f32" or "i32".
type TableLayout struct {
	Type  string    `json:"type"`
	Shape []int     `json:"shape"`
	Scale []float32 `json:"scale,omitempty"`
	Shift []float32 `json:"shift,omitempty"`
}
