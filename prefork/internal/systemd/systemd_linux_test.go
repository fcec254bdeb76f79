// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

func TestMain(m *testing.M) { testutil.Main(m, nil) }

func TestNotifier_SpeaksTheProtocol(t *testing.T) {
	manager := testutil.Unixgram(t)
	path := manager.LocalAddr().String()
	t.Setenv(notifyKey, path)
	n := NewNotifier()
	if _, still := os.LookupEnv(notifyKey); still {
		t.Error("workers would inherit the manager's socket")
	}
	for _, step := range []struct {
		send func() error
		want string
	}{
		{func() error { return n.Ready("2 services") }, fmt.Sprintf("READY=1\nSTATUS=2 services\nMAINPID=%d", os.Getpid())},
		{n.Reloading, `RELOADING=1\nMONOTONIC_USEC=[1-9]\d*`},
		{n.Stopping, "STOPPING=1"},
		{n.Beat, "WATCHDOG=1"},
		{func() error { return n.Status("busy") }, "STATUS=busy"},
		{func() error { return n.Status("one\nREADY=1") }, "STATUS=one; READY=1"},
		{func() error { return n.Ready("one\ntwo") }, `READY=1\nSTATUS=one; two\nMAINPID=\d+`},
		{func() error { return n.Status("x" + strings.Repeat("é", 5000)) }, "STATUS=xé{999}"},
	} {
		if err := step.send(); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 5000)
		k, err := manager.Read(b)
		if err != nil || !regexp.MustCompile("^"+step.want+"$").Match(b[:k]) {
			t.Errorf("got %q, %v; want %s", b[:k], err, step.want)
		}
	}
	manager.Close()
	if err := n.Stopping(); err == nil {
		t.Error("a manager that is gone goes unnoticed")
	}
}

// TestNotifier_ManagerThatDoesNotRead: its queue is full, and stays so.
func TestNotifier_ManagerThatDoesNotRead(t *testing.T) {
	path := testutil.Unixgram(t).LocalAddr().String()
	testutil.FillQueue(t, path)
	t.Setenv(notifyKey, path)
	n, sent := NewNotifier(), make(chan error, 1)
	go func() { sent <- n.Stopping() }()
	select {
	case err := <-sent:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%v, want %v", err, os.ErrDeadlineExceeded)
		}
	case <-time.After(testutil.Scaled(30 * time.Second)):
		t.Error("it waits for the manager")
	}
}

func TestNotifier_WithoutAManager(t *testing.T) {
	t.Setenv(notifyKey, "")
	n := NewNotifier()
	if err := n.Ready(""); err != nil {
		t.Error(err)
	}
}

// TestWatchdog_OfWhom: of this process, or of whoever is started; and no worker
// finds it.
func TestWatchdog_OfWhom(t *testing.T) {
	own := fmt.Sprint(os.Getpid())
	for _, tt := range []struct {
		microseconds, pid string
		want              time.Duration
		fails             bool
	}{
		{"", "", 0, false},
		{"3000000", "", 3 * time.Second, false},
		{"3000000", own, 3 * time.Second, false},
		{"3000000", "1", 0, false},
		{"soon", own, 0, true},
	} {
		t.Setenv("WATCHDOG_USEC", tt.microseconds)
		t.Setenv("WATCHDOG_PID", tt.pid)
		got, err := Watchdog()
		if got != tt.want || err != nil != tt.fails {
			t.Errorf("%q of %q: %v, %v; want %v", tt.microseconds, tt.pid, got, err, tt.want)
		}
		for _, key := range []string{"WATCHDOG_USEC", "WATCHDOG_PID"} {
			if _, still := os.LookupEnv(key); still {
				t.Errorf("%s is still there", key)
			}
		}
	}
}

// activated prints what it was passed.
var activated = testutil.Helper("systemd: activated", func([]string) int {
	os.Setenv("LISTEN_PID", fmt.Sprint(os.Getpid())) // the manager knows it before exec
	for name, files := range Sockets() {
		for _, f := range files {
			ln, err := net.FileListener(f)
			if err != nil {
				fmt.Println(err)
				return 1
			}
			fmt.Println(name, ln.Addr().Network())
		}
	}
	if len(Sockets()) != 0 || os.Getenv("LISTEN_FDS") != "" {
		fmt.Println("given out twice")
		return 1
	}
	return 0
})

func TestSockets_ByName(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command(testutil.Exe())
	cmd.Env = testutil.HelperEnv(activated, "LISTEN_FDS=2", "LISTEN_FDNAMES=web:web")
	cmd.ExtraFiles = []*os.File{f, f}
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "web tcp") != 2 {
		t.Errorf("%v: %s", err, out)
	}
}
