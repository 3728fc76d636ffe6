package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestDeploy checks that the program takes what containers of deploy/kubernetes tell it,
// that they may do no more than they need, and that no policy is for pods of others.
func TestDeploy(t *testing.T) {
	files, err := filepath.Glob("../../deploy/kubernetes/*.yaml")
	if err != nil || len(files) < 4 {
		t.Fatalf("found %v, %v", files, err)
	}
	containers, policies := 0, 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
			var o struct {
				Kind string
				Spec struct {
					PodSelector struct {
						MatchLabels map[string]string `yaml:"matchLabels"`
					} `yaml:"podSelector"`
					Template struct {
						Spec struct {
							Security   map[string]any `yaml:"securityContext"`
							Containers []struct {
								Args     []string
								Security map[string]any `yaml:"securityContext"`
							}
						}
					}
				}
			}
			if err := d.Decode(&o); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if o.Kind == "NetworkPolicy" {
				policies++
				if len(o.Spec.PodSelector.MatchLabels) == 0 {
					t.Errorf("%s: a policy is for all pods of the namespace", file)
				}
			}
			for _, c := range o.Spec.Template.Spec.Containers {
				containers++
				command, rest, err := newRoot(terminal{strings.NewReader(""), io.Discard, io.Discard}).Find(c.Args)
				if err == nil {
					err = command.ParseFlags(rest)
				}
				if err != nil {
					t.Errorf("%s: %v: %v", file, c.Args, err)
				}
				pod := o.Spec.Template.Spec.Security
				if pod["runAsNonRoot"] != true || c.Security["allowPrivilegeEscalation"] != false || c.Security["readOnlyRootFilesystem"] != true {
					t.Errorf("%s: got %v and %v, want what the policy restricted wants", file, pod, c.Security)
				}
			}
		}
	}
	if containers != 2 || policies != 2 {
		t.Errorf("got %d containers and %d policies, want two of each", containers, policies)
	}
}
