// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// spec is a generated command, and what is done with it. Only what has one
// outcome is generated: nothing in it races.
type spec struct {
	Program string
	Args    []string
	NoArgs  bool
	Env     []string
	Dir     string
	Extra   []string
	Sys     syscall.SysProcAttr
	HasSys  bool

	Stdin          string // kind of
	Stdout, Stderr string // kind of
	StdinBytes     int
	OutBytes       int
	ErrBytes       int
	Tells          bool   // the script writes its environment and directory
	Reads          string // what it does with its input
	End            string // what it does last

	Context string
	Cancel  string
	Delay   string
	Before  []string // misuse before the start
	Method  string
	After   []string // misuse after the end
}

// kinds are what a field is drawn from. The odd ones, most of which keep a
// command from being started, are drawn seldom: else hardly any ever would be.
// The first one is what rapid shrinks to.
type kinds struct{ usual, odd []string }

func (k kinds) draw(t *rapid.T, label string) string {
	if rapid.IntRange(0, 9).Draw(t, label+": odd") == 9 {
		return rapid.SampledFrom(k.odd).Draw(t, label)
	}
	return rapid.SampledFrom(k.usual).Draw(t, label)
}

func (k kinds) some(t *rapid.T, label string, most int) (drawn []string) {
	for range rapid.IntRange(0, most).Draw(t, label) {
		drawn = append(drawn, k.draw(t, label))
	}
	return drawn
}

var (
	programKinds = kinds{
		[]string{"script", "script", "script", "pause", "./exit3"},
		[]string{
			"/bin/true", "true", "missing-program", "./missing", "./data",
			"./sub", "./garbage", "./script", "./loop", "./exit7", "", "/bin/tr\x00ue",
		},
	}
	argKinds     = kinds{[]string{"a", "", "b c", "\xff", "-", "$0", "\n"}, []string{"a\x00b"}}
	envKinds     = kinds{[]string{"A=1", "A=2", "A", "", "=x", "=x=1", "=", "PWD=/p", "é=ü", "A=", "\xff=\xff"}, []string{"PATH=/none", "B=\x00", "\x00"}}
	dirKinds     = kinds{[]string{"", "", "", "sub", "/", "sub/../sub"}, []string{"missing", "data", "loop", "a\x00"}}
	extraKinds   = kinds{[]string{"nil", "data", "pipe", "stderr"}, []string{"closed"}}
	stdinKinds   = kinds{[]string{"none", "bytes", "bytes", "fails", "file", "pipe", "pipe left", "pipe closed"}, []string{"closed", "nil file"}}
	outputKinds  = kinds{[]string{"none", "buffer", "buffer", "file", "pipe", "pipe closed", "pipe part", "incomparable", "full"}, []string{"closed", "nil file"}}
	readsKinds   = []string{"discards", "echoes", "nothing", "closes"}
	endKinds     = []string{"exit 0", "exit 1", "exit 255", "kill -TERM $$", "kill -KILL $$", "ulimit -c 0; kill -SEGV $$", "kill -34 $$", "exec ./exit3", "cd /; exit 9", "exec >&- 2>&-; exit 4"}
	contextKinds = kinds{[]string{"none", "none", "background", "live", "ends"}, []string{"done", "past"}}
	cancelKinds  = []string{"default", "nil", "fails", "done", "term", "nothing"}
	delayKinds   = []string{"none", "none", "long", "short"}
	methodKinds  = []string{"Run", "Start", "Output", "CombinedOutput"}
	misuseKinds  = []string{
		"Wait", "StdinPipe", "StdoutPipe", "StderrPipe", "String", "Environ", "Start", "Run", "Output", "CombinedOutput",
		"Kill", "Signal 0", "Signal 99",
	}
	sizeKinds = []int{0, 1, 100, 4096, 65536, 65537, 300_000, 1 << 20}
)

func drawSpec(t *rapid.T) spec {
	pick := func(label string, kinds []string) string { return rapid.SampledFrom(kinds).Draw(t, label) }
	some := func(label string, kinds []string, n int) []string {
		return rapid.SliceOfN(rapid.SampledFrom(kinds), 0, n).Draw(t, label)
	}
	size := func(label string) int { return rapid.SampledFrom(sizeKinds).Draw(t, label) }
	s := spec{
		Program: programKinds.draw(t, "program"), Args: argKinds.some(t, "args", 3), NoArgs: rapid.IntRange(0, 19).Draw(t, "no args") == 19,
		Dir: dirKinds.draw(t, "dir"), Extra: extraKinds.some(t, "extra", 4),
		Stdin: stdinKinds.draw(t, "stdin"), Stdout: outputKinds.draw(t, "stdout"), Stderr: outputKinds.draw(t, "stderr"),
		StdinBytes: size("stdin bytes"), OutBytes: size("out bytes"), ErrBytes: size("err bytes"),
		Tells: rapid.Bool().Draw(t, "tells"), Reads: pick("reads", readsKinds), End: pick("end", endKinds),
		Context: contextKinds.draw(t, "context"), Cancel: pick("cancel", cancelKinds), Delay: pick("delay", delayKinds),
		Before: some("before", misuseKinds[:6], 2), Method: pick("method", methodKinds), After: some("after", misuseKinds, 3),
	}
	if rapid.IntRange(0, 3).Draw(t, "one output") == 3 {
		s.Stderr = "same"
	}
	if rapid.Bool().Draw(t, "environment of its own") {
		s.Env = append([]string{}, envKinds.some(t, "env", 6)...)
	}
	if rapid.IntRange(0, 3).Draw(t, "attributes") == 3 {
		s.HasSys, s.Sys = true, drawAttributes(t)
	}
	s.tame()
	return s
}

// tame takes away what would make the outcome a matter of luck, or end never.
func (s *spec) tame() {
	if s.Program == "script" {
		s.NoArgs = false // a shell without would read its script from its input
	}
	if s.Program == "pause" {
		// It ends by a signal only: from us, or by the context.
		s.Method = "Start"
		if s.Stdin == "bytes" && s.StdinBytes > 4096 || s.Stdin == "pipe" {
			s.Stdin = "none" // nobody reads it
		}
	} else if s.Context == "ends" {
		s.Context = "live"
	}
	if s.Context == "none" {
		s.Cancel = "default"
	}
	if s.Delay == "short" && (s.Program != "pause" || s.Context != "ends" || strings.HasPrefix(s.Stdout, "pipe") || strings.HasPrefix(s.Stderr, "pipe")) {
		s.Delay = "long" // a loaded machine may need it, or a reader loses a race
	}
	// What the shell itself has to say goes to its standard error: whether that
	// is closed by then is a race, for its life.
	if s.Stderr == "pipe part" || s.Stderr == "same" && s.Stdout == "pipe part" {
		s.Stderr = "pipe"
	}
	// The script writes to one stream after the other, and so do we read. A part
	// is all that comes, where that is little.
	if (s.Stdout == "pipe" || s.Stdout == "pipe part") && s.Stderr != "buffer" && s.ErrBytes > 4096 {
		s.ErrBytes = 1
	}
	if s.Stdin != "bytes" {
		s.StdinBytes = 0
	}
}

func drawAttributes(t *rapid.T) syscall.SysProcAttr {
	flag := func(label string) bool { return rapid.IntRange(0, 4).Draw(t, label) == 4 }
	a := syscall.SysProcAttr{
		Setpgid: flag("setpgid"), Setsid: flag("setsid"), Noctty: flag("noctty"), Setctty: flag("setctty"), Foreground: flag("foreground"),
	}
	if flag("pgid") {
		a.Pgid = 1 << 30
	}
	if flag("pdeathsig") {
		a.Pdeathsig = syscall.SIGKILL
	}
	if flag("credential") {
		a.Credential = &syscall.Credential{Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid()), NoSetGroups: true}
	}
	if flag("chroot") {
		a.Chroot = rapid.SampledFrom([]string{"/", "/missing", "/proc", "sub"}).Draw(t, "root")
	}
	if flag("namespaces") {
		a.Cloneflags = unix.CLONE_NEWUTS
	}
	if flag("unshare") {
		a.Unshareflags = unix.CLONE_NEWIPC
	}
	if flag("ambient") {
		a.AmbientCaps = []uintptr{rapid.SampledFrom([]uintptr{0, 10, 63}).Draw(t, "capability")}
	}
	return a
}

// differential is the property: what can be observed is the same in every way.
func differential(outer testing.TB) func(*rapid.T) {
	return func(t *rapid.T) {
		s := drawSpec(t)
		defer watchdog(fmt.Sprintf("%+v", s)).Stop()
		compare(reporter{outer, t}, s.play)
	}
}

// watchdog ends the process, saying what hung.
func watchdog(what string) *time.Timer {
	return time.AfterFunc(testutil.Scaled(4*patience), func() { panic("hangs: " + what) })
}

// reporter is a testing.TB that fails through rapid, which shrinks.
type reporter struct {
	testing.TB
	t *rapid.T
}

func (r reporter) Helper()                   { r.t.Helper() }
func (r reporter) Logf(f string, a ...any)   { r.t.Logf(f, a...) }
func (r reporter) Errorf(f string, a ...any) { r.t.Errorf(f, a...) }
func (r reporter) Fatalf(f string, a ...any) { r.t.Fatalf(f, a...) }
func (r reporter) Fatal(a ...any)            { r.t.Fatal(a...) }

// TestGenerated_SameAsOSExec: -rapid.checks=N makes it longer.
func TestGenerated_SameAsOSExec(t *testing.T) {
	enterFixture(t)
	rapid.Check(t, differential(t))
}

// FuzzGenerated_SameAsOSExec is the same for go test -fuzz.
func FuzzGenerated_SameAsOSExec(f *testing.F) {
	enterFixture(f)
	for _, seed := range seeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		defer seedLasts(t, data)
		rapid.MakeFuzz(differential(t))(t, data)
	})
}
