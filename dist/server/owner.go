package server

import (
	"fmt"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/server/jobs"
)

// mayTouch reports whether someone may see, fetch, cancel and remove a job of an owner.
func mayTouch(who, owner dist.Principal) bool {
	return who.Roles.Has(dist.Admin) || !owner.Is(dist.Principal{}) && who.Is(owner)
}

// mayDrive reports whether someone may be the driver of a job of an owner: that is the owner
// alone; of a job whose owner nobody has noted, who may do all.
func mayDrive(who, owner dist.Principal) bool {
	return who.Is(owner) || owner.Is(dist.Principal{}) && who.Roles.Has(dist.Admin)
}

// notYours says whose a job is.
func notYours(r jobs.Record) error {
	whose := "job " + r.ID + " is of a version that did not ask whose it is"
	if r.By.Name != "" {
		whose = "job " + r.ID + " is " + r.By.Name + "'s"
	}
	return fmt.Errorf("%s: want the role admin", whose)
}

// takenBy says that a driver may not go on with a job.
func takenBy(id string, owner dist.Principal) error {
	return fmt.Errorf("job %s is %s's: another driver cannot go on with it", id, owner)
}
