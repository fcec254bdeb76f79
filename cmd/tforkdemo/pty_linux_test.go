// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// session is tforkdemo on a terminal of its own.
type session struct {
	t    *testing.T
	cmd  *exec.Cmd
	tty  *os.File
	done chan struct{} // the output has ended

	mu  sync.Mutex
	out strings.Builder
}

// terminalWorks tells whether a program on a terminal finds that here, Ctrl-C ends
// it, and the end of the last program ends the terminal.
var terminalWorks = sync.OnceValue(func() error {
	c := exec.Command("/bin/sh", "-c", ": </dev/tty && echo ready; exec sleep 1000")
	tty, err := pty.Start(c)
	if err != nil {
		return err
	}
	defer tty.Close()
	brief := testutil.Scaled(5 * time.Second)
	err = tty.SetReadDeadline(time.Now().Add(brief))
	if err == nil {
		_, err = tty.Read(make([]byte, 1))
	}
	if err == nil {
		_, err = tty.WriteString(ctrlC)
	}
	overdue := time.AfterFunc(brief, func() { c.Process.Kill() })
	defer overdue.Stop()
	c.Wait()
	if err != nil {
		return err
	}
	if ws, ok := c.ProcessState.Sys().(syscall.WaitStatus); !ok || ws.Signal() != syscall.SIGINT {
		return fmt.Errorf("Ctrl-C does not end a program, or it cannot open /dev/tty: %v", c.ProcessState)
	}
	tty.SetReadDeadline(time.Now().Add(brief))
	if _, err := io.Copy(io.Discard, tty); errors.Is(err, os.ErrDeadlineExceeded) {
		return errors.New("a terminal does not end with its last program")
	}
	return nil
})

// onTerminal starts tforkdemo there, as the leader of the foreground group.
func onTerminal(t *testing.T, args ...string) *session {
	if err := terminalWorks(); err != nil {
		t.Skip(err)
	}
	bin := demoDir(t)
	s := &session{t: t, cmd: exec.Command(filepath.Join(bin, "tforkdemo"), args...), done: make(chan struct{})}
	s.cmd.Env = append(os.Environ(), demoEnv(bin)...)
	s.cmd.Dir = t.TempDir()
	var err error
	if s.tty, err = pty.StartWithSize(s.cmd, &pty.Winsize{Rows: 40, Cols: 120}); err != nil {
		t.Fatal(err)
	}
	go s.read()
	t.Cleanup(func() {
		s.cmd.Process.Kill()
		s.cmd.Wait() // again, if the test went well
		<-s.done
		s.tty.Close()
	})
	return s
}

// read takes the output until nobody has the terminal open any more.
func (s *session) read() {
	defer close(s.done)
	b := make([]byte, 4096)
	for {
		n, err := s.tty.Read(b)
		s.mu.Lock()
		s.out.Write(b[:n])
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (s *session) output() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String()
}

// expect polls until the output holds text n times.
func (s *session) expect(text string, n int) {
	s.t.Helper()
	if !testutil.PollFor(testutil.Scaled(patience), func() bool { return strings.Count(s.output(), text) >= n }) {
		s.t.Fatalf("no %d x %q in the output:\n%s", n, text, s.output())
	}
}

func (s *session) typeIn(keys string) {
	s.t.Helper()
	if _, err := s.tty.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
}

// exit waits for the end and returns the exit code and the whole output.
func (s *session) exit() (int, string) {
	s.cmd.Wait() // its error is the exit code
	<-s.done
	return s.cmd.ProcessState.ExitCode(), s.output()
}

const ctrlC = "\x03"

// TestTerminal_CtrlCReachesTheCommandOnce: the terminal sends SIGINT to the
// whole group, so tforkdemo must not send another one. SIGTERM, sent to
// tforkdemo afterwards, comes through the same relay: when it has arrived, a
// second SIGINT would have, too.
func TestTerminal_CtrlCReachesTheCommandOnce(t *testing.T) {
	for _, strategy := range []string{"direct", "waiter"} {
		t.Run(strategy, func(t *testing.T) {
			s := onTerminal(t, "run", "--strategy", strategy, "--", "sh", "-c",
				`trap 'echo got-int' INT; trap 'echo got-term; exit 7' TERM; echo ready; while :; do sleep 0.01; done`)
			s.expect("ready", 1)
			s.typeIn(ctrlC)
			s.expect("got-int", 1)
			if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			code, out := s.exit()
			if code != 7 || strings.Count(out, "got-int") != 1 || !strings.Contains(out, "got-term") {
				t.Errorf("exit code %d (want 7), output:\n%s", code, out)
			}
		})
	}
}

func TestTerminal_CtrlCEndsAnOrdinaryCommand(t *testing.T) {
	s := onTerminal(t, "run", "-v", "--", "sleep", "600")
	s.expect("worker", 1)
	s.typeIn(ctrlC)
	if code, out := s.exit(); code != 128+int(syscall.SIGINT) {
		t.Errorf("exit code %d, output:\n%s", code, out)
	}
}

func TestTerminal_CtrlCStopsABatch(t *testing.T) {
	s := onTerminal(t, "run", "-v", "-n", "50", "-p", "2", "--", "sleep", "600")
	s.expect("-> worker", 2)
	s.typeIn(ctrlC)
	code, out := s.exit()
	// The children have their SIGINT from the terminal, perhaps before we have
	// ours: one or two may be started in between.
	notStarted := regexp.MustCompile(`│ not started +│ +4[4-8] │ 4[4-8] x stopped before it was started `)
	if code != 128+int(syscall.SIGINT) || !notStarted.MatchString(out) || !strings.Contains(out, "stopped: interrupt") {
		t.Errorf("exit code %d, output:\n%s", code, out)
	}
}

func TestTerminal_ShowsProgress(t *testing.T) {
	s := onTerminal(t, "run", "-n", "20", "-p", "2", "--", "sleep", "0.06")
	code, out := s.exit()
	if code != 0 || !strings.Contains(out, "running") || !strings.Contains(out, "/20") {
		t.Errorf("exit code %d, no progress bar in the output:\n%q", code, out)
	}
	if _, table, _ := strings.Cut(out, "┌"); strings.Contains(table, "running") || !strings.Contains(out, " \r┌") {
		t.Errorf("the bar is not wiped before the table:\n%q", out)
	}
}
