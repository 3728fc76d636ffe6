package main

import (
	"cmp"
	"os"

	"github.com/spf13/cobra"

	"github.com/gespann/gespann/dist/rpc"
)

// trustFlags say whom a process trusts.
type trustFlags struct {
	certs    string
	insecure bool
}

// add adds the flags to a command.
func (f *trustFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.certs, "certs", os.Getenv("GESPANN_CLUSTER_CERTS"),
		"folder that gespann certs has made (default gespann/certs in the user's configuration directory)")
	c.Flags().BoolVar(&f.insecure, "insecure", os.Getenv("GESPANN_CLUSTER_INSECURE") == "true",
		"without TLS and proofs of the account, on both sides: whoever reaches the coordinator may do everything")
}

// load returns whom to trust when talking to an address.
func (f *trustFlags) load(address string) (rpc.Trust, error) {
	return trustFor(address, f.certs, f.insecure)
}

// coordinatorFromEnv returns the coordinator that the environment names, or else
// the default one.
func coordinatorFromEnv() string {
	return cmp.Or(os.Getenv("GESPANN_CLUSTER_COORDINATOR"), defaultCoordinator)
}
