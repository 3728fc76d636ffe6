package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/gespann/gespann/dist/rpc/certs"
)

func newCerts(t terminal) *cobra.Command {
	var hosts []string
	var keep bool
	c := &cobra.Command{
		Use:   "certs [DIR]",
		Short: "Make what the machines of a cluster know each other by",
		Long: `Certs makes a folder with a certificate authority, a certificate that all machines
of a cluster share, and a join token. Copy it to each of them, except for ca.key:
coordinator, workers and drivers find it in the default place, or with --certs.

Without DIR the folder is gespann/certs in the user's configuration directory.`,
		Example: `  gespann certs
  scp -r ~/.config/gespann/certs other:.config/gespann/`,
		Args: args(0, 1, "one folder, or none for the default one"),
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := certsFolder()
			if len(args) == 1 {
				dir, err = args[0], nil
			}
			if err != nil {
				return err
			}
			if keep {
				if _, err := certs.Load(dir); !errors.Is(err, fs.ErrNotExist) {
					return err
				}
			}
			if err := certs.Make(dir, hosts); err != nil {
				return err
			}
			fmt.Fprintf(t.out, "made   %s\nnext   copy it to every machine of the cluster; ca.key may stay here\n", cmp.Or(dir, "."))
			return nil
		},
	}
	c.Flags().StringSliceVar(&hosts, "host", nil, "name or IP address to put into the certificate, for other programs; repeatable")
	c.Flags().BoolVar(&keep, "keep", false, "do nothing where there are certificates already")
	return c
}
