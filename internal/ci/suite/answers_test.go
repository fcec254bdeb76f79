// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-cb702d51/tfork-go/internal/ci/plan"
)

const table = `# Kernels

| feature | first kernel |
|---|---|
| x | 1.0 |

| probe | first kernel | 6.1 | 7.3 | sandbox |
|---|---|---|---|---|
| open | 5.3 | y | y | - |
| info | 6.13 | - | y | - |
| Auto picks |  | waiter | direct | waiter |

| other | first kernel | 6.1 |
`

func TestDocumented_Differences(t *testing.T) {
	d, err := parseDocumented(strings.NewReader(table))
	if err != nil {
		t.Fatal(err)
	}
	auto := plan.Answer{Probe: plan.AutoPicks, State: "waiter"}
	open := plan.Answer{Probe: "open", Since: "Linux 5.3", State: "works"}
	info := plan.Answer{Probe: "info", Since: "Linux 6.13", State: "no", Reason: "ENOTTY"}
	tests := []struct {
		name, place, release string
		nature               Nature
		answers              []plan.Answer
		want                 []string
	}{
		{"agree", "6.1", "6.1.0-56-cloud", Real, []plan.Answer{open, info, auto}, nil},
		{"emulated: no version counts", "sandbox", "4.4.0", Emulated, []plan.Answer{{Probe: "open", Since: "Linux 5.3", State: "no"}, info, auto}, nil},
		{"filtered: too old for it anyway", "7.3", "6.1.0", Filtered, []plan.Answer{open, info, auto}, nil},
		{"filtered: new enough for it", "7.3", "6.18.0", Filtered, []plan.Answer{open, info, auto}, []string{
			`Auto picks: the probe says waiter (), the table "direct"`,
			`info: the probe says - (ENOTTY), the table "y"`,
		}},
		{"another answer", "7.3", "7.3.4", Real, []plan.Answer{open, info, auto}, []string{
			`Auto picks: the probe says waiter (), the table "direct"`,
			`info: the probe says - (ENOTTY), the table "y"`,
			`info: the probe says false on 7.3.4 (ENOTTY), and names Linux 6.13 as the first`,
		}},
		{"another first kernel", "6.1", "6.1.0", Real, []plan.Answer{{Probe: "open", Since: "Linux 5.4", State: "works"}, info, auto}, []string{
			`open: the probe names Linux 5.4 as the first, the table "5.3"`,
		}},
		{"rows without a probe", "6.1", "6.1.0", Real, []plan.Answer{open}, []string{
			"Auto picks: in the table, but no probe", "info: in the table, but no probe",
		}},
		{"could not tell", "sandbox", "4.4.0", Emulated, []plan.Answer{{Probe: "open", Since: "Linux 5.3", State: "unknown", Reason: "EMFILE"}, info, auto}, []string{
			`open: the probe says unknown (EMFILE), the table "-"`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, d.Differences(tt.place, tt.release, tt.nature, tt.answers)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestParseDocumented_Refuses(t *testing.T) {
	for _, text := range []string{"", "| probe | first |\n", "| probe | first kernel | 6.1 |\n|---|---|---|\n| open | 5.3 |\n"} {
		if d, err := parseDocumented(strings.NewReader(text)); err == nil {
			t.Errorf("%q gives %v", text, d)
		}
	}
}

// TestReport_AnswersCanBeRead prints a table and reads it again.
func TestReport_AnswersCanBeRead(t *testing.T) {
	want, err := parseDocumented(strings.NewReader(table))
	if err != nil {
		t.Fatal(err)
	}
	var r Report
	for _, place := range []string{"6.1", "7.3", "sandbox"} {
		p := Place{Name: place}
		for _, probe := range []string{"open", "info", plan.AutoPicks} {
			a := plan.Answer{Probe: probe, Since: want[""][probe], State: want[place][probe]}
			p.Answers = append(p.Answers, a)
		}
		r.Places = append(r.Places, p)
	}
	var b strings.Builder
	r.writeAnswers(&b)
	got, err := parseDocumented(strings.NewReader(b.String()))
	if err != nil {
		t.Fatalf("%v\n%s", err, &b)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
