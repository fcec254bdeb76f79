// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroupfs

import (
	"bytes"
	"errors"
	"path"
	"strconv"
	"strings"

	"github.com/seed-cb702d51/tfork-go/internal/feature"
)

// Mount is where the cgroup v2 hierarchy can be seen.
type Mount struct {
	// Point is the directory: /sys/fs/cgroup, on hybrid hosts
	// /sys/fs/cgroup/unified.
	Point string
	// Root is the cgroup that Point shows: "/", or less if only a part of the
	// hierarchy is mounted there.
	Root string
	// ReadOnly tells that nothing can be made or changed there.
	ReadOnly bool
}

// Dir returns the directory of a cgroup that is named as in /proc/PID/cgroup;
// ok is false if it lies outside of what is mounted.
func (m Mount) Dir(cgroup string) (dir string, ok bool) {
	rest, ok := below(m.Root, cgroup)
	if !ok || !strings.HasPrefix(cgroup, "/") || path.Clean(cgroup) != cgroup {
		return "", false
	}
	return path.Join(m.Point, rest), true
}

// below cuts the directory off a path; ok is false if the path is elsewhere.
func below(dir, p string) (rest string, ok bool) {
	if p == dir {
		return "", true
	}
	return strings.CutPrefix(p, strings.TrimSuffix(dir, "/")+"/")
}

// FindMount finds where this process sees the cgroup v2 hierarchy. A host
// without one is [feature.ErrNotSupported], with the reason.
func FindMount() (Mount, error) { return findMount() }

var (
	errOnlyV1 = errors.New("only cgroup v1 hierarchies are mounted: boot with systemd.unified_cgroup_hierarchy=1, or mount -t cgroup2")
	errNone   = errors.New("no cgroup hierarchy is mounted here: mount -t cgroup2 none /sys/fs/cgroup")
)

// ParseMountinfo finds the cgroup v2 mount in the text of /proc/self/mountinfo
// (proc(5)). Of several, a writable one that shows the most wins, then the
// first. None at all is [feature.ErrNotSupported], with the reason.
func ParseMountinfo(text []byte) (Mount, error) {
	var best Mount
	v1 := false
	for line := range bytes.Lines(text) {
		m, fsType, ok := parseMount(strings.TrimSuffix(string(line), "\n"))
		v1 = v1 || ok && fsType == "cgroup"
		if ok && fsType == "cgroup2" && (best.Point == "" || m.betterThan(best)) {
			best = m
		}
	}
	if best.Point == "" {
		reason := errNone
		if v1 {
			reason = errOnlyV1
		}
		return Mount{}, &feature.Error{Name: "cgroup v2", Since: "Linux 4.5", Reason: reason}
	}
	return best, nil
}

func (m Mount) betterThan(other Mount) bool {
	if m.ReadOnly != other.ReadOnly {
		return !m.ReadOnly
	}
	return len(m.Root) < len(other.Root)
}

// parseMount reads one line: ID PARENT MAJ:MIN ROOT POINT OPTIONS [TAG...] -
// TYPE SOURCE SUPER-OPTIONS. The super block may be read-only on its own.
func parseMount(line string) (m Mount, fsType string, ok bool) {
	mount, fs, found := strings.Cut(line, " - ")
	f, s := strings.Fields(mount), strings.Fields(fs)
	if !found || len(f) < 6 || len(s) < 3 || !strings.HasPrefix(f[4], "/") {
		return Mount{}, "", false
	}
	m = Mount{Root: unescape(f[3]), Point: unescape(f[4])}
	m.ReadOnly = hasOption(f[5], "ro") || hasOption(s[2], "ro")
	return m, s[0], true
}

func hasOption(list, name string) bool {
	for o := range strings.SplitSeq(list, ",") {
		if o == name {
			return true
		}
	}
	return false
}

// unescape undoes the \ooo that stands for space, tab, newline and backslash.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// ParseSelf finds the cgroup v2 line in the text of /proc/PID/cgroup: "0::/x".
// ok is false without one (cgroup v1 alone). A removed cgroup keeps its
// " (deleted)".
func ParseSelf(text []byte) (cgroup string, ok bool) {
	for line := range bytes.Lines(text) {
		if rest, found := bytes.CutPrefix(line, []byte("0::")); found {
			return string(bytes.TrimSuffix(rest, []byte("\n"))), true
		}
	}
	return "", false
}
