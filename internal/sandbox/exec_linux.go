// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Exec replaces this process by the program argv[0] (a path), which runs under
// the profile with this process's environment. It returns only with an error.
// Without CAP_SYS_ADMIN it sets no_new_privs first, as seccomp(2) demands.
func Exec(profile string, argv []string) error {
	p, ok := Find(profile)
	if !ok {
		return fmt.Errorf("no profile %q; there are %s", profile, strings.Join(names(), ", "))
	}
	// The filter belongs to a thread; exec keeps the one of the thread that
	// calls it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := p.install(); err != nil {
		return err
	}
	return &os.PathError{Op: "exec", Path: argv[0], Err: unix.Exec(argv[0], argv, os.Environ())}
}

// install puts the calling thread under the filter, for good.
func (p Profile) install() error {
	raw, err := p.program()
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, in := range raw {
		filter[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	set := func() error {
		return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0)
	}
	err = set()
	if err == unix.EACCES {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return os.NewSyscallError("prctl(PR_SET_NO_NEW_PRIVS)", err)
		}
		err = set()
	}
	runtime.KeepAlive(filter)
	return os.NewSyscallError("prctl(PR_SET_SECCOMP)", err)
}

func names() []string {
	var out []string
	for _, p := range Profiles() {
		out = append(out, p.Name)
	}
	return out
}
