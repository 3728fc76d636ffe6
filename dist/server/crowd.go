package server

import (
	"fmt"

	"github.com/gespann/gespann/dist"
)

// maxOfOne is how many connections and unfinished jobs of its own drivers someone may have
// who only submits: others are to find a place, too.
const maxOfOne = 32

// crowds returns an error when a principal has as many connections as one may have. The
// account itself, admins and workers have as many as there are. s.mu is held.
func (s *Server) crowds(who dist.Principal) error {
	if who.Account || who.Name == "" || who.Roles.Has(dist.Admin) || who.Roles.Has(dist.Work) {
		return nil
	}
	n := 0
	for p := range s.peers {
		if p.who.Name == who.Name {
			n++
		}
	}
	if n >= maxOfOne {
		return fmt.Errorf("%s has %d connections to the coordinator, which is as many as one may have", who.Name, n)
	}
	return nil
}

// drives returns an error when whoever attaches has as many jobs as one may have whose
// drivers are elsewhere.
func (c *core) drives(a *attachment) error {
	if a.submitted || a.who.Account || a.who.Name == "" || a.who.Roles.Has(dist.Admin) {
		return nil
	}
	n := 0
	for _, j := range c.jobs {
		if !j.submitted && j.by.Is(a.who) {
			n++
		}
	}
	if n >= maxOfOne {
		return fmt.Errorf("%s has %d jobs with drivers elsewhere at this coordinator, which is as many as one may have", a.who.Name, n)
	}
	return nil
}
