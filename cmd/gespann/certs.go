package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/rpc/certs"
)

// certsFlags say what certificates to make.
type certsFlags struct {
	hosts, roles []string
	name, ca     string
	keep         bool
}

func newCerts(t terminal) *cobra.Command {
	var f certsFlags
	c := &cobra.Command{
		Use:   "certs [DIR]",
		Short: "Make what the machines of a cluster know each other by",
		Long: `Certs makes a folder with a certificate authority, a certificate that all machines
of a cluster share, and a join token. Copy it to each of them, except for ca.key:
coordinator, workers and drivers find it in the default place, or with --certs. Who
has it may do everything.

With --for it makes a folder for one person or machine, DIR, with a certificate that
says its name and what it may do, --role:

  submit      train and submit; see, fetch and cancel its own jobs
  admin       see, fetch, cancel and remove everyone's
  work        be a worker
  coordinate  be the coordinator

The authority is in the folder of --ca, with ca.key; what was made is good for a year.

Without DIR and --for the folder is gespann/certs in the user's configuration directory.`,
		Example: `  gespann certs
  cd ~/.config/gespann/certs && ssh other mkdir -p .config/gespann/certs
  scp ca.pem node.pem node.key token other:.config/gespann/certs/
  gespann certs --for alice --role submit alice-certs
  gespann certs --for rack-7 --role work rack-7-certs`,
		Args: args(0, 1, "one folder, or none for the default one"),
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := certsFolder()
			if len(args) == 1 {
				dir, err = args[0], nil
			}
			if f.name != "" {
				return f.makeFor(t, args)
			}
			switch {
			case err != nil:
				return err
			case len(f.roles) > 0:
				return usagef("--role: has no effect without --for")
			case f.ca != "":
				return usagef("--ca: has no effect without --for")
			}
			if f.keep {
				if _, err := certs.Load(dir); !errors.Is(err, fs.ErrNotExist) {
					return err
				}
			}
			if err := certs.Make(dir, f.hosts); err != nil {
				return err
			}
			fmt.Fprintf(t.out, "made   %s\nnext   copy ca.pem, node.pem, node.key and token to every machine of the cluster; ca.key stays here\n", cmp.Or(dir, "."))
			return nil
		},
	}
	c.Flags().StringVar(&f.name, "for", "", "`NAME` of the one person or machine that the folder is for")
	c.Flags().StringSliceVar(&f.roles, "role", nil, "what that one may do: submit, admin, work or coordinate; repeatable")
	c.Flags().StringVar(&f.ca, "ca", "", "`folder` with ca.pem and ca.key, with --for (default gespann/certs in the user's configuration directory)")
	c.Flags().StringSliceVar(&f.hosts, "host", nil, "name or IP address to put into the certificate, for other programs; repeatable")
	c.Flags().BoolVar(&f.keep, "keep", false, "do nothing where there are certificates already")
	return c
}

// makeFor makes a folder for one principal.
func (f *certsFlags) makeFor(t terminal, args []string) (err error) {
	if len(args) == 0 {
		return usagef("--for: got no folder to make, as in gespann certs --for %s --role submit %s-certs", shellWord(f.name), shellWord(f.name))
	}
	roles, err := dist.ParseRoles(f.roles)
	if err != nil {
		return usagef("--role: %v", err)
	}
	if roles == 0 {
		return usagef("--for: got no --role, want submit, admin, work or coordinate")
	}
	if f.ca == "" {
		if f.ca, err = certsFolder(); err != nil {
			return err
		}
	}
	dir := args[0]
	if f.keep {
		if _, err := certs.Load(dir); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := certs.MakeFor(f.ca, dir, f.name, roles, f.hosts); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "made   %s, for %s: %s\nnext   give it to %s alone, for --certs; it is good for a year\n", dir, f.name, roles, f.name)
	return nil
}
