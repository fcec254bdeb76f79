// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/seed-cb702d51/tfork-go/prefork/config"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// Service is what a server can run: hooks, of which only Serve must be there.
// [Register] it in every process, before tfork.Dispatch.
//
// The order of the hooks is Init and BeforeLoop in the master, then PostFork
// and BeforeLoop in each worker, then Serve; it is the same at the first start
// and at every restart. The processes share no memory: what Init computes for
// the workers goes through [Task.Share]. An error of a hook ends its process
// with exit code 127, or with that of an [Exit] in its chain.
type Service struct {
	// Name is the service's name; names are compared without case.
	Name string

	// Listen are the sockets if the configuration names none.
	Listen []string

	// InhibitPrefork makes the master serve by itself, as instance 0: it runs
	// Init, PostFork, BeforeLoop and Serve, and there are no workers.
	InhibitPrefork bool

	// Init runs once in each master, before there are workers.
	Init func(*Task) error

	// BeforeLoop runs in the master before its first worker, and in each worker
	// before Serve.
	BeforeLoop func(*Task) error

	// PostFork is the first hook of each worker: open here what must not be
	// shared.
	PostFork func(*Task) error

	// Serve is the worker's work. When ctx ends, which is when the worker is to
	// leave, its listeners are closed already; it should finish what it serves
	// and return. It has [config.Settings.StopTimeout] for that. nil ends the
	// worker with exit code 0, for good; an error with 127, and the worker is
	// restarted.
	Serve func(ctx context.Context, t *Task) error

	// ManualReady says that Serve calls [Task.Ready] itself. Otherwise a worker
	// is ready when Serve is called.
	ManualReady bool

	// Check, if set, is asked before each sign of life. While it errs or hangs
	// there is none, and after [config.Settings.HeartbeatTimeout] the worker
	// counts as hung. ctx ends when the next sign of life is due. Without Check
	// a sign of life proves only that the Go runtime of the worker runs.
	Check func(ctx context.Context) error

	// Reopen is called at SIGHUP, after the log was opened again: beside Serve,
	// one call after the other, and not before the other hooks have returned.
	// Several SIGHUPs may be one call.
	Reopen func(*Task) error

	// Cgroup gives the cgroup v2 directory for one start of a worker; it runs in
	// the master. The worker is born in it, its out-of-memory death is told
	// apart, and all it started ends with it. dir is the server's from then on;
	// release, which may be nil, is called when all of it is gone. It must be
	// the worker's own: what is left in it at the worker's end is killed. If
	// the master itself is killed, the supervisor does that, and nobody calls
	// release: remove stale directories here, at the start of the successor.
	Cgroup func(t *Task, instance int) (dir *os.File, release func(), err error)
}

// Names of the worker functions that this package registers with tfork.
const (
	masterFunc = "prefork-master"
	workerFunc = "prefork-worker"
)

// services are the registered ones, in the order of their registration.
var services struct {
	sync.RWMutex
	list []*Service
}

// Register makes a service known to all processes of the program. Call it
// before tfork.Dispatch, in an init function or at the start of main; it
// registers two worker functions with tfork. It panics on a name that is taken
// or not allowed, and on a service without Serve.
func Register(s Service) {
	if err := config.CheckName(s.Name); err != nil {
		panic("prefork: Register: " + err.Error())
	}
	if s.Serve == nil {
		panic("prefork: Register: service " + s.Name + " has no Serve")
	}
	s.Name = strings.ToLower(s.Name)
	services.Lock()
	defer services.Unlock()
	if slices.ContainsFunc(services.list, func(other *Service) bool { return other.Name == s.Name }) {
		panic("prefork: Register: service registered twice: " + s.Name)
	}
	if len(services.list) == 0 {
		tfork.Register(masterFunc, masterMain)
		tfork.Register(workerFunc, workerMain)
	}
	services.list = append(services.list, &s)
}

// lookup returns a registered service, whatever the case of the name.
func lookup(name string) (*Service, error) {
	services.RLock()
	defer services.RUnlock()
	var known []string
	for _, s := range services.list {
		if strings.EqualFold(s.Name, name) {
			return s, nil
		}
		known = append(known, s.Name)
	}
	return nil, fmt.Errorf("prefork: no service %q is registered; known are: %s", name, strings.Join(known, ", "))
}

// registered returns the names of all services.
func registered() []string {
	services.RLock()
	defer services.RUnlock()
	var names []string
	for _, s := range services.list {
		names = append(names, s.Name)
	}
	return names
}
