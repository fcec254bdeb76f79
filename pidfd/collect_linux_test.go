// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package pidfd

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/feature"
	"github.com/seed-cb702d51/tfork-go/internal/sys"
)

// script is what a kernel says; every call of the same kind gets the same answer.
type script struct {
	waitid error // nil: still running
	events int16
	mask   uint64
	info   error
	status int32
	sysErr error // of poll
}

// play returns a kernel that says a, and has exit information unless told
// otherwise.
func (a script) play(haveExitInfo error) *kernel {
	call := func(name string, err error) error {
		if err == nil {
			return nil
		}
		return os.NewSyscallError(name, err)
	}
	return &kernel{
		waitid: func(int) (sys.Waited, error) { return sys.Waited{}, call("waitid", a.waitid) },
		poll:   func(int) (int16, error) { return a.events, call("poll", a.sysErr) },
		info: func(int, uint64) (rawInfo, error) {
			return rawInfo{mask: a.mask, exitCode: a.status}, call("ioctl", a.info)
		},
		haveExitInfo: func() error { return haveExitInfo },
	}
}

// TestCollect_AnswersOfOtherKernels cannot be had from the one that runs here.
func TestCollect_AnswersOfOtherKernels(t *testing.T) {
	const (
		in       = unix.POLLIN
		gone     = unix.POLLIN | unix.POLLHUP
		noRecord = unix.PIDFD_INFO_PID | unix.PIDFD_INFO_CREDS
	)
	no := &feature.Error{Name: "PIDFD_INFO_EXIT", Since: "Linux 6.15", Reason: unix.ESRCH}
	tests := []struct {
		name    string
		kernel  script
		missing error // what the probe says
		want    error
		also    error // errors.Is this too
	}{
		{name: "child runs", kernel: script{}, want: ErrRunning},
		{name: "foreign process runs", kernel: script{waitid: unix.ECHILD}, want: ErrRunning},
		{name: "foreign zombie on 6.15", kernel: script{waitid: unix.ECHILD, events: in, mask: noRecord}, want: ErrRunning},
		{name: "reaped between poll and ioctl", kernel: script{waitid: unix.ECHILD, events: in}, want: ErrRunning},
		{name: "no record after the reap", kernel: script{waitid: unix.ECHILD, events: gone}, want: ErrStatusUnknown, also: errNoRecord},
		{name: "foreign zombie on 6.1", kernel: script{waitid: unix.ECHILD, events: in, info: unix.ENOTTY}, want: ErrStatusUnknown, also: ErrNotSupported},
		{name: "foreign zombie on 6.12", kernel: script{waitid: unix.ECHILD, events: in, info: unix.EINVAL}, want: ErrStatusUnknown, also: ErrNotSupported},
		{name: "ioctl filtered", kernel: script{waitid: unix.ECHILD, events: gone, info: unix.EPERM}, want: ErrStatusUnknown, also: ErrNotSupported},
		{name: "foreign zombie on 6.13", kernel: script{waitid: unix.ECHILD, events: in, mask: noRecord}, missing: no, want: ErrRunning},
		{name: "reaped on 6.13", kernel: script{waitid: unix.ECHILD, events: gone, info: unix.ESRCH}, missing: no, want: ErrStatusUnknown, also: ErrNotSupported},
		{name: "foreign pid namespace", kernel: script{waitid: unix.ECHILD, events: in, info: unix.EREMOTE}, want: ErrStatusUnknown, also: errPidNamespace},
		{name: "foreign pid namespace on 6.15", kernel: script{waitid: unix.ECHILD, events: gone, info: unix.ESRCH}, want: ErrStatusUnknown, also: errPidNamespace},
		{name: "being reaped by somebody else", kernel: script{waitid: unix.ECHILD, events: in, info: unix.ESRCH}, want: ErrRunning},
		{name: "other ioctl error", kernel: script{waitid: unix.ECHILD, events: gone, info: unix.EFAULT}, want: ErrStatusUnknown, also: unix.EFAULT},
		{name: "poll fails", kernel: script{waitid: unix.ECHILD, sysErr: unix.ENOMEM}, want: unix.ENOMEM},
		{name: "waitid fails", kernel: script{waitid: unix.EBADF}, want: unix.EBADF},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			exit, err := tt.kernel.play(tt.missing).collect(-1)
			if !errors.Is(err, tt.want) || tt.also != nil && !errors.Is(err, tt.also) {
				t.Errorf("collect = %v, want %v (and %v)", err, tt.want, tt.also)
			}
			if exit != (Exit{}) {
				t.Errorf("an exit beside the error: %v", exit)
			}
		})
	}
}

// TestCollect_ThiefBetweenAnyTwoCalls reaps a real child at each point of the
// order, and looks again as the poller's next event would make it.
func TestCollect_ThiefBetweenAnyTwoCalls(t *testing.T) {
	needExitInfo(t)
	for _, before := range []string{"waitid", "poll", "info", "nothing"} {
		t.Run("before "+before, func(t *testing.T) {
			c := sh(t, "exit 77")
			steal := func(call string) {
				if call == before {
					unix.Wait4(c.pid, nil, 0, nil)
				}
			}
			thief := &kernel{
				waitid: func(fd int) (sys.Waited, error) {
					if steal("waitid"); before == "poll" || before == "info" {
						return sys.Waited{}, os.NewSyscallError("waitid", unix.ECHILD) // as if it were not ours
					}
					return waitid(fd)
				},
				poll:         func(fd int) (int16, error) { steal("poll"); return poll(fd) },
				info:         func(fd int, mask uint64) (rawInfo, error) { steal("info"); return getInfo(fd, mask) },
				haveExitInfo: HaveExitInfo,
			}
			c.sys = thief
			got, err := c.Wait(soon(t))
			if err != nil || got.Status != exited(77) {
				t.Errorf("Wait = %v, %v, want exit status 77", got, err)
			}
		})
	}
}

// TestTry_RemembersOnlyWhatIsFinal: an error that may pass is not kept.
func TestTry_RemembersOnlyWhatIsFinal(t *testing.T) {
	c := sh(t, "read x; exit 2")
	f := mustOpen(t, c.pid)
	f.sys = script{waitid: unix.ECHILD, sysErr: unix.ENOMEM}.play(nil)
	if _, err := f.Wait(soon(t)); !errors.Is(err, unix.ENOMEM) {
		t.Fatalf("Wait = %v, want ENOMEM", err)
	}
	f.sys = script{waitid: unix.ECHILD, events: unix.POLLIN, info: unix.ENOTTY}.play(nil)
	_, first := f.Wait(soon(t))
	if !errors.Is(first, ErrStatusUnknown) {
		t.Fatalf("Wait = %v, want ErrStatusUnknown", first)
	}
	f.sys = realKernel
	if _, err := f.TryWait(); err != first {
		t.Errorf("TryWait = %v, want the final answer again", err)
	}
	const want = "pidfd: process has ended, its exit status cannot be known: " +
		"PIDFD_INFO_EXIT: not supported (needs Linux 6.15): ioctl: inappropriate ioctl for device"
	if first.Error() != want {
		t.Errorf("got  %s\nwant %s", first, want)
	}
}
