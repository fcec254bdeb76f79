// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package pidfd

import "github.com/seed-cb702d51/tfork-go/internal/feature"

// Each probe tries the behaviour itself, once, and remembers a sure answer.
var (
	openProbe       = feature.New("pidfd_open", "Linux 5.3", testOpen)
	sendSignalProbe = feature.New("pidfd_send_signal", "Linux 5.1", testSendSignal)
	waitProbe       = feature.New("waitid with P_PIDFD", "Linux 5.4", testWait)
	cloneProbe      = feature.New("clone with CLONE_PIDFD", "Linux 5.2", testClonePidfd)
	clone3Probe     = feature.New("clone3", "Linux 5.3", testClone3)
	getFDProbe      = feature.New("pidfd_getfd", "Linux 5.6", testGetFD)
	cgroupProbe     = feature.New("clone3 with CLONE_INTO_CGROUP", "Linux 5.7", testIntoCgroup)
	nonblockProbe   = feature.New("pidfd_open with PIDFD_NONBLOCK", "Linux 5.10", testNonblock)
	closeRangeProbe = feature.New("close_range with CLOSE_RANGE_CLOEXEC", "Linux 5.11", testCloseRange)
	threadProbe     = feature.New("pidfd_open with PIDFD_THREAD", "Linux 6.9", testThread)
	hangupProbe     = feature.New("POLLHUP of a reaped process", "Linux 6.9", testHangup)
	infoProbe       = feature.New("PIDFD_GET_INFO", "Linux 6.13", testInfo)
	exitInfoProbe   = feature.New("PIDFD_INFO_EXIT", "Linux 6.15", testExitInfo)
	coredumpProbe   = feature.New("PIDFD_INFO_COREDUMP", "Linux 6.16", testCoredump)
	autoreapProbe   = feature.New("clone3 with CLONE_AUTOREAP", "Linux 7.1", testAutoreap)
)

// HaveOpen answers nil if pidfd_open(2) works here, an error that is
// [ErrNotSupported] if it conclusively does not, and any other error if that
// could not be told at this moment (out of descriptors, for instance).
//
// So do all functions whose names begin with Have. They try the behaviour,
// never the version; ask the system once (a "could not tell" is asked again);
// start no process, change nothing, and take microseconds.
func HaveOpen() error { return openProbe.Have() }

// HaveSendSignal answers for pidfd_send_signal(2), which [FD.Signal] needs
// (Linux 5.1). See [HaveOpen].
func HaveSendSignal() error { return sendSignalProbe.Have() }

// HaveWait answers for waitid(2) with P_PIDFD, which [New] and [FD.Wait] need
// (Linux 5.4). See [HaveOpen].
func HaveWait() error { return waitProbe.Have() }

// HaveClonePidfd answers for CLONE_PIDFD, which makes
// syscall.SysProcAttr.PidFD a descriptor for [New] (Linux 5.2). See [HaveOpen].
//
// The answer is that of the standard library's own check, which it makes before
// it starts its first process: a clone that exits at once, gives no SIGCHLD and
// is not seen by wait4(-1).
func HaveClonePidfd() error { return cloneProbe.Have() }

// HaveSet answers for the set that Linux 5.4 completes: [HaveOpen],
// [HaveSendSignal], [HaveWait] and [HaveClonePidfd]. The error is that of the
// first that is missing.
func HaveSet() error {
	for _, have := range []func() error{HaveOpen, HaveSendSignal, HaveWait, HaveClonePidfd} {
		if err := have(); err != nil {
			return err
		}
	}
	return nil
}

// HaveClone3 answers for clone3(2) (Linux 5.3), which default container
// profiles refuse. See [HaveOpen].
func HaveClone3() error { return clone3Probe.Have() }

// HaveGetFD answers for pidfd_getfd(2), which [FD.GetFD] needs (Linux 5.6). See
// [HaveOpen].
func HaveGetFD() error { return getFDProbe.Have() }

// HaveIntoCgroup answers for CLONE_INTO_CGROUP, which starts a process inside a
// cgroup (syscall.SysProcAttr.UseCgroupFD, Linux 5.7). It says nothing about a
// cgroup v2 file system. See [HaveOpen].
func HaveIntoCgroup() error { return cgroupProbe.Have() }

// HaveNonblock answers for PIDFD_NONBLOCK (Linux 5.10). This package does not
// need it. See [HaveOpen].
func HaveNonblock() error { return nonblockProbe.Have() }

// HaveCloseRange answers for close_range(2) with CLOSE_RANGE_CLOEXEC (Linux
// 5.11). See [HaveOpen].
func HaveCloseRange() error { return closeRangeProbe.Have() }

// HaveThread answers for PIDFD_THREAD (Linux 6.9). See [HaveOpen].
func HaveThread() error { return threadProbe.Have() }

// HaveHangup answers for POLLHUP on the descriptor of a process that was reaped
// (Linux 6.9). It ends one thread of the Go runtime, as [HaveExitInfo] does.
// See [HaveOpen].
func HaveHangup() error { return hangupProbe.Have() }

// HaveInfo answers for PIDFD_GET_INFO, which [FD.Info] needs (Linux 6.13). See
// [HaveOpen].
func HaveInfo() error { return infoProbe.Have() }

// HaveExitInfo answers for PIDFD_INFO_EXIT: the status of a process that
// somebody else reaped (Linux 6.15). See [HaveOpen].
//
// It needs something that has ended, and uses a thread of the Go runtime that
// has no children and traces nobody (and is not the main thread), so that its
// end is seen by nobody. It waits for that, some 100 microseconds.
func HaveExitInfo() error { return exitInfoProbe.Have() }

// HaveCoredump answers for PIDFD_INFO_COREDUMP (Linux 6.16), without which
// [Record] has no Core. See [HaveOpen].
func HaveCoredump() error { return coredumpProbe.Have() }

// HaveAutoreap answers for CLONE_AUTOREAP (Linux 7.1): children that nobody can
// or must reap. See [HaveOpen].
func HaveAutoreap() error { return autoreapProbe.Have() }

// Feature is one line of [Features].
type Feature struct {
	// Name is the feature in the words of its man page.
	Name string
	// Since is the first kernel that has it, for a person.
	Since string
	// Have is its probe, see [HaveOpen].
	Have func() error
}

// Features returns every feature that this package can probe, oldest kernel
// first. Nothing has been asked yet.
func Features() []Feature {
	probes := []*feature.Probe{
		sendSignalProbe, cloneProbe, openProbe, clone3Probe, waitProbe, getFDProbe, cgroupProbe, nonblockProbe,
		closeRangeProbe, threadProbe, hangupProbe, infoProbe, exitInfoProbe, coredumpProbe, autoreapProbe,
	}
	features := make([]Feature, len(probes))
	for i, p := range probes {
		features[i] = Feature{Name: p.Name(), Since: p.Since(), Have: p.Have}
	}
	return features
}
