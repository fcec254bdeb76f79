// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/seed-cb702d51/tfork-go/internal/ci/plan"
	"github.com/seed-cb702d51/tfork-go/internal/ci/tether"
)

// Where the guest's first process finds its orders, and where it reports.
const (
	PlanPath     = "/plan.json"
	RecordDevice = "/dev/ttyS1"
)

// Emulator is the program that plays the machine.
const Emulator = "qemu-system-x86_64"

// Machine is one start of one kernel.
type Machine struct {
	Kernel string // path of the image
	Initrd string // path of the archive
	Memory int    // MiB
	// Silence is how long the guest may write no record before it counts as
	// hung, once it has written the first; until then it has BootTime.
	Silence time.Duration
	// FirstRun reaches the first process in its environment, as FirstRunKey.
	FirstRun int
}

// BootTime is how long a kernel may take to reach its first process: 20 times
// what the slowest needs here.
const BootTime = 3 * time.Minute

// FirstRunKey names the run that the guest begins with: a kernel hands what
// looks like NAME=VALUE on its command line on to the first process.
const FirstRunKey = "TFORK_FIRST_RUN"

// The ways in which a machine can be at fault.
var (
	ErrPanic = errors.New("guest kernel panic")
	ErrHung  = errors.New("guest hung")
)

// Run starts the machine, hands each line that the guest writes to its record
// device to line, and returns when the machine is off. A nil error says only
// that it switched itself off without a panic; console is the kernel's log.
func (m Machine) Run(ctx context.Context, line func([]byte)) (console string, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer r.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var log bytes.Buffer
	cmd := m.command(ctx)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.ExtraFiles = []*os.File{w} // descriptor 3
	err = cmd.Start()
	w.Close()
	if err != nil {
		return "", err
	}
	watch := time.AfterFunc(BootTime, func() { cancel(ErrHung) })
	plan.Lines(r, func(b []byte) {
		watch.Reset(m.Silence)
		line(b)
	})
	err = cmd.Wait()
	watch.Stop()
	switch console = log.String(); {
	case strings.Contains(console, "Kernel panic"):
		return console, ErrPanic
	case context.Cause(ctx) != nil:
		return console, context.Cause(ctx)
	case err != nil:
		return console, fmt.Errorf("%s: %w", Emulator, err)
	}
	return console, nil
}

// dear are features of a processor that cost an emulator much.
const dear = ",-avx,-avx2,-fma,-f16c,-erms,-smap,-smep,-pku,-la57"

// command is the emulator with the settings that have proved stable: one
// thread and no cmpxchg16b keep clear of two faults in QEMU 7.2's TCG that
// panic one guest in three, and a microvm boots fastest. (It has one processor:
// without ACPI the kernel finds no other.) What is dear to emulate and nobody
// needs here is left out, wide registers above all: that saves a third of the
// time. Its first serial line is the console on standard output, its second the
// records on descriptor 3.
func (m Machine) command(ctx context.Context) *exec.Cmd {
	cmd := exec.CommandContext(ctx, Emulator,
		"-M", "microvm,acpi=off,pit=on,pic=on,rtc=on,isa-serial=on",
		"-accel", "tcg,thread=single", "-cpu", "max,-cx16"+dear, "-smp", "1", "-m", fmt.Sprint(m.Memory),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
		"-chardev", "file,id=records,path=/dev/fd/3", "-device", "isa-serial,chardev=records,index=1",
		"-kernel", m.Kernel, "-initrd", m.Initrd,
		"-append", fmt.Sprintf("console=ttyS0 quiet panic=-1 reboot=t mitigations=off %s=%d", FirstRunKey, m.FirstRun))
	cmd.WaitDelay = 5 * time.Second
	tether.Tether(cmd)
	return cmd
}
