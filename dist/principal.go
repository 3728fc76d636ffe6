package dist

import (
	"errors"
	"fmt"
	"strings"
)

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

// Is reports whether p and other are the same one, whatever their roles are now.
func (p Principal) Is(other Principal) bool {
	return p.Name == other.Name && p.Account == other.Account
}

// String names p in messages.
func (p Principal) String() string {
	if p.Name == "" {
		return "nobody in particular"
	}
	return p.Name
}

// Roles are what a principal may do with a coordinator.
type Roles uint8

// The roles.
const (
	Submit     Roles = 1 << iota // train and submit; see, fetch and cancel what is its own
	Work                         // be a worker
	Admin                        // see, fetch, cancel and remove what is anyone's
	Coordinate                   // be a coordinator

	AllRoles = Submit | Work | Admin | Coordinate
)

var roleNames = []string{"submit", "work", "admin", "coordinate"}

// ParseRoles reads roles by their names.
func ParseRoles(names []string) (Roles, error) {
	var r Roles
next:
	for _, name := range names {
		for i, known := range roleNames {
			if name == known {
				r |= 1 << i
				continue next
			}
		}
		return 0, fmt.Errorf("role %.80q: want %s", name, strings.Join(roleNames, ", "))
	}
	return r, nil
}

// Has reports whether all of some roles are among r.
func (r Roles) Has(some Roles) bool { return r&some == some }

// Names lists roles.
func (r Roles) Names() (names []string) {
	for i, name := range roleNames {
		if r.Has(1 << i) {
			names = append(names, name)
		}
	}
	return names
}

// String lists roles: "submit, work".
func (r Roles) String() string { return strings.Join(r.Names(), ", ") }

// ErrRefused says that trying again is of no use: the other side has another token, CA,
// account or protocol, or is someone else.
var ErrRefused = errors.New("refused")
