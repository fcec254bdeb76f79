// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// A fault in a call that is never made proves nothing. So the attempts are made
// without a fault too, and a listener (seccomp_unotify(2)) looks at the calls.

// exceptions are faults whose calls not every way makes, or not everywhere.
var exceptions = []struct {
	ways  []string
	calls string
	why   string
}{
	{
		[]string{direct.name},
		"chdir fchdir umask unshare socketpair setsockopt getsockopt sendmsg recvmsg shutdown faccessat getpgid getsid getpriority",
		"a waiter and its caller make them",
	},
	{[]string{shared.name, dedicated.name}, "ioctl ppoll", "who waits for a child of its own asks its pidfd"},
	{[]string{dedicated.name}, "pwrite64", "a function's memory file, of which the others have a round"},
	{
		[]string{direct.name, shared.name, dedicated.name},
		"wait4",
		"only without pidfds, after a start that failed, and by the worker's program",
	},
	{[]string{direct.name, shared.name, dedicated.name}, "clone3 newfstatat", "of the C library, in a program with cgo (clone3: also into a cgroup)"},
}

// onlyAnother are the calls of what mayBecomeAnother asks.
const onlyAnother = "chroot setgroups setgid setuid capget capset"

// mayLack tells why a way need not make a call.
func mayLack(w way, call string) (why string) {
	listed := func(calls string) bool { return slices.Contains(strings.Fields(calls), call) }
	if listed(onlyAnother) && !mayBecomeAnother() {
		return "this user may not ask for it"
	}
	for _, e := range exceptions {
		if slices.Contains(e.ways, w.name) && listed(e.calls) {
			return e.why
		}
	}
	// What others take away, a way does without; and elsewhere they have other names.
	if os.Getenv(testutil.MissingKey) != "" || runtime.GOARCH != "amd64" {
		return "a sandbox, or another architecture"
	}
	return ""
}

// census is the calls that were made under a filter. All go on.
type census struct {
	faults   []fault
	listener int
	exe      string
	made     [1 << 10]atomic.Bool
	probing  atomic.Bool // a call is refused, and does not count
}

// filter asks the listener about the calls of the faults, but not about its own two.
func (c *census) filter() []unix.SockFilter {
	const number, request = 0, 16 + 8 // the call's, and its second argument
	load := func(at uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
	}
	equal := func(k uint32, jt, jf int) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jt: uint8(jt), Jf: uint8(jf)}
	}
	n := len(c.faults)
	code := []unix.SockFilter{
		load(number), equal(unix.SYS_IOCTL, 0, 4),
		load(request), equal(unix.SECCOMP_IOCTL_NOTIF_RECV, n+2, 0), equal(unix.SECCOMP_IOCTL_NOTIF_SEND, n+1, 0),
		load(number),
	}
	for i, f := range c.faults {
		code = append(code, equal(f.call, n-i, 0))
	}
	return append(code,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF})
}

// serve answers for ever. It may be under the filter, and so makes none of the
// calls of the faults.
func (c *census) serve(listening chan bool) {
	runtime.LockOSThread()
	<-listening
	for {
		n := nextQuestion(c.listener)
		a := verdict{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
		if c.probing.Load() {
			a.flags, a.error = 0, -int32(unix.EXFULL)
		} else if exeOf(fmt.Sprint(n.pid)) == c.exe { // or else it is the worker's program
			c.made[n.call].Store(true)
		}
		giveVerdict(c.listener, a)
	}
}

func exeOf(pid string) string {
	var path [256]byte
	n, _ := unix.Readlink("/proc/"+pid+"/exe", path[:])
	return string(path[:max(n, 0)])
}

// listen puts the calling thread under the filter, or with TSYNC all. About unseen
// calls another filter decides: the listener is not asked.
func (c *census) listen(flags uintptr) (unseen []string, err error) {
	c.faults, c.exe = slices.Concat(faults, attributeFaults), exeOf("self")
	listening := make(chan bool)
	go c.serve(listening)
	if c.listener, err = installListener(c.filter(), flags); err != nil {
		return nil, err
	}
	listening <- true
	c.probing.Store(true)
	defer c.probing.Store(false)
	const none = ^uintptr(0)
	for _, f := range c.faults {
		_, _, errno := unix.RawSyscall6(uintptr(f.call), none, none, none, none, none, none)
		if errno != unix.EXFULL {
			unseen = append(unseen, f.name)
		}
	}
	return unseen, nil
}

// tell prints what was made, and what was not seen.
func (c *census) tell(unseen []string) {
	for _, f := range c.faults {
		if c.made[f.call].Load() {
			fmt.Println("made", f.name)
		}
	}
	for _, name := range unseen {
		fmt.Println("unseen", name)
	}
}

// lookAtStarts looks at the attempts of faultyStarts.
func lookAtStarts(w way) (err error) {
	for _, r := range slices.Concat(rounds, attributeRounds) {
		if !slices.Contains(r.ways, w.name) {
			continue
		}
		if r.warm {
			if err := works(w); err != nil {
				return err
			}
		}
		testutil.OnOwnThread(func() {
			c, unseen := new(census), []string(nil)
			if unseen, err = c.listen(0); err == nil {
				fmt.Printf("%s: %s\n", r.name, r.attempt(w))
				c.tell(unseen)
			}
		})
		if err != nil {
			return err
		}
		tfork.CloseIdle()
	}
	return nil
}

// lookAtProcess looks at those of faultyProcess.
func lookAtProcess(w way) error {
	c := new(census)
	unseen, err := c.listen(unix.SECCOMP_FILTER_FLAG_TSYNC | unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH)
	if err != nil {
		return err
	}
	for _, try := range append(attemptsFor(faults[0]), attemptsFor(attributeFaults[0])...) {
		fmt.Println(try(w))
	}
	tfork.CloseIdle()
	c.tell(unseen)
	return nil
}

// callsMade looks at the attempts of one way, on the thread that makes them or in
// the whole process: which can be under one listener only.
var callsMade = testutil.Helper("calls made", func(args []string) int {
	time.AfterFunc(testutil.Scaled(3*patience), func() {
		debug.SetTraceback("all")
		panic("hangs")
	})
	debug.SetGCPercent(-1) // as in nthCall
	runtime.GOMAXPROCS(max(8, runtime.GOMAXPROCS(0)))
	warmThreads()
	testutil.FDs()
	mayBecomeAnother()
	look := lookAtProcess
	if args[1] == "starts" {
		look = lookAtStarts
	}
	if err := look(wayNamed(args[0])); err != nil {
		fmt.Println("cannot listen:", err)
		return 3
	}
	return 0
})

// TestFault_EveryCallIsMade: what TestFault_SystemCallsOfStart and
// TestFault_SystemCallsOfTheProcess let fail, at least one of the two reaches, in
// each way.
func TestFault_EveryCallIsMade(t *testing.T) {
	t.Setenv("GODEBUG", "asyncpreemptoff=1") // no signals of the runtime's own: see installListener
	for _, w := range ourWays(t) {
		t.Run(w.name, func(t *testing.T) {
			var text string
			for _, what := range []string{"starts", "process"} {
				out, end := underInit(t, callsMade, w.name, what)
				judgeHelper(t, out, end)
				text += "\n" + out
			}
			told := strings.Split(text, "\n")
			for _, f := range slices.Concat(faults, attributeFaults) {
				switch {
				case slices.Contains(told, "made "+f.name):
				case slices.Contains(told, "unseen "+f.name):
					t.Logf("%s: another filter decides", f.name)
				case mayLack(w, f.name) != "":
					t.Logf("%s is not made: %s", f.name, mayLack(w, f.name))
				default:
					t.Errorf("%s is never made: that it fails is no test", f.name)
				}
			}
		})
	}
}
