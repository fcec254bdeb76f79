// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package accept

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// The size of the measurement: idle worker processes, and connections one
// after the other.
const (
	fairWorkers     = 16
	fairConnections = 400
)

// The kinds of worker process: each answers every connection with its
// number, until its standard input ends, and then prints its accept attempts.
var (
	fairOurs = testutil.Helper("accept: ours", func(args []string) int {
		l, err := New(os.NewFile(3, "socket"))
		if err != nil {
			panic(err)
		}
		return fairWorker(l, args[0], func() uint64 { n, _ := l.Stats(); return n })
	})
	fairOne = testutil.Helper("accept: ours, GOMAXPROCS 1", func(args []string) int {
		runtime.GOMAXPROCS(1)
		l, err := New(os.NewFile(3, "socket"))
		if err != nil {
			panic(err)
		}
		return fairWorker(l, args[0], func() uint64 { n, _ := l.Stats(); return n })
	})
	fairNet = testutil.Helper("accept: net", func(args []string) int {
		l, err := net.FileListener(os.NewFile(3, "socket"))
		if err != nil {
			panic(err)
		}
		return fairWorker(l, args[0], func() uint64 { return 0 })
	})
)

func fairWorker(l net.Listener, number string, attempts func() uint64) int {
	me, _ := strconv.Atoi(number)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Write([]byte{byte(me)})
			c.Close()
		}
	}()
	io.Copy(io.Discard, os.Stdin)
	l.Close()
	<-done
	fmt.Println(attempts())
	return 0
}

// fairRun is what one kind of worker did.
type fairRun struct {
	served   [fairWorkers]int
	attempts int
	total    int // connections, those of the warm-up included
	counted  int // without them
	// What all workers cost, without the warm-up.
	switches int           // context switches
	cpu      time.Duration // processor time
}

func (r fairRun) String() string {
	return fmt.Sprintf("%.2f attempts, %.1f context switches and %v of processor time for a connection, served %v",
		float64(r.attempts)/float64(r.total), float64(r.switches)/float64(r.counted), r.cpu/time.Duration(r.counted), r.served)
}

// TestListener_SixteenIdleWorkersTakeTurns is the promise of the package, with
// net.Listener in the same run for comparison.
func TestListener_SixteenIdleWorkersTakeTurns(t *testing.T) {
	testutil.NeedFeature(t, "4.5", haveExclusive)
	t.Logf("net.Listener:       %v", runFair(t, fairNet))
	for name, helper := range map[string]string{"ours": fairOurs, "ours, GOMAXPROCS=1": fairOne} {
		ours := runFair(t, helper)
		t.Logf("%-19s %v", name+":", ours)
		checkFair(t, ours)
	}
}

// haveExclusive tells whether the kernel knows EPOLLEXCLUSIVE: then it refuses it
// together with EPOLLONESHOT (epoll_ctl(2)).
func haveExclusive() error {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(epoll)
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(event)
	err = unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, event, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLEXCLUSIVE | unix.EPOLLONESHOT})
	switch err {
	case unix.EINVAL:
		return nil
	case nil:
		return fmt.Errorf("EPOLLEXCLUSIVE is ignored: a connection wakes all: %w", errors.ErrUnsupported)
	}
	return err
}

// TestListener_SpreadUnderLoad measures what doc.go says of workers that are
// all busy: then who is running takes the next connection, and nothing is
// promised but that everybody gets some.
func TestListener_SpreadUnderLoad(t *testing.T) {
	const clients = 32
	each := testutil.Fewer(100)
	for name, helper := range map[string]string{"net.Listener": fairNet, "ours": fairOurs, "ours, GOMAXPROCS=1": fairOne} {
		run := runWorkers(t, helper, func(run *fairRun, address string) {
			var mu sync.Mutex
			var all sync.WaitGroup
			for range clients {
				all.Go(func() {
					for range each {
						number := askFair(t, address)
						mu.Lock()
						run.served[number]++
						mu.Unlock()
					}
				})
			}
			all.Wait()
		})
		t.Logf("%-19s %v", name+":", run)
		if idlest := slices.Min(run.served[:]); idlest == 0 && helper != fairNet {
			t.Errorf("%s: a worker got nothing: %v", name, run.served)
		}
	}
}

func checkFair(t *testing.T, ours fairRun) {
	t.Helper()
	if limit := ours.total * 12 / 10; ours.attempts > limit {
		t.Errorf("%d accept attempts for %d connections, want at most %d", ours.attempts, ours.total, limit)
	}
	busiest, idlest := slices.Max(ours.served[:]), slices.Min(ours.served[:])
	if float64(busiest) > 1.5*float64(idlest) {
		t.Errorf("the busiest served %d, the idlest %d: %v", busiest, idlest, ours.served)
	}
}

// runFair makes connections one after the other, each to workers that are idle.
func runFair(t *testing.T, helper string) fairRun {
	return runWorkers(t, helper, func(run *fairRun, address string) {
		for range fairConnections {
			run.served[askFair(t, address)]++
			time.Sleep(2 * time.Millisecond) // the load is the subject: the workers are idle
		}
	})
}

// runWorkers starts workers on one socket, lets the clients do what they do, and
// says what it came to.
func runWorkers(t *testing.T, helper string, clients func(run *fairRun, address string)) (run fairRun) {
	socket, address := fairSocket(t)
	defer socket.Close()
	workers := make([]*fairProcess, fairWorkers)
	for i := range workers {
		workers[i] = startFair(t, helper, i, socket)
	}
	// Warm up until everybody waits: each has been served once.
	seen := map[int]bool{}
	for deadline := time.Now().Add(patience); len(seen) < fairWorkers && time.Now().Before(deadline) && run.total < 2000; run.total++ {
		seen[askFair(t, address)] = true
	}
	switchesBefore, cpuBefore := cost(workers)
	clients(&run, address)
	for _, n := range run.served {
		run.total += n
		run.counted += n
	}
	run.switches, run.cpu = cost(workers)
	run.switches -= switchesBefore
	run.cpu -= cpuBefore
	for _, w := range workers {
		run.attempts += w.stop(t)
	}
	return run
}

// fairSocket returns a listening socket that is in no poller of this process, and
// stays non-blocking when it is handed down: what net's own File returns becomes
// blocking then, for the workers that accept already, too.
func fairSocket(t *testing.T) (socket *os.File, address string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	raw, err := ln.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if controlErr := raw.Control(func(fd uintptr) {
		var dup int
		if dup, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 3); err == nil {
			socket = os.NewFile(uintptr(dup), "socket")
		}
	}); err != nil || controlErr != nil {
		t.Fatal(err, controlErr)
	}
	return socket, ln.Addr().String()
}

// askFair makes one connection and returns the number of who served it.
func askFair(t *testing.T, address string) int {
	c, err := connect("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(testutil.Scaled(patience)))
	var b [1]byte
	if _, err := io.ReadFull(c, b[:]); err != nil {
		t.Fatal(err)
	}
	return int(b[0])
}

type fairProcess struct {
	cmd   *exec.Cmd
	stdin io.Closer
	out   *bufio.Reader
}

func startFair(t *testing.T, helper string, number int, socket *os.File) *fairProcess {
	cmd := exec.Command(testutil.Exe(), strconv.Itoa(number))
	cmd.Env = testutil.HelperEnv(helper)
	cmd.ExtraFiles = []*os.File{socket}
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	return &fairProcess{cmd, stdin, bufio.NewReader(stdout)}
}

// stop ends the worker and returns its accept attempts.
func (w *fairProcess) stop(t *testing.T) int {
	w.stdin.Close()
	line, err := w.out.ReadString('\n')
	n, _ := strconv.Atoi(strings.TrimSpace(line))
	if werr := w.cmd.Wait(); err != nil || werr != nil {
		t.Errorf("worker: %v, %v", err, werr)
	}
	return n
}

// cost counts the context switches and the processor time of all threads of
// all workers so far.
func cost(workers []*fairProcess) (switches int, cpu time.Duration) {
	for _, w := range workers {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", w.cmd.Process.Pid))
		for _, task := range tasks {
			status, _ := os.ReadFile(task + "/status")
			for line := range strings.Lines(string(status)) {
				if key, value, ok := strings.Cut(line, ":"); ok && strings.HasSuffix(key, "ctxt_switches") {
					n, _ := strconv.Atoi(strings.TrimSpace(value))
					switches += n
				}
			}
			var ns int64
			stat, _ := os.ReadFile(task + "/schedstat") // processor time first, in nanoseconds
			fmt.Sscan(string(stat), &ns)
			cpu += time.Duration(ns)
		}
	}
	return switches, cpu
}
