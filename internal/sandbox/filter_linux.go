// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"runtime"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data (linux/seccomp.h).
const (
	offsetCall = 0
	offsetArch = 4
	offsetArgs = 16 // 8 bytes each, the low half first
)

// program assembles the filter: for each rule a few tests and a return, then
// "allow". Calls of a foreign architecture (32-bit programs) are allowed.
func (p Profile) program() ([]bpf.RawInstruction, error) {
	arch, ok := map[string]uint32{
		"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64,
	}[runtime.GOARCH]
	if !ok {
		return nil, fmt.Errorf("no seccomp profiles for %s", runtime.GOARCH)
	}
	allow := bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}
	code := []bpf.Instruction{
		bpf.LoadAbsolute{Off: offsetArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: arch, SkipTrue: 1},
		allow,
	}
	for _, r := range p.Rules {
		code = append(code, r.instructions()...)
	}
	return bpf.Assemble(append(code, allow))
}

// instructions answer the rule's errno if it fits, and fall through otherwise.
func (r Rule) instructions() []bpf.Instruction {
	fail := bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | r.Errno}
	load := bpf.LoadAbsolute{Off: offsetCall, Size: 4}
	if r.If == nil {
		return []bpf.Instruction{load, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: r.Call, SkipTrue: 1}, fail}
	}
	return []bpf.Instruction{
		load,
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: r.Call, SkipTrue: 4},
		bpf.LoadAbsolute{Off: offsetArgs + 8*uint32(r.If.Arg), Size: 4},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: r.If.Mask},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: r.If.Value, SkipTrue: 1},
		fail,
	}
}
