package coord

import "github.com/gespann/gespann/backend"

// Account returns the account of a job that has not ended, so far.
func (m *Machine) Account(job string) (backend.Account, bool) {
	j := m.job(job)
	if j == nil {
		return backend.Account{}, false
	}
	return j.account(), true
}
