// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/prefork/config"
)

// echoed sends a word and wants it back.
func echoed(t *testing.T, network, address string) {
	t.Helper()
	c := dialWithin(t, network, address)
	if _, err := io.WriteString(c, "word"); err != nil {
		t.Error(err)
		return
	}
	b := make([]byte, 4)
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "word" {
		t.Errorf("%s %s answered %q, %v", network, address, b, err)
	}
}

func TestServer_EveryKindOfSocket(t *testing.T) {
	dir := t.TempDir()
	stream, stale := filepath.Join(dir, "stream"), filepath.Join(dir, "stale")
	ln, err := net.Listen("unix", stale)
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	ln.Close()
	s := start(t, fmt.Sprintf(`backoff-increment = 0
[service.echo]
children = 2
listen = ["tcp:127.0.0.1:0", "udp:127.0.0.1:0", "unix:%s", "unix:%s", "tcp6:[::1]:0"]
`, stream, stale), echoService)
	addrs := s.addrs[echoService]
	for range 2 {
		echoed(t, "tcp", addrs[0])
		echoed(t, "udp", addrs[1])
		echoed(t, "unix", stream)
		echoed(t, "unix", stale)
		echoed(t, "tcp", addrs[4])
		old := s.pids()
		s.kill(syscall.SIGKILL, "worker-echo-0", "worker-echo-1")
		s.renewed(old, "worker-echo-0", "worker-echo-1")
	}
	s.stop()
	for _, path := range []string{stream, stale} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is left", path)
		}
	}
}

// refused waits until nobody listens at an address any more.
func refused(t *testing.T, network, address string) {
	t.Helper()
	testutil.Poll(t, patience, network+" "+address+" is closed", func() bool {
		c, err := net.Dial(network, address)
		if err == nil {
			c.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT)
	})
}

// TestServer_PortsCloseWithTheStop: who connects while workers finish what they
// have does not wait for nothing, and the addresses are free for a successor.
func TestServer_PortsCloseWithTheStop(t *testing.T) {
	for _, end := range []struct {
		model  string
		signal syscall.Signal
	}{{"prefork", syscall.SIGTERM}, {"prefork", syscall.SIGKILL}, {"single", syscall.SIGTERM}} {
		t.Run(fmt.Sprint(end.model, " ", end.signal), func(t *testing.T) {
			forEachStrategy(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "stream")
				s := start(t, fmt.Sprintf("model = %q\nchildren = 2\n[service.echo]\nlisten = [\"tcp:127.0.0.1:0\", \"unix:%s\"]", end.model, path), echoService)
				address, pids := s.addrs[echoService][0], s.pids()
				held := dialWithin(t, "tcp", address)
				word := func() {
					t.Helper()
					b := make([]byte, 4)
					if _, err := io.WriteString(held, "word"); err != nil {
						t.Error(err)
					} else if _, err := io.ReadFull(held, b); err != nil || string(b) != "word" {
						t.Errorf("answered %q, %v", b, err)
					}
				}
				word()
				s.kill(end.signal, "supervisor")
				refused(t, "tcp", address)
				refused(t, "unix", path)
				if end.signal == syscall.SIGKILL {
					os.Remove(path) // nobody else may, who did not make it
				}
				for network, address := range map[string]string{"tcp": address, "unix": path} {
					successor, err := net.Listen(network, address)
					if err != nil {
						t.Fatal(err)
					}
					defer successor.Close()
				}
				word() // what was accepted is served meanwhile
				held.Close()
				if err := s.wait(); err != nil && end.signal != syscall.SIGKILL {
					t.Errorf("the server ended with %v", err)
				}
				for name, pid := range pids {
					testutil.Poll(t, patience, name+" leaves", func() bool { return !testutil.Alive(pid) })
				}
				if _, err := os.Lstat(path); err != nil {
					t.Errorf("the successor's socket: %v", err)
				}
			})
		})
	}
}

// TestServer_ReusePort gives each worker a socket of its own, which outlives it.
func TestServer_ReusePort(t *testing.T) {
	s := start(t, "children = 3\nbackoff-increment = 0\nreuse-port = true", httpService, echoService)
	served := map[int]bool{}
	testutil.Poll(t, patience, "all workers serve", func() bool {
		served[s.see(httpService).Instance] = true
		return len(served) == 3
	})
	echoed(t, "udp", s.addrs[echoService][1])
	old := s.pids()
	s.kill(syscall.SIGKILL, "worker-http-0", "worker-http-1", "worker-http-2")
	for range 20 {
		s.see(httpService) // it waits in the queue of the worker that comes back
	}
	s.renewed(old, "worker-http-0", "worker-http-1", "worker-http-2")
}

// TestServer_ReusePortKeepsAWorkerForEachSocket: what the kernel gives to a socket
// without one would wait for ever.
func TestServer_ReusePortKeepsAWorkerForEachSocket(t *testing.T) {
	const settings = "backoff-increment = 0\nreuse-port = true\n"
	s := start(t, settings+"children = 3", httpService)
	old := s.pids()
	if err := TellScale(s.dir, httpService, -1); err == nil || !strings.Contains(err.Error(), "reuse-port") {
		t.Errorf("TellScale: %v", err)
	}
	s.kill(syscall.SIGTTOU, "supervisor")
	s.logged("there cannot be fewer", "wanted=2", "sockets=3")
	if err := TellScale(s.dir, httpService, 1); err != nil {
		t.Error(err)
	}
	s.renewed(old, "worker-http-3")
	if err := TellScale(s.dir, httpService, -1); err != nil {
		t.Error(err)
	}
	s.configure(settings + "children = 2")
	s.kill(syscall.SIGUSR2, "supervisor")
	s.logged("reload failed", "children = 2: reuse-port has opened 3 sockets")
	s.same(old, "worker-http-0", "worker-http-1", "worker-http-2")
	for range 20 {
		s.see(httpService)
	}
}

// TestServer_ReusePortOfOneProcess does nothing: all that comes is served.
func TestServer_ReusePortOfOneProcess(t *testing.T) {
	for model, service := range map[string]string{"single": httpService, "prefork": aloneService} {
		t.Run(model, func(t *testing.T) {
			s := start(t, fmt.Sprintf("model = %q\nreuse-port = true\nchildren = 4", model), service)
			for range 20 {
				s.see(service)
			}
		})
	}
}

// TestServer_SocketsOfTheManager: LISTEN_FDS by name, and the states.
func TestServer_SocketsOfTheManager(t *testing.T) {
	manager := testutil.Unixgram(t)
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
	s := prepare(t, "children = 2\n[service.http]\nlisten = [\"systemd:web\"]")
	// The manager knows the pid because it executes the server itself; the
	// shell does so here.
	script := filepath.Join(t.TempDir(), "manager")
	text := fmt.Sprintf("#!/bin/sh\nexec env LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web NOTIFY_SOCKET=%s %s \"$@\" 3<&%d\n", manager.LocalAddr(), testutil.Exe(), 3)
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	s.exe = script
	s.extra = []*os.File{f}
	s.launch(httpService)
	said := func(want string) {
		t.Helper()
		b := make([]byte, 1000)
		n, err := manager.Read(b)
		if err != nil || !strings.HasPrefix(string(b[:n]), want) {
			t.Errorf("the manager heard %q, %v; want %s", b[:n], err, want)
		}
	}
	said("READY=1\n")
	s.see(httpService)
	if got := s.addrs[httpService][0]; got != ln.Addr().String() {
		t.Errorf("it listens at %s", got)
	}
	s.kill(syscall.SIGUSR2, "supervisor")
	said("RELOADING=1\nMONOTONIC_USEC=")
	said("READY=1\n")
	s.stop()
	said("STOPPING=1")
}

// TestNew_LeavesWhatIsInTheWayOfASocket: a path that is taken is an error, and
// what is there stays: somebody's file, or the socket of a server that lives.
func TestNew_LeavesWhatIsInTheWayOfASocket(t *testing.T) {
	testutil.NeedPeerCredentials(t)
	dir := t.TempDir()
	file, live := filepath.Join(dir, "file"), filepath.Join(dir, "live")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("unix", live)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, path := range []string{file, live} {
		st := config.Default()
		st.Listen = []string{"unix:" + path}
		s, err := New(Options{Services: []string{echoService}, Config: config.Config{Defaults: &st}})
		if err == nil {
			s.Close()
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("%s: %v, want %v", path, err, syscall.EADDRINUSE)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
}
