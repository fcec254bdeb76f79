// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
)

// Model decides in which processes the services of a server run. There are
// "prefork" (the default: a master and its workers for each service) and
// "single" (everything in the supervisor itself, for a debugger); a program can
// register others.
type Model interface {
	// Run runs the services until the server is told to stop, and returns when
	// all of them have ended. If it returns before, the server stops. A
	// registered model can neither reload nor scale: who asks for that finds a
	// warning in the log.
	Run(s *Server) error
}

// runModel runs the model. When it has returned, whyever, nobody is left to obey
// a command, and nobody may wait for that.
func (s *Server) runModel() error {
	defer s.Stop()
	if _, obeys := s.model.(preforkModel); !obeys {
		defer close(s.over)
		go s.obeyFor()
	}
	return s.model.Run(s)
}

// models are the registered ones by name.
var models struct {
	sync.RWMutex
	byName map[string]Model
}

// RegisterModel makes a process model known under a name, for
// [config.Config.Model]. It panics if the name is taken.
func RegisterModel(name string, m Model) {
	models.Lock()
	defer models.Unlock()
	if _, err := builtIn(name); err == nil || models.byName[name] != nil {
		panic("prefork: RegisterModel: name is taken: " + name)
	}
	if models.byName == nil {
		models.byName = map[string]Model{}
	}
	models.byName[name] = m
}

// builtIn returns the models that are always there.
func builtIn(name string) (Model, error) {
	switch name {
	case "", "prefork":
		return preforkModel{}, nil
	case "single":
		return singleModel{}, nil
	}
	return nil, errors.New("no such model")
}

// findModel looks a model up and names all there are if there is none.
func findModel(name string) (Model, error) {
	if m, err := builtIn(name); err == nil {
		return m, nil
	}
	models.RLock()
	defer models.RUnlock()
	if m := models.byName[name]; m != nil {
		return m, nil
	}
	known := append([]string{"prefork", "single"}, slices.Sorted(maps.Keys(models.byName))...)
	return nil, fmt.Errorf("prefork: no process model %q; known are: %s", name, strings.Join(known, ", "))
}

// Names returns the names of the services that the server runs, in the order of
// their start. It is for a [Model].
func (s *Server) Names() []string {
	var list []string
	for _, service := range s.services {
		list = append(list, service.Name)
	}
	return list
}

// Stopping returns a channel that is closed when the server is to stop. It is
// for a [Model].
func (s *Server) Stopping() <-chan struct{} { return s.stopping }

// ServeHere runs one service in this process, with all its hooks, as one
// instance, until the server is to stop; ready is called when it can serve. It
// is for a [Model].
func (s *Server) ServeHere(name string, instance int, ready func()) error {
	service, err := lookup(name)
	if err != nil {
		return err
	}
	t := &Task{
		service: service, settings: s.settings(service), role: "single", instance: instance,
		log: s.log.With("service", service.Name, "instance", instance), onReady: ready,
	}
	defer t.closeAll()
	if stopping, err := s.openHere(t); stopping || err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-s.stopping:
			t.hangUp()
			cancel()
		case <-done:
		}
	}()
	for _, hook := range []func(*Task) error{service.Init, service.PostFork, service.BeforeLoop} {
		if hook == nil {
			continue
		}
		if err := hook(t); err != nil {
			return err
		}
	}
	defer s.here.add(t)()
	if !service.ManualReady {
		t.Ready()
	}
	err = service.Serve(ctx, t)
	if ctx.Err() != nil {
		return nil // it was told to; what it says about that is no failure
	}
	return err
}

// residents are the services that run in the supervisor itself, by the wish that
// their Reopen is called.
type residents struct {
	mu     sync.Mutex
	wishes map[reopener]bool
}

// add is for a service whose hooks have returned.
func (r *residents) add(t *Task) (remove func()) {
	wish, done := newReopener(), make(chan struct{})
	go wish.work(done, func(*os.File) { t.reopen() })
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wishes == nil {
		r.wishes = map[reopener]bool{}
	}
	r.wishes[wish] = true
	return func() {
		close(done)
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.wishes, wish)
	}
}

// reopen waits for nobody.
func (r *residents) reopen() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for wish := range r.wishes {
		wish.ask(nil)
	}
}

// singleModel runs everything in one process.
type singleModel struct{}

// Run serves each service in a goroutine.
func (singleModel) Run(s *Server) error {
	var all sync.WaitGroup
	var mu sync.Mutex
	failed := map[string]string{}
	begun := make(chan bool, len(s.services)) // whether it has become ready
	for _, name := range s.Names() {
		all.Go(func() {
			var once sync.Once
			say := func(ready bool) { once.Do(func() { begun <- ready }) }
			defer say(false)
			if err := s.ServeHere(name, 0, func() { say(true) }); err != nil {
				s.log.Error("the service ended", "service", name, "error", err)
				mu.Lock()
				failed[name] = err.Error()
				mu.Unlock()
			}
		})
	}
	ended := make(chan struct{})
	go s.sayWhenReady(begun)
	go func() { all.Wait(); close(ended) }()
	select {
	case <-s.killed:
		return errors.New("prefork: ended without waiting for the services")
	case <-ended:
	}
	if len(failed) > 0 {
		return &FailedError{Reasons: failed}
	}
	return nil
}

// sayWhenReady waits until each service is ready, or has ended without.
func (s *Server) sayWhenReady(begun <-chan bool) {
	down := 0
	for range s.services {
		if !<-begun {
			down++
		}
	}
	if down < len(s.services) {
		s.becameReady(down)
	}
}
