// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package pidfd

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-cb702d51/tfork-go/internal/feature"
)

// exported are the probes under the names that users type.
var exported = map[string]*feature.Probe{
	"HaveSendSignal": sendSignalProbe, "HaveClonePidfd": cloneProbe, "HaveOpen": openProbe, "HaveClone3": clone3Probe,
	"HaveWait": waitProbe, "HaveGetFD": getFDProbe, "HaveIntoCgroup": cgroupProbe, "HaveNonblock": nonblockProbe,
	"HaveCloseRange": closeRangeProbe, "HaveThread": threadProbe, "HaveHangup": hangupProbe, "HaveInfo": infoProbe,
	"HaveExitInfo": exitInfoProbe, "HaveCoredump": coredumpProbe, "HaveAutoreap": autoreapProbe,
}

// TestKernels_AreTheDocumentedOnes: docs/kernels.md names each probe, and the
// first kernel that its error names.
func TestKernels_AreTheDocumentedOnes(t *testing.T) {
	doc, err := os.ReadFile("../docs/kernels.md")
	if err != nil {
		t.Fatal(err)
	}
	written := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| .* \\| ([0-9.]+) \\| `(Have[A-Za-z0-9]+)` \\|").FindAllStringSubmatch(string(doc), -1) {
		written[row[2]] = row[1]
	}
	want := map[string]string{"HaveSet": strings.TrimPrefix(waitProbe.Since(), "Linux ")} // the last of the set
	for name, probe := range exported {
		want[name] = strings.TrimPrefix(probe.Since(), "Linux ")
	}
	if diff := cmp.Diff(want, written); diff != "" {
		t.Errorf("docs/kernels.md (-want +got):\n%s", diff)
	}
	names := map[string]bool{}
	for _, f := range Features() {
		names[f.Name] = true
	}
	for _, probe := range exported {
		delete(names, probe.Name())
	}
	if len(names) > 0 {
		t.Errorf("features that no exported probe asks for: %q", slices.Sorted(maps.Keys(names)))
	}
}
