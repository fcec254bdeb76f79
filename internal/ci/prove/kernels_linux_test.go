// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-cb702d51/tfork-go/internal/ci/plan"
	"github.com/seed-cb702d51/tfork-go/internal/ci/suite"
	"github.com/seed-cb702d51/tfork-go/internal/ci/vm"
)

// fakeMachines puts a shell script in the emulator's place. In it $START counts
// the starts, from 1, and $FIRST is the run to begin with.
func fakeMachines(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	text := `#!/bin/sh
echo >>"$0.starts"
START=$(wc -l <"$0.starts")
for FIRST; do :; done
FIRST=${FIRST##*=}
` + script
	if err := os.WriteFile(filepath.Join(dir, vm.Emulator), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// boot starts fake machines for three runs, and returns what was noted and what
// went wrong.
func boot(t *testing.T, script string) (c *suite.Collector, notes, trouble string) {
	t.Helper()
	fakeMachines(t, script)
	var at suite.Place
	c = suite.NewCollector([]plan.Run{{ID: 0, Suite: "a"}, {ID: 1, Suite: "b", User: plan.Root}, {ID: 2, Suite: "c"}})
	if err := boots(context.Background(), vm.Machine{Silence: time.Minute}, c, &at); err != nil {
		trouble = err.Error()
	}
	return c, strings.Join(at.Notes, "\n"), trouble
}

const runAll = `
i=$FIRST
while [ $i -lt 3 ]; do
	echo '{"Kind":"start","Run":'$i'}' >&3
	[ $i = 1 ] && panic_maybe
	echo '{"Kind":"end","Run":'$i'}' >&3
	i=$((i+1))
done
echo '{"Kind":"done"}' >&3
`

func TestBoots_GoesOnAfterAPanic(t *testing.T) {
	c, notes, trouble := boot(t, `panic_maybe() { [ $START = 1 ] && echo Kernel panic && exit 0; }`+runAll)
	if trouble != "" || !c.Finished || c.Next() != 3 {
		t.Errorf("finished %v at run %d, %s", c.Finished, c.Next(), trouble)
	}
	if want := "guest kernel panic in b as root; started again once"; notes != want {
		t.Errorf("noted %q, want %q", notes, want)
	}
}

func TestBoots_GivesUpAtTheSecondPanic(t *testing.T) {
	c, notes, trouble := boot(t, `panic_maybe() { echo Kernel panic number $START; exit 0; }`+runAll)
	if c.Finished || c.Next() != 1 || strings.Count(notes, "\n") != 0 {
		t.Errorf("finished %v at run %d, noted %q", c.Finished, c.Next(), notes)
	}
	if !strings.Contains(trouble, "guest kernel panic in b as root") || !strings.HasSuffix(trouble, "Kernel panic number 2") {
		t.Errorf("trouble: %q", trouble)
	}
}

func TestBoots_ReportsARunnerThatCannotGoOn(t *testing.T) {
	_, _, trouble := boot(t, `echo '{"Kind":"fail","Text":"no plan"}' >&3`)
	if trouble != "no plan" {
		t.Errorf("trouble: %q", trouble)
	}
}
