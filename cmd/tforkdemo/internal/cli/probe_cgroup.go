// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/seed-cb702d51/tfork-go/cgroup"
	"github.com/seed-cb702d51/tfork-go/cmd/tforkdemo/internal/report"
)

// cgroupTable tells a person where limits can be set, and what to do where they
// cannot.
func cgroupTable(h cgroup.Host) string {
	t := report.NewTable("cgroup", "here")
	row := func(name, value string) { t.AppendRow(table.Row{name, text.WrapSoft(value, maxCgroup)}) }
	row("version", cgroupVersion(h))
	if h.Err != nil {
		row("what to do", h.Err.Error())
		return t.Render()
	}
	mount := h.Mount
	if h.ReadOnly {
		mount += " (read-only)"
	}
	row("mount", mount)
	row("controllers", list(h.Controllers))
	row("this process", h.Own)
	if h.DelegatedErr != nil {
		row("delegated", "no: "+h.DelegatedErr.Error())
		return t.Render()
	}
	row("delegated", h.Delegated)
	row("limits there", list(h.DelegatedControllers))
	if missing := h.Missing(); len(missing) > 0 {
		row("missing there", list(missing)+missingAdvice(h))
	}
	return t.Render()
}

// maxCgroup keeps the table within a terminal's width.
const maxCgroup = 80

// cgroupVersion says which hierarchies there are: hybrid hosts have both.
func cgroupVersion(h cgroup.Host) string {
	switch {
	case h.Err != nil:
		return "no v2 hierarchy"
	case len(h.V1Controllers) > 0:
		return "v2, and v1 for " + list(h.V1Controllers)
	}
	return "v2"
}

// missingAdvice is what to do about controllers that groups cannot have.
func missingAdvice(h cgroup.Host) string {
	if len(h.V1Controllers) > 0 {
		return ": where v1 holds them, boot with systemd.unified_cgroup_hierarchy=1 (cgroup_no_v1=all)"
	}
	return ": turn them on above (cgroup.subtree_control), or run it below systemd with Delegate=yes"
}

// list joins names, also none.
func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, " ")
}

// cgroupJSON is the same for a program; the fields are those of cgroup.Host.
type cgroupJSON struct {
	Version              string   `json:"version"`
	Error                string   `json:"error,omitempty"`
	Mount                string   `json:"mount,omitempty"`
	ReadOnly             bool     `json:"read_only,omitempty"`
	Controllers          []string `json:"controllers,omitempty"`
	V1Controllers        []string `json:"v1_controllers,omitempty"`
	Own                  string   `json:"own,omitempty"`
	Delegated            string   `json:"delegated,omitempty"`
	DelegatedError       string   `json:"delegated_error,omitempty"`
	DelegatedControllers []string `json:"delegated_controllers,omitempty"`
	Missing              []string `json:"missing,omitempty"`
}

// cgroupReport fills it.
func cgroupReport(h cgroup.Host) cgroupJSON {
	out := cgroupJSON{
		Version: cgroupVersion(h), Error: reason(h.Err), Mount: h.Mount, ReadOnly: h.ReadOnly,
		Controllers: h.Controllers, V1Controllers: h.V1Controllers, Own: h.Own,
		Delegated: h.Delegated, DelegatedError: reason(h.DelegatedErr), DelegatedControllers: h.DelegatedControllers,
	}
	if h.Err == nil {
		out.Missing = h.Missing()
	}
	return out
}
