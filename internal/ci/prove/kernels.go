// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/seed-cb702d51/tfork-go/internal/ci/debian"
	"github.com/seed-cb702d51/tfork-go/internal/ci/plan"
	"github.com/seed-cb702d51/tfork-go/internal/ci/suite"
	"github.com/seed-cb702d51/tfork-go/internal/ci/vm"
)

// emulated is by how much a machine of the matrix is slower than its host.
const emulated = 10

// kernels boots every series and runs the suites there.
func (j *job) kernels(ctx context.Context) ([]suite.Place, error) {
	if runtime.GOARCH != "amd64" {
		return nil, fmt.Errorf("the kernel matrix is for amd64, this is %s", runtime.GOARCH)
	}
	err := debian.Install(ctx, j.out,
		debian.Tool{Program: vm.Emulator, Package: "qemu-system-x86"},
		debian.Tool{Program: "busybox", Package: "busybox-static"})
	if errors.Is(err, debian.ErrUnavailable) {
		return j.tour(ctx, j.machines(nil, nil, err)), nil
	}
	if err != nil {
		return nil, err
	}
	o := suite.Options{
		Dir: stageInGuest, Users: []string{plan.Root, plan.User},
		Slow: emulated, Short: j.short, Run: j.run, Timeout: runTimeout,
	}
	if j.short { // the ordinary user is looked after by the sandboxes
		o.Users = []string{plan.Root}
	}
	p := plan.Plan{Settle: settle, Cgroup: "/sys/fs/cgroup", Sessions: true, Runs: j.stage.Runs(o)}
	cache, err := debian.Open(j.cacheDir)
	if err != nil {
		return nil, err
	}
	images := j.fetchKernels(ctx, cache)
	initrd, err := j.initrd(p)
	if err != nil {
		return nil, err
	}
	return j.tour(ctx, j.machines(images, func(ctx context.Context, image string, at *suite.Place) error {
		// A suite that hangs is killed by the runner; more silence than that
		// takes is the machine's.
		m := vm.Machine{Kernel: image, Initrd: initrd, Memory: memory, Silence: runTimeout + time.Minute}
		return j.matrixCell(ctx, m, p.Runs, at)
	}, nil)), nil
}

// machines makes a visit of each series: boot starts its kernel, unless there
// is a reason why no machine, or not this one, can be had.
func (j *job) machines(images map[string]fetched, boot func(context.Context, string, *suite.Place) error, missing error) []visit {
	var visits []visit
	for _, s := range allSeries {
		if j.short && !s.short {
			continue
		}
		visits = append(visits, visit{s.name, func(ctx context.Context, at *suite.Place) error {
			if err := errors.Join(missing, images[s.name].err); err != nil {
				return err
			}
			return boot(ctx, images[s.name].path, at)
		}})
	}
	return visits
}

// matrixCell does all runs in one kind of machine. A machine that panics or
// hangs is started again for what is left; the run that was under way then
// gets a second chance, and no third.
func (j *job) matrixCell(ctx context.Context, m vm.Machine, runs []plan.Run, at *suite.Place) error {
	// The emulator is tied to this thread's life.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	results, done, err := j.collect(at.Name, runs)
	if err != nil {
		return err
	}
	defer done()
	// What the machine said before a fault is worth as much as without one.
	fault := boots(ctx, m, results, at)
	return errors.Join(fault, j.take(at, results))
}

// boots starts machines until every run is over.
func boots(ctx context.Context, m vm.Machine, results *suite.Collector, at *suite.Place) error {
	faults := map[int]bool{}
	for {
		// What is over is not repeated.
		m.FirstRun = results.Next()
		results.Current = -1
		console, err := m.Run(ctx, results.Line)
		switch {
		case results.Trouble != "":
			return errors.New(results.Trouble)
		case results.Finished:
			return nil
		case err == nil:
			err = errors.New("the machine went off before its time")
		}
		err = fmt.Errorf("%w %s", err, results.Where())
		if faults[results.Current] || ctx.Err() != nil {
			return fmt.Errorf("%w; the console's last lines:\n%s", err, lastLines(console, 40))
		}
		faults[results.Current] = true
		at.Notes = append(at.Notes, err.Error()+"; started again once")
	}
}

// Where the guest sees the stage, how long one run may take, and how much memory
// a machine has.
const (
	stageInGuest = "/s"
	runTimeout   = 15 * time.Minute
	// The archive is in memory twice while it is unpacked.
	memory = 1024 // MiB
)

// initrd writes the one archive that all machines start from.
func (j *job) initrd(p plan.Plan) (path string, err error) {
	// A static busybox stands in for all the programs that tests start.
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return "", err
	}
	orders, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	f, err := os.CreateTemp(filepath.Dir(j.runner), "initrd-")
	if err != nil {
		return "", err
	}
	defer f.Close()
	// The same paths as in the stage, below another root.
	a := vm.NewArchive(f)
	a.BaseSystem(busybox, j.runner)
	a.Copy(filepath.Join(stageInGuest, plan.Probes), filepath.Join(j.stage.Dir, plan.Probes))
	for _, s := range append([]string{"docs"}, j.stage.Suites...) {
		a.Tree(filepath.Join(stageInGuest, s), filepath.Join(j.stage.Dir, s))
	}
	a.File(vm.PlanPath, 0o644, orders)
	return f.Name(), a.Close()
}

// lastLines returns the last n lines of s: a log says at its end why it ended.
func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
