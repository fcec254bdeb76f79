// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/pidfd"
	"github.com/seed-cb702d51/tfork-go/prefork"
)

// signal sends the supervisor a signal.
func (d *served) signal(sig syscall.Signal) {
	d.t.Helper()
	if err := d.cmd.Process.Signal(sig); err != nil {
		d.t.Fatal(err)
	}
}

// workers waits until a service has so many workers that are ready.
func (d *served) workers(service string, want int) {
	d.t.Helper()
	d.poll(fmt.Sprintf("%d workers of %s", want, service), func() bool {
		n := 0
		for name, p := range d.ps() {
			if strings.HasPrefix(name, "prefork-worker-"+service+"-") && p.State == prefork.StateReady {
				n++
			}
		}
		return n == want
	})
}

// logged waits until the log has this.
func (d *served) logged(want string) {
	d.t.Helper()
	d.poll("the log says "+want, func() bool { return strings.Contains(testutil.ReadFile(d.log), want) })
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestPrefork_ReloadTakesTheFile at SIGUSR2; a broken one changes nothing.
func TestPrefork_ReloadTakesTheFile(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "demo.toml")
	write(t, conf, "[service.http]\nchildren = 1\n[service.echo]\nchildren = 1\n")
	d := startDemo(t, "--config", conf)
	old := d.ps()
	if len(old) != 5 {
		t.Fatalf("%d processes, want 5", len(old))
	}

	write(t, conf, "[service.http]\nchildern = 2\n")
	d.signal(syscall.SIGUSR2)
	d.logged("did you mean children?")
	d.logged("reload failed: the old processes stay")
	write(t, conf, "[service.http]\nchildren = 2\nrlimit-nofile = 4\n") // in which no worker comes up
	d.signal(syscall.SIGUSR2)
	d.poll("the second reload fails", func() bool {
		return strings.Count(testutil.ReadFile(d.log), "reload failed: the old processes stay") == 2
	})
	d.poll("the new processes are gone", func() bool { return len(d.ps()) == len(old) })
	for name, p := range d.ps() {
		if p.Pid != old[name].Pid {
			t.Errorf("%s was replaced by a reload that failed", name)
		}
	}

	write(t, conf, "[service.http]\nchildren = 3\n[service.echo]\nchildren = 0\n")
	d.signal(syscall.SIGUSR2)
	d.logged("reload done")
	d.workers("http", 3)
	d.workers("echo", 0)
	for name, p := range d.ps() {
		if name != "prefork-supervisor" && p.Pid == old[name].Pid {
			t.Errorf("%s is still the old one", name)
		}
	}
	d.pid("/")
	d.stop()
}

// TestPrefork_FlagsWinAtAReload too.
func TestPrefork_FlagsWinAtAReload(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "demo.toml")
	write(t, conf, "children = 3\n")
	d := startDemo(t, "--config", conf, "--children", "1")
	write(t, conf, "children = 2\n")
	d.signal(syscall.SIGUSR2)
	d.logged("reload done")
	d.workers("http", 1)
	d.workers("echo", 1)
	d.stop()
}

func TestPrefork_TTINAndTTOUScale(t *testing.T) {
	d := startDemo(t, "--children", "1")
	d.signal(syscall.SIGTTIN)
	d.workers("http", 2)
	d.workers("echo", 2)
	d.signal(syscall.SIGTTOU)
	d.workers("http", 1) // a signal that is pending is not sent twice
	d.workers("echo", 1)
	d.signal(syscall.SIGTTOU)
	d.workers("http", 0)
	d.workers("echo", 0)
	d.signal(syscall.SIGTTIN)
	d.workers("http", 1)
	d.pid("/")
	d.stop()
}

// TestPrefork_HUPOpensTheLogAgain in every process.
func TestPrefork_HUPOpensTheLogAgain(t *testing.T) {
	dir := t.TempDir()
	conf, log := filepath.Join(dir, "demo.toml"), filepath.Join(dir, "log")
	write(t, conf, fmt.Sprintf("children = 1\nlog-file = %q\n", log))
	d := startDemo(t, "--config", conf)
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	d.signal(syscall.SIGHUP)
	for name, p := range d.ps() {
		if name != "prefork-supervisor" { // which has no reason to write
			d.poll(name+" opens its log again", func() bool {
				return strings.Contains(testutil.ReadFile(log), fmt.Sprintf("msg=\"log opened again\" role=%s pid=%d", p.Role, p.Pid))
			})
		}
	}
	if strings.Contains(testutil.ReadFile(log+".1"), "log opened again") {
		t.Error("somebody still writes to the old file")
	}
	d.stop()
}

// TestPrefork_KilledServerLeavesNothing for long: its processes leave by
// themselves, and the next start removes its directory.
func TestPrefork_KilledServerLeavesNothing(t *testing.T) {
	base := t.TempDir()
	d := startDemoIn(t, base, "--children", "1")
	table := d.ps()
	d.signal(syscall.SIGKILL)
	d.cmd.Wait()
	for name, p := range table {
		d.poll(name+" leaves", func() bool { return !testutil.Alive(p.Pid) })
	}
	if _, err := os.Stat(d.dir); err != nil {
		t.Errorf("is this test about anything? %v", err)
	}
	next := startDemoIn(t, base, "--children", "1")
	if _, err := os.Stat(d.dir); err == nil {
		t.Errorf("%s is still there", d.dir)
	}
	beside := startDemoIn(t, base, "--children", "0") // must not take the other's
	if list, err := prefork.Processes(next.dir); err != nil || len(list) != 5 {
		t.Errorf("the first one has %d processes, want 5: %v", len(list), err)
	}
	beside.end()
	next.stop()
}

// TestPrefork_FailedServiceIsToldByTheExitCode, when all is over.
func TestPrefork_FailedServiceIsToldByTheExitCode(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "demo.toml")
	write(t, conf, "children = 1\n[service.http]\nfatal-exit-codes = [3]\n")
	d := startDemo(t, "--config", conf, "--crash-endpoints")
	d.get("/exit?code=3")
	d.logged("service failed")
	d.poll("only echo is left", func() bool { return len(d.ps()) == 3 })
	echoes(t, "tcp", d.tcp)
	d.signal(syscall.SIGTERM)
	d.cmd.Wait()
	if code := d.cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	d.logged("failed: http (exit status 3 means: do not restart)")
}

// helperContainer is a container's engine: it makes tforkdemo the first process.
var helperContainer = testutil.Helper("container", func(args []string) int {
	testutil.MustBePID1()
	err := unix.Exec(args[0], args, os.Environ())
	fmt.Fprintln(os.Stderr, err)
	return 1
})

// TestPrefork_AsPID1 of a container.
func TestPrefork_AsPID1(t *testing.T) {
	attr := testutil.PID1(t)
	d := startDemoAs(t, t.TempDir(), func(cmd *exec.Cmd) {
		cmd.Args = append([]string{testutil.Exe()}, append([]string{cmd.Path}, cmd.Args[1:]...)...)
		cmd.Path, cmd.SysProcAttr = testutil.Exe(), attr
		cmd.Env = append(cmd.Env, testutil.HelperOnly(helperContainer))
	}, "--children", "1", "--backoff-increment", "1ms", "--crash-endpoints")
	d.logged("role=supervisor pid=1 ") // in a namespace of its own
	const worker = "prefork-worker-http-0"
	old := d.ps()[worker].Pid
	d.get("/exit?code=9")
	d.replaced(worker, old)
	d.logged(`outcome="exit status 9"`)
	d.get("/leave")
	old = d.ps()[worker].Pid
	d.get("/signal?n=11")
	d.replaced(worker, old)
	d.logged(`outcome="signal 11"`)
	if pidfd.HaveSet() == nil {
		d.logged("reaped an orphan") // what the worker left
	} else {
		d.logged("orphans are not reaped")
	}
	d.stop()
}
