// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package accept

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

const patience = 30 * time.Second

// shared returns a listener of ours on a socket that net opened, and the
// socket as another process would have it.
func shared(t testing.TB, network, address string) (*Listener, *os.File) {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	defer ln.Close()
	f, err := ln.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	l, err := New(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, f
}

func eachNetwork(t *testing.T, f func(t *testing.T, network, address string)) {
	t.Run("tcp", func(t *testing.T) { f(t, "tcp", "127.0.0.1:0") })
	t.Run("unix", func(t *testing.T) { f(t, "unix", filepath.Join(t.TempDir(), "s")) })
}

// connect is net.Dial, again on EPIPE: connect says that of a connection that was
// served, closed and reset before the client looked. A machine with little memory
// keeps only 4096 sockets in TIME-WAIT (tcp_max_tw_buckets), these tests make more,
// and a server's socket for which there is no room answers a late ACK with a reset.
func connect(network, address string) (net.Conn, error) {
	c, err := net.Dial(network, address)
	for errors.Is(err, unix.EPIPE) {
		c, err = net.Dial(network, address)
	}
	return c, err
}

func dial(t testing.TB, a net.Addr) net.Conn {
	t.Helper()
	c, err := connect(a.Network(), a.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestListener_AcceptsWhatNetKnows(t *testing.T) {
	eachNetwork(t, func(t *testing.T, network, address string) {
		l, _ := shared(t, network, address)
		client := dial(t, l.Addr())
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		switch c.(type) {
		case *net.TCPConn, *net.UnixConn:
		default:
			t.Errorf("Accept returned a %T", c)
		}
		if network == "tcp" && c.RemoteAddr().String() != client.LocalAddr().String() {
			t.Errorf("the other end is %v, want %v", c.RemoteAddr(), client.LocalAddr())
		}
		io.WriteString(client, "hello")
		client.(interface{ CloseWrite() error }).CloseWrite()
		if got, _ := io.ReadAll(c); string(got) != "hello" {
			t.Errorf("read %q", got)
		}
		// The deadline of a connection works: it is in Go's own poller.
		c.SetReadDeadline(time.Now().Add(-time.Second))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read after its deadline: %v", err)
		}
	})
}

func TestListener_ServesHTTP(t *testing.T) {
	l, _ := shared(t, "tcp", "127.0.0.1:0")
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })}
	done := make(chan error)
	go func() { done <- srv.Serve(l) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range 20 {
		resp, err := client.Get("http://" + l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	srv.Close()
	if err := <-done; err != http.ErrServerClosed {
		t.Errorf("Serve: %v", err)
	}
}

func TestListener_CloseEndsEveryAccept(t *testing.T) {
	eachNetwork(t, func(t *testing.T, network, address string) {
		l, f := shared(t, network, address)
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				_, err := l.Accept()
				var op *net.OpError
				if !errors.Is(err, net.ErrClosed) || !errors.As(err, &op) {
					t.Errorf("Accept: %v", err)
				}
			})
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		all.Wait()
		if err := l.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept after Close: %v", err)
		}
		if err := l.SetDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("SetDeadline after Close: %v", err)
		}
		l.Poke() // must do nothing
		// The socket lives on: a connection waits for whoever comes.
		dial(t, l.Addr())
		next, err := New(f)
		if err != nil {
			t.Fatal(err)
		}
		defer next.Close()
		c, err := next.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	})
}

// TestListener_CloseLosesNoConnection closes in the middle of a storm: every
// connection was either served, or is in the queue for the next listener.
func TestListener_CloseLosesNoConnection(t *testing.T) {
	l, f := shared(t, "tcp", "127.0.0.1:0")
	const clients, each = 4, 100
	var answered sync.WaitGroup
	for range clients {
		answered.Go(func() {
			for range each {
				c, err := connect("tcp", l.Addr().String())
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
					t.Errorf("a connection was lost: %v", err)
				}
				c.Close()
			}
		})
	}
	stop := make(chan struct{})
	var server sync.WaitGroup
	server.Go(func() {
		for current := l; ; {
			serving := make(chan struct{})
			go func() { defer close(serving); answer(current) }()
			select {
			case <-stop:
				current.Close()
				<-serving
				return
			case <-time.After(3 * time.Millisecond):
			}
			current.Close()
			<-serving
			next, err := New(f)
			if err != nil {
				t.Error(err)
				return
			}
			current = next
		}
	})
	answered.Wait()
	close(stop)
	server.Wait()
}

// TestListener_ClosingServesWhatItWasWokenFor: two listeners take turns in being
// closed under a trickle of connections, each of which wakes only one. A
// wake-up that is lost would leave its connection waiting for the next one.
func TestListener_ClosingServesWhatItWasWokenFor(t *testing.T) {
	l, f := shared(t, "tcp", "127.0.0.1:0")
	var serving sync.WaitGroup
	serve := func(l *Listener) { serving.Go(func() { answer(l) }) }
	serve(l)
	for range 300 {
		next, err := New(f)
		if err != nil {
			t.Fatal(err)
		}
		serve(next)
		var closing sync.WaitGroup
		closing.Go(func() { l.Close() })
		c, err := connect("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(testutil.Scaled(patience)))
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Fatalf("nobody came for a connection: %v", err)
		}
		c.Close()
		closing.Wait()
		l = next
	}
	l.Close()
	serving.Wait()
}

// answer sends one byte to whoever comes, until the listener is closed.
func answer(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		c.Write([]byte{1})
		c.Close()
	}
}

func TestListener_Deadline(t *testing.T) {
	l, _ := shared(t, "tcp", "127.0.0.1:0")
	start := time.Now()
	l.SetDeadline(start.Add(20 * time.Millisecond))
	_, err := l.Accept()
	if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) < 20*time.Millisecond {
		t.Errorf("Accept: %v after %v", err, time.Since(start))
	}
	if ne := net.Error(nil); !errors.As(err, &ne) || !ne.Timeout() {
		t.Errorf("%v is no timeout for net.Error", err)
	}
	// A new deadline reaches those who wait, with the turn and without.
	l.SetDeadline(time.Time{})
	results := make(chan error)
	for range 2 {
		go func() { _, err := l.Accept(); results <- err }()
	}
	l.SetDeadline(time.Now().Add(-time.Second))
	for range 2 {
		if err := <-results; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Accept: %v", err)
		}
	}
	l.SetDeadline(time.Now().Add(testutil.Scaled(patience)))
	dial(t, l.Addr())
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestNew_Refuses(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := New(file); err == nil || !strings.Contains(err.Error(), "is no stream socket") {
		t.Errorf("a file: %v", err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	one, two := os.NewFile(uintptr(pair[0]), "one end"), os.NewFile(uintptr(pair[1]), "other end")
	defer one.Close()
	defer two.Close()
	if _, err := New(one); err == nil || !strings.Contains(err.Error(), "one end") {
		t.Errorf("a connected socket: %v", err)
	}
	for name, domain := range map[string]int{"new unix": unix.AF_UNIX, "new tcp": unix.AF_INET} {
		fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		f := os.NewFile(uintptr(fd), name)
		l, err := New(f)
		if err == nil {
			l.Close()
		}
		if err == nil && domain == unix.AF_UNIX && os.Getenv(testutil.MissingKey) != "" {
			t.Log("a new unix socket looks like one that listens here")
		} else if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		f.Close()
	}
	file.Close()
	if _, err := New(file); err == nil {
		t.Error("a closed file is accepted")
	}
}

// TestListener_PokeFindsWhatNobodyWasWokenFor loses a wake-up on purpose: the
// kernel gives it to a process (here: another epoll) that never accepts.
func TestListener_PokeFindsWhatNobodyWasWokenFor(t *testing.T) {
	l, f := shared(t, "tcp", "127.0.0.1:0")
	dead, err := newPoller(f)
	if err != nil {
		t.Fatal(err)
	}
	defer dead.close()
	woken := make(chan bool)
	tid := make(chan int, 1)
	go func() {
		runtime.LockOSThread()
		tid <- unix.Gettid()
		ready, _, _ := dead.look(int(patience.Milliseconds()))
		woken <- ready
	}()
	waiting := <-tid
	testutil.Poll(t, patience, "the other one waits", func() bool {
		call, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/syscall", waiting))
		if err != nil { // not readable for everybody: its state must do
			return testutil.StateOf(waiting) == "S"
		}
		nr, _, _ := strings.Cut(string(call), " ")
		return nr == fmt.Sprint(unix.SYS_EPOLL_PWAIT) || runtime.GOARCH == "amd64" && nr == "232" // epoll_wait
	})
	// The other one is the first on the kernel's list now.
	l.poll.leave()
	if err := l.poll.join(); err != nil {
		t.Fatal(err)
	}
	dial(t, l.Addr())
	if !<-woken {
		t.Fatal("the one that waits was not woken")
	}
	if ready, _, _ := l.poll.look(0); ready {
		t.Log("this kernel wakes more than one: nothing to find")
	}
	accepted := make(chan error)
	go func() {
		c, err := l.Accept()
		if err == nil {
			c.Close()
		}
		accepted <- err
	}()
	l.Poke()
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}
}
