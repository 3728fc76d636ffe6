package main

import (
	"github.com/spf13/cobra"

	"github.com/gespann/gespann/model/spec"
)

func newSchema(t terminal) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration",
		Long: `Schema prints the JSON Schema of the YAML file, for editors that complete and
check while you type.`,
		Example: `  gespann schema > schema.json
  # and in the first line of the YAML file:
  # yaml-language-server: $schema=schema.json`,
		Args: args(0, 0, "none"),
		RunE: func(*cobra.Command, []string) error {
			text, err := spec.Schema()
			if err != nil {
				return err
			}
			_, err = t.out.Write(text)
			return err
		},
	}
}
