// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-cb702d51/tfork-go/prefork/config"
	"github.com/seed-cb702d51/tfork-go/prefork/internal/message"
	"github.com/seed-cb702d51/tfork-go/prefork/internal/names"
	"github.com/seed-cb702d51/tfork-go/prefork/internal/systemd"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// Options is what a [Server] is made of. The zero value runs all registered
// services with the default settings.
type Options struct {
	// Config is what can be configured; see package config.
	Config config.Config
	// Services are the names of those to run, started in this order; nil means
	// all that are registered, in the order of their registration.
	Services []string
	// Logger is the supervisor's; nil means one that is made as for all other
	// processes, see [SetLogHandler].
	Logger *slog.Logger
	// Strategy is how tfork starts masters and workers.
	Strategy tfork.Strategy
	// Reload, if set, gives the configuration at a reload. Sockets, the runtime
	// directory, the log file, the model and the list of services stay as they
	// are. It is called by a goroutine of its own, one reload after the other.
	Reload func() (config.Config, error)
}

// Server is the supervisor: the top of the tree. Make it with [New], and call
// [Server.Run] or [Server.Close].
type Server struct {
	options  Options
	config   config.Config
	model    Model
	services []*Service
	sockets  map[string][]*socket
	opening  sync.Mutex            // over the sockets' files, once there are processes
	addrs    map[string][]net.Addr // by service; New writes it, and nobody after it
	dir      *names.Dir
	temp     bool // the runtime directory is ours to remove
	out      *logOutput
	log      *slog.Logger
	manager  *systemd.Notifier
	watchdog time.Duration // 0: the manager has none
	started  time.Time

	ready     chan struct{}
	sayReady  sync.Once
	stopping  chan struct{} // closed when the server is to stop
	sayStop   sync.Once
	killed    chan struct{} // closed when it is to stop at once
	sayKill   sync.Once
	commands  chan command
	over      chan struct{} // closed when the model obeys no more
	runCalled bool
	here      residents
}

// command is something that the model is asked to do.
type command struct {
	kind    message.Kind
	service string
	delta   int
	opened  bool            // Reopen: the supervisor has the new log
	obeyed  chan<- struct{} // Ping: closed then
}

// New checks everything, takes the runtime directory and opens the sockets; it
// starts no process. Sockets that the service manager passed (LISTEN_FDS) are
// taken, and its environment is cleared, so workers do not inherit it.
//
// Errors: an unknown service or model, a configuration error (see package
// config), [ErrInUse], and those of the system. Everything is undone then, but
// what the service manager passed is spent if it was a socket that failed.
func New(o Options) (s *Server, err error) {
	s = &Server{
		options: o, config: o.Config, started: time.Now(), sockets: map[string][]*socket{}, addrs: map[string][]net.Addr{},
		ready: make(chan struct{}), stopping: make(chan struct{}), killed: make(chan struct{}),
		commands: make(chan command, 16), over: make(chan struct{}),
	}
	made := s
	defer func() {
		if err != nil {
			made.Close()
		}
	}()
	if err := o.Config.Check(); err != nil {
		return nil, fmt.Errorf("prefork: configuration: %w", err)
	}
	if s.model, err = findModel(o.Config.Model); err != nil {
		return nil, err
	}
	if err := s.chooseServices(); err != nil {
		return nil, err
	}
	if s.out, err = openLog(o.Config.LogFile); err != nil {
		return nil, err
	}
	if s.log = o.Logger; s.log == nil {
		s.log = newLogger(s.out, names.Supervisor, "", -1)
	}
	if err := s.openDir(); err != nil {
		return nil, err
	}
	s.meetManager()
	if err := s.openSockets(); err != nil {
		return nil, err
	}
	return s, nil
}

// chooseServices looks the services up.
func (s *Server) chooseServices() error {
	list := s.options.Services
	if list == nil {
		list = registered()
	}
	if len(list) == 0 {
		return errors.New("prefork: no service: call Register before tfork.Dispatch")
	}
	for _, name := range list {
		service, err := lookup(name)
		if err != nil {
			return err
		}
		if slices.Contains(s.services, service) {
			return fmt.Errorf("prefork: service %s is listed twice", service.Name)
		}
		s.services = append(s.services, service)
	}
	return s.checkServices(&s.config)
}

// checkServices refuses settings for services that do not exist, which are a slip
// of the pen, and users, groups and CPUs that do not: a worker could only say so in
// its log, again and again. At a reload the sockets stay, and with reuse-port each
// needs its worker.
func (s *Server) checkServices(c *config.Config) error {
	for name := range c.Services {
		if _, err := lookup(name); err != nil {
			return fmt.Errorf("configuration: service.%s: %w", name, err)
		}
	}
	for _, service := range s.services {
		st := settingsOf(c, service)
		if err := checkLimits(st); err != nil {
			return fmt.Errorf("configuration: service.%s: %w", service.Name, err)
		}
		if least := ownSockets(s.sockets[service.Name]); 0 < st.Children && st.Children < least {
			return fmt.Errorf("configuration: service.%s: children = %d: reuse-port has opened %d sockets, and each needs its worker", service.Name, st.Children, least)
		}
	}
	return nil
}

// openDir takes the runtime directory. An earlier server's processes may still
// be leaving it: they get as long as they get to stop.
func (s *Server) openDir() (err error) {
	path := s.config.RuntimeDir
	if path == "" {
		if path, err = os.MkdirTemp("", "prefork-"); err != nil {
			return fmt.Errorf("runtime directory: %w", err)
		}
		s.temp = true
		s.config.RuntimeDir = path
	}
	s.dir, err = names.Open(path, s.stopTimeout())
	return err
}

// openSockets opens those of all services. What the manager passed and nobody
// wants is closed: an open socket that nobody serves is a trap.
func (s *Server) openSockets() error {
	passed := systemd.Sockets()
	for _, service := range s.services {
		st := s.settings(service)
		if s.alone(service) {
			st.ReusePort = false // of several sockets it would serve one
		}
		list, err := openSockets(st, passed)
		if err != nil {
			return fmt.Errorf("service %s: %w", service.Name, err)
		}
		s.sockets[service.Name] = list
		for _, socket := range list {
			s.addrs[service.Name] = append(s.addrs[service.Name], socket.addr)
		}
	}
	for name, files := range passed {
		s.log.Warn("the service manager passed sockets that no service listens at", "name", name)
		for _, f := range files {
			f.Close()
		}
	}
	return nil
}

// alone tells whether one process serves all there is of a service.
func (s *Server) alone(service *Service) bool {
	_, single := s.model.(singleModel)
	return single || service.InhibitPrefork
}

// settings are those of one service, with its own sockets if none are
// configured.
func (s *Server) settings(service *Service) config.Settings {
	return settingsOf(&s.config, service)
}

// settingsOf applies the rule of [Service.Listen].
func settingsOf(c *config.Config, service *Service) config.Settings {
	st := c.Of(service.Name)
	if len(st.Listen) == 0 {
		st.Listen = service.Listen
	}
	return st
}

// Run starts everything and blocks until the server has stopped: ctx ended,
// [Server.Stop] was called, or a signal came. It may be called once. Meanwhile
// the process's signals mean:
//
//	TERM, INT     stop; a second one: kill everything
//	HUP           open the logs again, in every process
//	USR2          reload
//	TTIN, TTOU    one worker more, or less, in each service
//	PIPE          nothing
//
// If orphans come to this process (it is PID 1 of a container, or a child
// subreaper), they are reaped, and nobody else's children are.
//
// The error is nil after a stop, a [*FailedError] if a service was given up
// (all others go on meanwhile; if none is left, Run returns), or what kept the
// model from running.
func (s *Server) Run(ctx context.Context) error {
	switch {
	case s.runCalled:
		return errors.New("prefork: Run called twice")
	case s.dir == nil:
		return errors.New("prefork: Run called after Close: make another Server")
	}
	s.runCalled = true
	defer s.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stopSignals := s.watchSignals()
	defer stopSignals()
	defer s.reapOrphans(ctx)()
	stopNames, err := s.answerAt()
	if err != nil {
		s.Stop() // a signal must not wait for a model
		return err
	}
	defer stopNames()
	defer context.AfterFunc(ctx, func() { s.Stop() })()
	defer s.beats()()
	s.log.Info("server starts", "runtime-dir", s.dir.Path(), "services", len(s.services))
	err = s.runModel()
	stopNames()
	s.awaitOrphans()
	s.log.Info("server ends", "error", err)
	return err
}

// awaitOrphans waits for workers that lost their master and are still leaving.
func (s *Server) awaitOrphans() {
	wait := margin
	select {
	case <-s.killed:
	default:
		wait += s.stopTimeout()
	}
	if err := s.dir.Clear(wait); err != nil {
		s.log.Error("a process does not leave", "error", err)
	}
}

// stopTimeout is the longest time that a worker gets to stop.
func (s *Server) stopTimeout() (longest time.Duration) {
	for _, service := range s.services {
		longest = max(longest, s.settings(service).StopTimeout)
	}
	return longest
}

// Close gives up the sockets and the runtime directory. It is for a server that
// never ran; Run does it itself.
func (s *Server) Close() error {
	s.closeSockets()
	if s.dir != nil {
		s.dir.Sweep()
		s.dir.Close()
		s.dir = nil
	}
	if s.temp {
		os.RemoveAll(s.config.RuntimeDir)
	}
	if s.out != nil {
		s.out.close()
	}
	return nil
}

// RuntimeDir returns the path of the runtime directory.
func (s *Server) RuntimeDir() string { return s.config.RuntimeDir }

// Addrs returns the addresses of a service's sockets in the order of the
// configuration; where a free port was asked for, the one that was found. It is
// nil for an unknown service.
func (s *Server) Addrs(service string) []net.Addr {
	return slices.Clone(s.addrs[strings.ToLower(service)])
}

// Ready returns a channel that is closed when, for the first time, at least one
// service is ready and no other is still on its way: all others have ended for
// good, which the log tells.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// answerAt makes the supervisor's own name.
func (s *Server) answerAt() (stop func(), err error) {
	socket, err := s.dir.Bind(names.Name(names.Supervisor, "", -1, 0))
	if err != nil {
		return nil, err
	}
	end, err := names.Serve(socket.File, s.answer)
	if err != nil {
		socket.Close()
		return nil, err
	}
	socket.File.Close()
	dir := s.dir
	return sync.OnceFunc(func() {
		end()
		dir.Prune(socket.ID)
		socket.Pin.Close()
	}), nil
}

// answer is what the supervisor's own socket says.
func (s *Server) answer(q message.Message) message.Message {
	switch q.Kind {
	case message.Ping:
	case message.Status:
		return message.JSON(message.Row, s.row())
	case message.Stop:
		s.Stop()
	case message.Reload:
		s.Reload()
	case message.Reopen:
		s.Reopen()
	default:
		return message.Text(message.Refuse, fmt.Sprintf("the supervisor does not know question %d", q.Kind))
	}
	return message.Message{Kind: message.Done}
}

// row is the supervisor's line in the process table.
func (s *Server) row() Process {
	state := StateStarting
	select {
	case <-s.ready:
		state = StateReady
	default:
	}
	select {
	case <-s.stopping:
		state = StateDraining
	default:
	}
	return Process{Role: names.Supervisor, Instance: -1, Pid: os.Getpid(), State: state, Started: s.started, Memory: residentMemory()}
}
