// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/boot"
	"github.com/seed-cb702d51/tfork-go/internal/role"
	"github.com/seed-cb702d51/tfork-go/internal/sys"
)

// play plays the role. It returns only to say why it did not.
func play(r role.Role) error {
	switch r.Kind {
	case role.Worker:
		return runFunc(r.FD)
	case role.Waiter:
		return serveWaiter(r.FD)
	case role.Launcher:
		return runLauncher(r.FD)
	}
	return fmt.Errorf("role refused: %q is not played here", r.Kind)
}

// runFunc is the life of a worker function. Its descriptors, after 0, 1 and 2
// and the ExtraFiles, are the boot record and the lifeline, and if it joins a
// cgroup that one's cgroup.procs and a pipe for reports.
func runFunc(bootFD int) error {
	r, payload, err := readBoot(bootFD)
	if err != nil {
		return fmt.Errorf("role refused: %w", err)
	}
	if 3+r.Files != bootFD {
		return fmt.Errorf("role refused: %d files do not end at descriptor %d", r.Files, bootFD)
	}
	if r.Joins {
		if err := join(bootFD+2, bootFD+3); err != nil {
			return err
		}
	}
	files, err := extraFiles(r.Files, bootFD)
	if err != nil {
		return fmt.Errorf("role refused: %w", err)
	}
	unix.Close(bootFD)
	life, err := openLifelineEnd(bootFD + 1)
	if err != nil {
		return fmt.Errorf("role refused: lifeline: %w", err)
	}
	run := lookupFunc(r.Name)
	if run == nil {
		return fmt.Errorf("role refused: %w: %q (register it before Dispatch)", ErrNotRegistered, r.Name)
	}
	setComm(os.Args[0])
	if r.Joins {
		unix.Close(bootFD + 3) // nothing to report: the function begins
	}
	w := &Worker{Name: r.Name, Args: os.Args[1:], Payload: payload, Files: files, lifeline: life}
	os.Exit(exitStatus(run(w)))
	return nil
}

// runLauncher joins a cgroup and becomes the program. Its descriptors, after
// those of the program, are the boot record, the cgroup's cgroup.procs and a
// pipe for reports.
func runLauncher(bootFD int) error {
	r, payload, err := readBoot(bootFD)
	if err != nil || !r.Joins {
		return fmt.Errorf("role refused: not a launcher's record: %w", err)
	}
	p, err := boot.ParseProgram(payload)
	if err != nil {
		return fmt.Errorf("role refused: %w", err)
	}
	// As early as can be: until then such a signal ends this process.
	sys.Ignore(p.Ignore)
	unix.Close(bootFD)
	procs, status := bootFD+1, bootFD+2
	if err := join(procs, status); err != nil {
		return err
	}
	err = syscall.Exec(p.Path, p.Args, p.Env)
	reportFailure(status, stageExec, err)
	return &os.PathError{Op: "exec", Path: p.Path, Err: err}
}

// exitStatus keeps a failure from becoming 0 when the kernel cuts it to eight
// bits.
func exitStatus(code int) int {
	if code != 0 && code&0xff == 0 {
		return 255
	}
	return code
}

// extraFiles takes descriptors 3 to 2+n. Where a file was nil the caller put
// the boot record.
func extraFiles(n, bootFD int) ([]*os.File, error) {
	var record, st unix.Stat_t
	if err := unix.Fstat(bootFD, &record); err != nil {
		return nil, os.NewSyscallError("fstat", err)
	}
	files := make([]*os.File, n)
	for i := range files {
		fd := 3 + i
		if err := unix.Fstat(fd, &st); err != nil {
			return nil, os.NewSyscallError("fstat", err)
		}
		if st.Dev == record.Dev && st.Ino == record.Ino {
			unix.Close(fd)
			continue
		}
		unix.CloseOnExec(fd)
		files[i] = os.NewFile(uintptr(fd), fmt.Sprintf("tfork file %d", i))
	}
	return files, nil
}

// setComm sets the name of the process's first thread, whichever thread this
// is. The kernel keeps 15 bytes. Without /proc the name stays "exe".
func setComm(title string) {
	if f, err := os.OpenFile("/proc/self/comm", os.O_WRONLY, 0); err == nil {
		f.WriteString(title[:min(len(title), boot.CommSize)])
		f.Close()
	}
}
