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
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/seed-cb702d51/tfork-go/internal/ci/debian"
	"github.com/seed-cb702d51/tfork-go/internal/ci/plan"
	"github.com/seed-cb702d51/tfork-go/internal/ci/suite"
	"github.com/seed-cb702d51/tfork-go/internal/ci/vm"
)

// series is a line of kernels, of which the newest in Debian is taken.
type series struct {
	name  string
	image *regexp.Regexp
	// suites are tried in this order.
	suites []string
	// short tells whether the short form has it.
	short bool
}

// allSeries are the kernels of the matrix: each differs from the one before in
// something that this module uses (docs/kernels.md).
var allSeries = []series{
	{"5.10", image(`5\.10`), []string{"bullseye-security", "bullseye"}, false},
	{"6.1", image(`6\.1`), []string{"bookworm-security", "bookworm"}, false},
	{"6.12", image(`6\.12`), []string{"bookworm-security", "bookworm-backports", "trixie-security", "trixie"}, true},
	{"6.16", image(`6\.16`), []string{"trixie-backports"}, false},
	{"6.18", image(`6\.18`), []string{"trixie-backports"}, false},
	{"newest", image(`([7-9]|\d\d)\.\d+`), []string{"trixie-backports", "forky", "sid"}, true},
}

// image matches the packages of kernel images, without the suffix of those that
// hold debugging symbols or unsigned images.
func image(version string) *regexp.Regexp {
	return regexp.MustCompile(`^linux-image-` + version + `\.\d+[^ ]*-cloud-amd64$`)
}

// allStrategies are the values of TFORK_STRATEGY.
var allStrategies = []string{"auto", "direct", "waiter"}

// emulated is by how much a machine of the matrix is slower than its host.
const emulated = 20

// kernels boots every series and runs the suites there.
func (j *job) kernels(ctx context.Context) ([]suite.Place, error) {
	if runtime.GOARCH != "amd64" {
		return nil, fmt.Errorf("the kernel matrix is for amd64, this is %s", runtime.GOARCH)
	}
	err := debian.Install(ctx, j.out,
		debian.Tool{Program: vm.Emulator, Package: "qemu-system-x86"},
		debian.Tool{Program: "busybox", Package: "busybox-static"})
	if err != nil {
		return nil, err
	}
	cache, err := debian.Open(j.cacheDir)
	if err != nil {
		return nil, err
	}
	images := j.fetchKernels(ctx, cache)
	p := plan.Plan{Settle: settle, Cgroup: "/sys/fs/cgroup", Runs: j.stage.Runs(suite.Options{
		Dir: stageInGuest, Users: []string{plan.Root, plan.User}, Strategies: allStrategies,
		Slow: emulated, Short: j.short, Run: j.run, Timeout: runTimeout,
	})}
	initrd, err := j.initrd(p)
	if err != nil {
		return nil, err
	}
	var visits []visit
	for _, s := range allSeries {
		if j.short && !s.short {
			continue
		}
		visits = append(visits, visit{s.name, func(ctx context.Context, at *suite.Place) error {
			img := images[s.name]
			if errors.Is(img.err, debian.ErrUnavailable) {
				at.Missing = img.err.Error()
				return nil
			}
			if img.err != nil {
				return img.err
			}
			return j.matrixCell(ctx, vm.Machine{Kernel: img.path, Initrd: initrd, Memory: 1024, Silence: runTimeout + time.Minute}, p.Runs, at)
		}})
	}
	return j.tour(ctx, visits), nil
}

// fetched is a kernel image, or why there is none.
type fetched struct {
	path string
	err  error
}

// fetchKernels brings the images, one after the other: apt's lists are shared.
func (j *job) fetchKernels(ctx context.Context, cache *debian.Cache) map[string]fetched {
	images := map[string]fetched{}
	for _, s := range allSeries {
		if !j.place.MatchString(s.name) || j.short && !s.short {
			continue
		}
		path, err := fetchKernel(ctx, cache, s)
		images[s.name] = fetched{path, err}
		if err == nil {
			j.say("kernel %s: %s", s.name, strings.TrimPrefix(path, cache.Dir()+"/unpacked/"))
		}
	}
	return images
}

// fetchKernel brings the newest image of a series.
func fetchKernel(ctx context.Context, cache *debian.Cache, s series) (string, error) {
	pkg, err := cache.Newest(ctx, s.suites, s.image)
	if err != nil {
		return "", err
	}
	path, err := imageIn(ctx, pkg)
	if path == "" && err == nil {
		// From 7.x on, linux-image only depends on the package with the image.
		pkg.Name = strings.Replace(pkg.Name, "linux-image-", "linux-binary-", 1)
		path, err = imageIn(ctx, pkg)
	}
	if path == "" && err == nil {
		err = fmt.Errorf("package %s holds no kernel image", pkg.Name)
	}
	return path, err
}

// imageIn unpacks the image of a package, and returns "" if there is none.
func imageIn(ctx context.Context, pkg debian.Package) (string, error) {
	dir, err := pkg.Unpack(ctx, "./boot/vmlinuz-*", "./usr/lib/modules/*/vmlinuz")
	if err != nil {
		return "", err
	}
	for _, pattern := range []string{"boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz"} {
		if found, _ := filepath.Glob(filepath.Join(dir, pattern)); len(found) > 0 {
			return found[0], nil
		}
	}
	return "", nil
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
	fault := boots(ctx, m, results, at)
	return errors.Join(fault, j.take(at, results))
}

// boots starts machines until every run is over.
func boots(ctx context.Context, m vm.Machine, results *suite.Collector, at *suite.Place) error {
	faults := map[int]bool{}
	for {
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

// Where the guest sees the stage, and how long one run may take.
const (
	stageInGuest = "/s"
	runTimeout   = 15 * time.Minute
)

// initrd writes the one archive that all machines start from.
func (j *job) initrd(p plan.Plan) (path string, err error) {
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
	a := vm.NewArchive(f)
	a.BaseSystem(busybox, j.runner)
	a.Copy(filepath.Join(stageInGuest, plan.Probes), filepath.Join(j.stage.Dir, plan.Probes))
	for _, s := range append([]string{"docs"}, j.stage.Suites...) {
		a.Tree(filepath.Join(stageInGuest, s), filepath.Join(j.stage.Dir, s))
	}
	a.File(vm.PlanPath, 0o644, orders)
	return f.Name(), a.Close()
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
