// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// seen is what the http service answers.
type seen struct {
	Instance int    `json:"instance"`
	Pid      int    `json:"pid"`
	PPid     int    `json:"ppid"`
	Strategy string `json:"strategy"`
	Shared   string `json:"shared"`
	Nice     int    `json:"nice"`
	Uid      int    `json:"uid"`
	Groups   []int  `json:"groups"`
	NoFile   uint64 `json:"nofile"`
	CPUs     int    `json:"cpus"`
}

// allocated is what /alloc keeps.
var allocated atomic.Pointer[[]byte]

// hung makes the http service's Check hang.
var hung atomic.Bool

var httpService = testService(Service{
	Name:   "http",
	Listen: []string{"tcp:127.0.0.1:0"},
	Init:   func(t *Task) error { t.Share([]byte("from the master")); return nil },
	Serve:  serveTestHTTP,
	Check: func(ctx context.Context) error {
		if hung.Load() {
			<-ctx.Done()
		}
		return ctx.Err()
	},
})

// aloneService serves in its master.
var aloneService = testService(Service{
	Name: "alone", Listen: []string{"tcp:127.0.0.1:0"}, InhibitPrefork: true, Serve: serveTestHTTP,
})

// cagedService has a cgroup for each start of a worker.
var cagedService = testService(Service{
	Name: "caged", Listen: []string{"tcp:127.0.0.1:0"}, Serve: serveTestHTTP,
	Cgroup: func(_ *Task, instance int) (*os.File, func(), error) {
		stale, _ := filepath.Glob(filepath.Join(os.Getenv("TEST_CGROUP"), fmt.Sprintf("worker-%d-*", instance)))
		for _, path := range stale {
			os.Remove(path) // of a master that was killed; one that is in use stays
		}
		path, err := os.MkdirTemp(os.Getenv("TEST_CGROUP"), fmt.Sprintf("worker-%d-", instance))
		if err != nil {
			return nil, nil, err
		}
		for limit := range strings.FieldsSeq(os.Getenv("TEST_CGROUP_LIMITS")) {
			file, value, _ := strings.Cut(limit, "=")
			if err := os.WriteFile(filepath.Join(path, file), []byte(value), 0); err != nil {
				return nil, nil, err
			}
		}
		dir, err := os.Open(path)
		return dir, func() { os.Remove(path) }, err
	},
})

func serveTestHTTP(ctx context.Context, t *Task) error {
	mux := http.NewServeMux()
	number := func(r *http.Request, key string) int { n, _ := strconv.Atoi(r.FormValue(key)); return n }
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { json.NewEncoder(w).Encode(look(t)) })
	mux.HandleFunc("/sleep", func(_ http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Duration(number(r, "ms")) * time.Millisecond)
	})
	mux.HandleFunc("/wait", func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).Flush() // says that it is here
		<-r.Context().Done()
	})
	mux.HandleFunc("/exit", func(_ http.ResponseWriter, r *http.Request) { os.Exit(number(r, "code")) })
	mux.HandleFunc("/signal", func(_ http.ResponseWriter, r *http.Request) { dieBy(number(r, "n")) })
	mux.HandleFunc("/hang", func(http.ResponseWriter, *http.Request) { hung.Store(true) })
	mux.HandleFunc("/alloc", func(_ http.ResponseWriter, r *http.Request) {
		if allocated.Load() == nil { // once in each process
			block := bytes.Repeat([]byte{1}, number(r, "mib")<<20)
			allocated.Store(&block)
		}
	})
	mux.HandleFunc("/leave", func(w http.ResponseWriter, r *http.Request) {
		cmd := exec.Command("/bin/sleep", "1000")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: r.FormValue("setsid") != ""}
		if err := cmd.Start(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, cmd.Process.Pid)
	})
	mux.HandleFunc("/bomb", func(w http.ResponseWriter, r *http.Request) {
		// Each makes two more, until the kernel refuses; after 100 s it ends by itself.
		bomb := "b() { sleep 100 & b & b & wait; }; b"
		cmd := exec.Command("/bin/sh", "-c", bomb)
		cmd.Stderr = os.Stderr // for what the kernel refuses
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: r.FormValue("setsid") != ""}
		if err := cmd.Start(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("/orphan", func(w http.ResponseWriter, _ *http.Request) {
		// The shell ends at once, and what it started a little later.
		if err := exec.Command("/bin/sh", "-c", "(sleep 0.1; exit 7) &").Run(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	return ServeHTTP(ctx, t, &http.Server{Handler: mux})
}

func look(t *Task) seen {
	var limit unix.Rlimit
	unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	nice, _ := unix.Getpriority(unix.PRIO_PROCESS, 0)
	var cpus unix.CPUSet
	unix.SchedGetaffinity(0, &cpus)
	groups, _ := os.Getgroups()
	return seen{
		Groups:   groups,
		Instance: t.Instance(), Pid: os.Getpid(), PPid: os.Getppid(), Strategy: t.Strategy(), Shared: string(t.Shared()),
		Nice: 20 - nice, Uid: os.Getuid(), NoFile: limit.Cur, CPUs: cpus.Count(),
	}
}

// dieBy ends the process by that very signal: the Go runtime's own handlers
// would turn many into exit 2, or into nothing.
func dieBy(sig int) {
	var action [4]uint64 // struct sigaction: SIG_DFL, no flags, no mask
	if sig != int(unix.SIGKILL) && sig != int(unix.SIGSTOP) {
		unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
	}
	unix.Kill(os.Getpid(), unix.Signal(sig))
	select {} // the signal may take another thread
}

var echoService = testService(Service{
	Name: "echo", Listen: []string{"tcp:127.0.0.1:0", "udp:127.0.0.1:0"},
	Serve: func(ctx context.Context, t *Task) error {
		var all sync.WaitGroup
		for _, pc := range t.PacketConns() {
			all.Go(func() { echoPackets(t, pc) })
		}
		for _, ln := range t.Listeners() {
			all.Go(func() { echoStreams(ln, &all) })
		}
		all.Wait()
		<-ctx.Done()
		return nil
	},
})

func echoPackets(t *Task, pc net.PacketConn) {
	b := make([]byte, 1<<16)
	for {
		n, from, err := pc.ReadFrom(b)
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			t.CountRequest()
			pc.WriteTo(b[:n], from)
		}
	}
}

func echoStreams(ln net.Listener, all *sync.WaitGroup) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		all.Go(func() {
			defer c.Close()
			io.Copy(c, c)
		})
	}
}

// crashingService crashes as long as the file TEST_CRASH is there, or ends with
// the code that is in it.
var crashingService = testService(Service{
	Name: "crashing", Listen: []string{"tcp:127.0.0.1:0"}, Serve: serveTestHTTP,
	PostFork: func(*Task) error {
		content, err := os.ReadFile(os.Getenv("TEST_CRASH"))
		if err != nil {
			return nil
		}
		if code, err := strconv.Atoi(string(content)); err == nil {
			return &Exit{Code: code}
		}
		dieBy(int(unix.SIGSEGV))
		return nil
	},
})

// deafService ignores SIGTERM, and does not leave when it is told to.
var deafService = testService(Service{
	Name: "deaf",
	Serve: func(context.Context, *Task) error {
		signal.Ignore(unix.SIGTERM)
		select {}
	},
})

// gatedService does not become ready while the file TEST_GATE is there.
var gatedService = testService(Service{
	Name: "gated", Listen: []string{"tcp:127.0.0.1:0"}, ManualReady: true,
	Serve: func(ctx context.Context, t *Task) error {
		if _, err := os.Stat(os.Getenv("TEST_GATE")); err == nil {
			<-ctx.Done()
			return nil
		}
		t.Ready()
		return serveTestHTTP(ctx, t)
	},
})

func hangAtGate(*Task) error {
	if _, err := os.Stat(os.Getenv("TEST_GATE")); err == nil {
		<-make(chan struct{})
	}
	return nil
}

// stuckService does not get out of its master's Init while the gate is closed.
var stuckService = testService(Service{
	Name: "stuck", Listen: []string{"tcp:127.0.0.1:0"}, Serve: serveTestHTTP, Init: hangAtGate,
})

// stuckAloneService is the same without workers.
var stuckAloneService = testService(Service{
	Name: "stuck-alone", Listen: []string{"tcp:127.0.0.1:0"}, Serve: serveTestHTTP, Init: hangAtGate, InhibitPrefork: true,
})

// thievingService has code in its master that waits for any child.
var thievingService = testService(Service{
	Name: "thief", Listen: []string{"tcp:127.0.0.1:0"}, Serve: serveTestHTTP,
	Init: func(*Task) error {
		go func() {
			for {
				if _, err := unix.Wait4(-1, nil, 0, nil); err == unix.ECHILD {
					unix.Nanosleep(&unix.Timespec{Nsec: 20_000}, nil) // no child at all: look again very soon
				}
			}
		}()
		return nil
	},
})

// stubbornService does not leave when it is told to.
var stubbornService = testService(Service{
	Name: "stubborn", Serve: func(context.Context, *Task) error { select {} },
})

// exitService ends with the code that is in the file EXIT names.
var exitService = testService(Service{
	Name: "exit",
	Serve: func(ctx context.Context, _ *Task) error {
		if code, _ := strconv.Atoi(os.Getenv("TEST_EXIT_CODE")); code >= 0 {
			return &Exit{Code: code, Err: errors.New("told to")}
		}
		<-ctx.Done()
		return nil
	},
})

// starvedService has a master without free descriptors, until a file is there.
var starvedService = testService(Service{
	Name: "starved", Serve: func(ctx context.Context, _ *Task) error { <-ctx.Done(); return nil },
	BeforeLoop: func(t *Task) error {
		if t.Role() != "master" {
			return nil
		}
		var old unix.Rlimit
		unix.Getrlimit(unix.RLIMIT_NOFILE, &old)
		go func() {
			testutil.PollFor(time.Hour, func() bool {
				_, err := os.Stat(os.Getenv("TEST_STARVED"))
				return err == nil
			})
			unix.Setrlimit(unix.RLIMIT_NOFILE, &old)
		}()
		return unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 10, Max: old.Max})
	},
})

// orderService writes down which hook ran where.
var orderService = testService(Service{
	Name:       "order",
	Init:       note("init"),
	PostFork:   note("post-fork"),
	BeforeLoop: note("before-loop"),
	Reopen:     note("reopen"),
	Serve: func(ctx context.Context, t *Task) error {
		note("serve")(t)
		<-ctx.Done()
		return nil
	},
})

func note(what string) func(*Task) error {
	return func(t *Task) error {
		f, err := os.OpenFile(os.Getenv("TEST_ORDER"), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = fmt.Fprintf(f, "%s %s %d\n", what, t.Role(), t.Instance())
		return err
	}
}
