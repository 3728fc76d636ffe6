package main

import (
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/gespann/gespann/dist/launch"
	"github.com/gespann/gespann/dist/rpc/certs"
	"github.com/gespann/gespann/model/spec"
)

// releaseTag is what versions of releases look like, which images are named after.
var releaseTag = regexp.MustCompile(`^v?[0-9]+\.[0-9]+\.[0-9]+$`)

// imageOf returns the image that an engine runs this program from: the one that is given,
// or that of this release.
func imageOf(given string, gpus int) (string, error) {
	if given != "" {
		return given, launch.CheckImage(given)
	}
	name := "gespann"
	if gpus > 0 {
		name = "gespann-cuda"
	}
	if v := moduleVersion(); releaseTag.MatchString(v) {
		return name + ":" + v, nil
	}
	return "", usagef("--image: which one? this program is version %s, after which no image is called\n"+
		"hint: docker build -t REGISTRY/%s:TAG . makes one; --image names it", moduleVersion(), name)
}

// kubeManifest returns the manifest of a run, whose spec is as it was written.
func kubeManifest(s *spec.Spec, f *manifestFlags) (string, error) {
	name := s.Train.Name
	if name == "" {
		name = s.RunName()
	}
	label, err := launch.Label(name)
	if err != nil {
		return "", err
	}
	m := &launch.Manifest{
		Kind: f.to, Name: label, Workers: s.Cluster.Workers, Resources: launch.Resources(s.Cluster.Resources),
		Storage: f.storage, DataClaim: f.dataClaim, Download: s.Data.Downloads(),
	}
	if m.Image, err = imageOf(s.Cluster.Image, s.Cluster.Resources.GPUs); err != nil {
		return "", err
	}
	if m.Config, err = configInside(s, name, f.dataClaim); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "gespann-certs-") // its owner's alone
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	if err := certs.Make(filepath.Join(dir, "new"), nil); err != nil {
		return "", err
	}
	if m.Files, err = certs.Shared(filepath.Join(dir, "new")); err != nil {
		return "", err
	}
	return m.YAML()
}

// configInside returns the spec for a driver in a pod: with the claims where that has them.
func configInside(s *spec.Spec, name, dataClaim string) (string, error) {
	paths := s.Data.Paths()
	for _, key := range slices.Sorted(maps.Keys(paths)) {
		switch p := paths[key]; {
		case dataClaim == "":
			return "", s.Errorf(key, "got %s, which is on this machine, but pods have only what a claim brings\n"+
				"hint: --data-claim names a PersistentVolumeClaim with the files of the data", p)
		case path.IsAbs(p) && p != launch.ManifestData && !strings.HasPrefix(p, launch.ManifestData+"/"):
			return "", s.Errorf(key, "got %s, but --data-claim is at %s\nhint: a relative path is in it", p, launch.ManifestData)
		case !path.IsAbs(p) && !filepath.IsLocal(p):
			return "", s.Errorf(key, "got %s, which leads out of the claim that --data-claim names", p)
		case !path.IsAbs(p):
			s.Data.Root = launch.ManifestData
		}
	}
	if len(paths) == 0 && dataClaim != "" {
		return "", usagef("--data-claim: has no effect: the data has no files")
	}
	for _, key := range []string{"cluster.listen", "cluster.dashboard", "cluster.certs", "train.dir"} {
		if s.Overridden(key) { // what a file says may be for other places
			return "", s.Errorf(key, "has no effect: in a pod it is as the manifest says")
		}
	}
	s.Train.Dir, s.Train.Name = launch.ManifestHome+"/runs", name
	s.Cluster.Launch, s.Cluster.Certs = launch.Beside, launch.ManifestCerts
	s.Cluster.Image = "" // that of the pod
	s.Cluster.Listen, s.Cluster.Dashboard = launch.ManifestListen, launch.ManifestPage
	s.Cluster.Resources.MemoryMiB, s.Cluster.Resources.Minutes = 0, 0 // Kubernetes sees to them
	text, err := s.Marshal()
	if err != nil {
		return "", err
	}
	if _, err := spec.Parse("run.yaml", text, spec.Options{}); err != nil {
		return "", fmt.Errorf("in a pod: %w", err)
	}
	return string(text), nil
}
