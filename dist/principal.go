package dist

import "strings"

// A Principal is who is at the other side of a connection, as far as that was proved.
type Principal struct {
	// Name is that of its certificate, or of the account on this machine; "": nobody
	// asked.
	Name  string `json:"name,omitempty"`
	Roles Roles  `json:"-"`
	// Account says that it is the account that this process runs under: it can read and
	// write what this process can anyway.
	Account bool `json:"account,omitempty"`
}

// Roles are what a principal may do with a coordinator.
type Roles uint8

// The roles.
const (
	Submit Roles = 1 << iota // train and submit; see, fetch and cancel what is its own
	Work                     // be a worker
	Admin                    // see, fetch, cancel and remove what is anyone's

	AllRoles = Submit | Work | Admin
)

var roleNames = []string{"submit", "work", "admin"}

// Has reports whether all of some roles are among r.
func (r Roles) Has(some Roles) bool { return r&some == some }

// String lists roles: "submit, work".
func (r Roles) String() string {
	var names []string
	for i, name := range roleNames {
		if r.Has(1 << i) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}
