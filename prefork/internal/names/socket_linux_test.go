// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package names

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/prefork/internal/message"
)

func TestList_AHungProcessKeepsItsPid(t *testing.T) {
	path := tempDir(t)
	pid, _ := startLeaver(t, path, "hang")
	entries, err := List(path, 50*time.Millisecond)
	if err != nil || len(entries) != 1 || entries[0].Pid != pid || entries[0].Row != nil {
		t.Errorf("List = %+v, %v; want pid %d without a row", entries, err, pid)
	}
	if _, got, err := Ask(path, "prefork-worker-echo-0", message.Message{Kind: message.Ping}, 50*time.Millisecond); !errors.Is(err, ErrNoAnswer) || got != pid {
		t.Errorf("Ask: pid %d, %v", got, err)
	}
}

func TestServe_StampsThePidOfWhoServes(t *testing.T) {
	path := tempDir(t)
	pid, _ := startLeaver(t, path)
	_, got, err := Ask(path, "prefork-worker-echo-0", message.Message{Kind: message.Ping}, patience)
	if err != nil || got != pid {
		t.Errorf("pid %d, %v; want %d", got, err, pid)
	}
}

// heir serves on a socket that was handed down, as workers do.
var heir = testutil.Helper("names: heir", func([]string) int {
	if _, err := Serve(os.NewFile(3, "socket"), func(message.Message) message.Message { return message.Message{Kind: message.Done} }); err != nil {
		panic(err)
	}
	io.Copy(io.Discard, os.Stdin)
	return 0
})

// TestAsk_TellsWhoAnswered: the question came while the process was being
// started, and the socket was still that of who started it.
func TestAsk_TellsWhoAnswered(t *testing.T) {
	path := tempDir(t)
	s, err := open(t, path).Bind("prefork-worker-echo-0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	type told struct {
		pid int
		err error
	}
	answer := make(chan told)
	go func() {
		_, pid, err := Ask(path, "prefork-worker-echo-0", message.Message{Kind: message.Ping}, patience)
		answer <- told{pid, err}
	}()
	fds := []unix.PollFd{{Fd: int32(s.File.Fd()), Events: unix.POLLIN}}
	if n, err := unix.Poll(fds, int(patience.Milliseconds())); n != 1 {
		t.Fatalf("nobody asks: %v", err)
	}
	cmd := exec.Command(testutil.Exe())
	cmd.Env = testutil.HelperEnv(heir)
	cmd.ExtraFiles = []*os.File{s.File}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer stdin.Close()
	if got := <-answer; got.err != nil || got.pid != cmd.Process.Pid {
		t.Errorf("pid %d, %v; want %d", got.pid, got.err, cmd.Process.Pid)
	}
}
