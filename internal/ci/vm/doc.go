// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package vm boots a Linux kernel image in an emulated machine whose only disk
// is an archive in memory.
//
// Promise: an archive is written without privileges (device nodes and owners
// are entries, not files of the host), a machine that hangs or panics is
// reported as that and not as the fault of what ran in it, and no emulator
// outlives the call that started it.
//
// It is not a way to run anything fast: the emulator is QEMU's TCG, about 20
// times slower than the processor below it. KVM is never asked for: nested
// virtualisation that opens /dev/kvm and then hangs is common on build
// machines, and a proof must not depend on it.
//
// Kernel needs: of the host, none; of the guest, a serial console and an
// initramfs, which every distribution kernel has built in.
//
// Descriptors: none kept.
//
// Concurrency: machines share nothing.
package vm
