package data

// How the targets of a data set are stored.
const (
	// Classes are class labels: Int, one per row.
	Classes = "classes"
	// OneHot are rows of floats with a 1 at the class.
	OneHot = "one_hot"
	// Binary are rows of one float, 0 or 1: the class of two.
	Binary = "binary"
	// Numbers are rows of floats.
	Numbers = "numbers"
)

// A Prep is what was learnt from the training data to turn files into tables:
// it is saved with a run, so that other data meets the model in the same form.
// Its JSON form round-trips exactly.
type Prep struct {
	Source    string   `json:"source"`               // kind of source, as in the spec
	Shape     []int    `json:"shape"`                // of one row of features
	Ints      bool     `json:"ints,omitempty"`       // features are integer ids
	Target    string   `json:"target"`               // Classes, OneHot, Binary or Numbers
	TargetRow []int    `json:"target_row,omitempty"` // shape of a target row of Numbers; nil: [1]
	Classes   int      `json:"classes,omitempty"`    // number of classes; 0 with Numbers
	Labels    []string `json:"labels,omitempty"`     // class names, when the source names them
	CSV       *CSV     `json:"csv,omitempty"`        // with source csv
	// Scale and Shift are those of Table.
	Scale []float32 `json:"scale,omitempty"`
	Shift []float32 `json:"shift,omitempty"`
}

// CSV is how rows of text become rows of numbers.
type CSV struct {
	Delimiter string   `json:"delimiter"`
	Header    bool     `json:"header"`
	Fields    []string `json:"fields"`  // all columns of the training file, in order
	Label     string   `json:"label"`   // the column to predict
	Columns   []Column `json:"columns"` // the features, in order
}

// A Column is one feature column of a CSV file.
type Column struct {
	Name string `json:"name"`
	// Categories are the values of a categorical column, sorted; nil for a
	// column of numbers.
	Categories []string `json:"categories,omitempty"`
}

// TargetShape returns the shape of one target row; [] for class labels.
func (p *Prep) TargetShape() []int {
	switch p.Target {
	case OneHot:
		return []int{p.Classes}
	case Binary:
		return []int{1}
	case Numbers:
		if p.TargetRow != nil {
			return p.TargetRow
		}
		return []int{1}
	}
	return []int{}
}
