// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/role"
	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

var funcPayload = testFunc("payload", func(w *Worker) int {
	fmt.Printf("%d %08x %t", len(w.Payload), crc32.ChecksumIEEE(w.Payload), w.Payload == nil)
	for i := 0; i < len(w.Payload); i += 1000 {
		w.Payload[i] = 0 // it is ours
	}
	return 0
})

func TestFunc_PayloadArrivesWhole(t *testing.T) {
	forEachStrategy(t, func(t *testing.T, m mode) {
		for _, size := range []int{0, 1, 4095, 4096, 4097, copyPayload, copyPayload + 1, 16 << 20} {
			checkPayload(t, m, size)
		}
	})
}

func TestFunc_PayloadOf1GiB(t *testing.T) {
	if testing.Short() || memAvailable(t) < 8<<30 {
		t.Skip("needs 8 GiB of free memory and some seconds")
	}
	checkPayload(t, mode{}, 1<<30)
}

func checkPayload(t *testing.T, m mode, size int) {
	t.Helper()
	payload := make([]byte, size)
	for i := 0; i < size; i += 4096 - 7 {
		payload[i] = byte(i * 7)
	}
	c := m.function(funcPayload)
	c.Payload = payload
	out, err := c.Output()
	want := fmt.Sprintf("%d %08x %t", size, crc32.ChecksumIEEE(payload), size == 0)
	if err != nil || string(out) != want {
		t.Errorf("payload of %d bytes arrived as %q, %v, want %q", size, out, err, want)
	}
}

// memAvailable returns what /proc/meminfo says, in bytes.
func memAvailable(t *testing.T) int {
	t.Helper()
	for line := range lines(t, "/proc/meminfo") {
		var kib int
		if n, _ := fmt.Sscanf(line, "MemAvailable: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	return 0
}

var funcDescribe = testFunc("describe", func(w *Worker) int {
	comm, _ := os.ReadFile("/proc/self/comm")
	cmdline, _ := os.ReadFile("/proc/self/cmdline")
	fmt.Printf("name=%s\nargs=%q\nos.Args=%q\nfiles=%d\n", w.Name, w.Args, os.Args, len(w.Files))
	fmt.Printf("comm=%scmdline=%q\n", comm, cmdline)
	fmt.Printf("env=%q\n", os.Environ())
	out, _ := exec.Command("/bin/sh", "-c", "env | grep -c TFORK_ROLE").Output()
	fmt.Printf("program=%q\n", out)
	return 0
})

func TestFunc_Surroundings(t *testing.T) {
	forEachStrategy(t, func(t *testing.T, m mode) {
		f, err := os.Open("/dev/null")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		c := m.function(funcDescribe, "a b", "")
		c.Title = "describe(3) and more"
		c.Env = []string{"PATH=/bin:/usr/bin", "A=1", "GORACE=atexit_sleep_ms=0"}
		c.ExtraFiles = []*os.File{f, nil}
		out, err := c.Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			"name=describe\n",
			`args=["a b" ""]`,
			`os.Args=["describe(3) and more" "a b" ""]`,
			"files=2\n",
			`cmdline="describe(3) and more\x00a b\x00\x00"`,
			`env=["PATH=/bin:/usr/bin" "A=1" "GORACE=atexit_sleep_ms=0"]`,
			`program="0\n"`,
		} {
			if !strings.Contains(string(out), want) {
				t.Errorf("%s\nis not in\n%s", want, out)
			}
		}
	})
}

func TestFunc_TitleIsItsName(t *testing.T) {
	testutil.NeedComm(t)
	for title, want := range map[string]string{"": "describe", "describe(3) and more": "describe(3) and"} {
		forEachStrategy(t, func(t *testing.T, m mode) {
			c := m.function(funcDescribe)
			c.Title = title
			if out, err := c.Output(); err != nil || !strings.Contains(string(out), "comm="+want+"\n") {
				t.Errorf("title %q: %v\n%s", title, err, out)
			}
		})
	}
}

var funcFDs = testFunc("fds", func(w *Worker) int {
	for i, f := range w.Files {
		fmt.Printf("file %d nil=%t\n", i, f == nil)
	}
	for fd, to := range testutil.FDs() {
		fmt.Printf("own %s %s\n", fd, to)
	}
	ls := exec.Command("/bin/ls", "-l", "/proc/self/fd")
	out, _ := ls.Output()
	for line := range strings.Lines(string(out)) {
		if number, to, ok := strings.Cut(line, " -> "); ok {
			fmt.Printf("inherited %s %s", number[strings.LastIndexByte(number, ' ')+1:], to)
		}
	}
	return 0
})

// TestFunc_HoldsOnlyWhatWasAskedFor: neither the function nor a program that
// it starts sees a descriptor of ours, or of another worker.
func TestFunc_HoldsOnlyWhatWasAskedFor(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "extra"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	forEachStrategy(t, func(t *testing.T, m mode) {
		other, _ := startWaiting(t, m, 0)
		mustEventFD(t, other)
		c := m.function(funcFDs)
		c.ExtraFiles = []*os.File{nil, f}
		out, err := c.Output()
		if err != nil {
			t.Fatal(err)
		}
		allowed := testutil.InheritableFDs() // what this process got without close-on-exec
		lifelines := 0
		for line := range strings.Lines(string(out)) {
			kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
			fd, to, _ := strings.Cut(rest, " ")
			switch {
			case kind == "file", fd == "0", fd == "1", fd == "2", allowed[fd] == to:
			case strings.HasPrefix(to, "/proc/"): // open for the listing
			case kind == "own" && (to == f.Name() || strings.HasPrefix(to, "anon_inode:[event") || strings.HasPrefix(to, "/sys/fs/cgroup")):
			case kind == "own" && strings.HasPrefix(to, "pipe:"):
				lifelines++
			default:
				t.Errorf("unexpected: %s", line)
			}
		}
		if lifelines != 1 || !strings.Contains(string(out), "file 0 nil=true\nfile 1 nil=false\n") {
			t.Errorf("%d pipes beside stdio, want 1\n%s", lifelines, out)
		}
	})
}

var funcPanic = testFunc("panic", func(*Worker) int { panic("told to") })

func TestFunc_PanicIsExit2WithStack(t *testing.T) {
	forEachStrategy(t, func(t *testing.T, m mode) {
		_, err := m.function(funcPanic).Output()
		var ee *ExitError
		if !errors.As(err, &ee) || ee.ExitCode() != 2 || !bytes.Contains(ee.Stderr, []byte("told to")) || !bytes.Contains(ee.Stderr, []byte("func_linux_test.go")) {
			t.Errorf("panic: %v", err)
		}
	})
}

func TestFunc_ExitStatusNeverBecomesZero(t *testing.T) {
	for _, tt := range []struct{ returned, want int }{{0, 0}, {255, 255}, {256, 255}, {257, 1}, {-1, 255}, {-256, 255}} {
		wantExit(t, mustStart(t, Func(funcExit, fmt.Sprint(tt.returned))), tt.want)
	}
}

func TestFunc_RefusedAtStart(t *testing.T) {
	if err := Func("nobody registered this").Start(); !errors.Is(err, ErrNotRegistered) {
		t.Errorf("unregistered: %v", err)
	}
	c := Command("/bin/true")
	c.Payload = []byte("x")
	if err := c.Start(); err == nil || !strings.Contains(err.Error(), "Payload") {
		t.Errorf("payload for a program: %v", err)
	}
	dispatched.Store(false)
	defer dispatched.Store(true)
	if err := Func(funcExit, "0").Start(); !errors.Is(err, ErrNoDispatch) {
		t.Errorf("without Dispatch: %v", err)
	}
}

var funcParentGone = testFunc("parent gone", func(w *Worker) int {
	gone := w.ParentGone()
	select {
	case <-gone:
		fmt.Fprintln(os.Stderr, "gone too early")
		return 1
	default:
	}
	w.Files[0].WriteString("ready\n")
	<-gone
	w.Files[0].WriteString("gone\n")
	return 0
})

// helperCaller starts one worker with the strategy in its arguments and then
// does what the last argument says.
var helperCaller = testutil.Helper("caller", func(args []string) int {
	strategy, _ := ParseStrategy(args[0])
	c := Func(funcParentGone)
	c.Strategy, c.Dedicated = strategy, args[1] == "true"
	c.ExtraFiles = []*os.File{os.NewFile(3, "up")}
	unix.CloseOnExec(3)
	if err := c.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	switch args[2] {
	case "exit":
		io.ReadFull(os.Stdin, make([]byte, 1))
		return 0
	case "exec":
		io.ReadFull(os.Stdin, make([]byte, 1))
		unix.Exec("/bin/sleep", []string{"sleep", "1000"}, nil)
	}
	<-c.Process.Done()
	return 1
})

func TestWorker_ParentGone(t *testing.T) {
	forEachStrategy(t, func(t *testing.T, m mode) {
		for _, how := range []string{"exit", "kill", "exec"} {
			t.Run(how, func(t *testing.T) {
				r, w := mustPipe(t)
				c := exec.Command(testutil.Exe(), m.strategy.String(), fmt.Sprint(m.dedicated), how)
				c.Env = testutil.HelperEnv(helperCaller)
				c.ExtraFiles = []*os.File{w}
				c.Stderr = os.Stderr
				in, _ := c.StdinPipe()
				if err := c.Start(); err != nil {
					t.Fatal(err)
				}
				w.Close()
				b := make([]byte, 16)
				n, _ := r.Read(b)
				if string(b[:n]) != "ready\n" {
					t.Fatalf("worker said %q", b[:n])
				}
				if how == "kill" {
					c.Process.Kill()
				} else {
					in.Write([]byte{1})
				}
				rest, err := io.ReadAll(r)
				if err != nil || string(rest) != "gone\n" {
					t.Errorf("worker said %q, %v", rest, err)
				}
				c.Process.Kill()
				c.Wait()
			})
		}
	})
}

// helperReplaced deletes its own binary, puts another file in its place, and
// starts a worker function.
var helperReplaced = testutil.Helper("replaced", func(args []string) int {
	strategy, _ := ParseStrategy(args[0])
	exe, _ := os.Executable()
	if err := os.Remove(exe); err != nil {
		return 1
	}
	if args[1] == "replaced" && os.WriteFile(exe, []byte("#!/bin/sh\nexit 99\n"), 0o755) != nil {
		return 1
	}
	c := Func(funcExit, "42")
	c.Strategy = strategy
	c.Stderr = os.Stderr
	err := c.Run()
	var ee *ExitError
	if errors.As(err, &ee) {
		return ee.ExitCode()
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
})

func TestFunc_BinaryDeletedOrReplaced(t *testing.T) {
	forEachStrategy(t, func(t *testing.T, m mode) {
		for _, how := range []string{"deleted", "replaced"} {
			exe := filepath.Join(t.TempDir(), "copy")
			copyFile(t, testutil.Exe(), exe)
			c := exec.Command(exe, m.strategy.String(), how)
			c.Env = testutil.HelperEnv(helperReplaced)
			out, err := c.CombinedOutput()
			if c.ProcessState.ExitCode() != 42 {
				t.Errorf("%s: %v\n%s", how, err, out)
			}
		}
	})
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestDispatch_ForgedRole: whoever may start the program may forge a role; it
// must end with an error, not run as a copy of the program.
func TestDispatch_ForgedRole(t *testing.T) {
	for _, marker := range []string{"worker:3", "worker:1", "king:3", "", "worker", "worker:4", "launcher:3"} {
		c := exec.Command(testutil.Exe(), "-test.run=NONE")
		c.Env = append(os.Environ(), "TFORK_ROLE="+marker)
		f, err := os.Open("/etc/passwd") // no boot record
		if err != nil {
			t.Fatal(err)
		}
		c.ExtraFiles = []*os.File{f}
		out, _ := c.CombinedOutput()
		f.Close()
		if c.ProcessState.ExitCode() != role.ExitRefused || !bytes.HasPrefix(out, []byte("tfork: ")) {
			t.Errorf("marker %q: %v\n%s", marker, c.ProcessState, out)
		}
	}
}

func TestRegister_Panics(t *testing.T) {
	run := func(*Worker) int { return 0 }
	for name, register := range map[string]func(){
		"empty name": func() { Register("", run) },
		"long name":  func() { Register(strings.Repeat("x", 256), run) },
		"NUL":        func() { Register("a\x00b", run) },
		"nil":        func() { Register("nil", nil) },
		"taken":      func() { Register(funcExit, run) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			register()
		}()
	}
}

// TestFunc_SpecialPayloadLimit: a memory file that RLIMIT_FSIZE forbids is an
// error, not the death of the caller by SIGXFSZ.
var helperFileLimit = testutil.Helper("file limit", func([]string) int {
	if unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 4096, Max: 4096}) != nil {
		return 1
	}
	c := Func(funcExit, "0")
	c.Payload = make([]byte, 1<<20)
	if err := c.Run(); !errors.Is(err, unix.EFBIG) {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	return 0
})

func TestFunc_PayloadBeyondFileLimit(t *testing.T) {
	c := exec.Command(testutil.Exe())
	c.Env = testutil.HelperEnv(helperFileLimit)
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
