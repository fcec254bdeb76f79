// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"time"
)

// patience is how long a server may take to answer for the first time.
const patience = 20 * time.Second

// instance is a server that runs.
type instance struct {
	address string
	cmd     *exec.Cmd
	stop    func() error
}

// start starts a server and waits until all its workers answer. It looks for
// them with a new connection each time: the first ones to be ready would get all
// of those that wait.
func start(kind string, workers int, env ...string) (*instance, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &instance{address: address, cmd: exec.Command(exe, serverWord, kind, address, fmt.Sprint(workers))}
	s.cmd.Env = append(os.Environ(), env...)
	s.cmd.Stderr = os.Stderr
	stdin, err := s.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	s.stop = func() error {
		stdin.Close()
		s.cmd.Wait() // most end by a signal
		return s.gone()
	}
	if kinds[kind].alone {
		workers = 1
	}
	seen := map[int]bool{}
	for begin := time.Now(); len(seen) < workers; {
		if pid, err := once(address); err == nil {
			seen[pid] = true
		} else if time.Since(begin) > patience {
			s.stop()
			return nil, fmt.Errorf("%s with %d workers does not answer: %w", kind, workers, err)
		} else {
			time.Sleep(time.Millisecond)
		}
		if time.Since(begin) > patience {
			break // one worker gets everything: that is a result, too
		}
	}
	return s, nil
}

// gone waits until nobody answers any more, so that one server is not measured
// while another still ends.
func (s *instance) gone() error {
	for begin := time.Now(); time.Since(begin) < patience; time.Sleep(time.Millisecond) {
		if _, err := once(s.address); err != nil {
			return nil
		}
	}
	return fmt.Errorf("the server at %s does not end", s.address)
}

// sample is what one server did in one round.
type sample struct {
	rate     float64 // requests a second
	p50, p99 time.Duration
	cpu      time.Duration // of the server, for one request
	memory   int           // bytes
}

// measure runs a server under load: a part of the time is for warming up. The
// processes are those after that, and their memory is what they have in the end.
func measure(kind string, workers int, keepAlive bool, o options) (sample, error) {
	s, err := start(kind, workers)
	if err != nil {
		return sample{}, err
	}
	defer s.stop()
	if _, err := run(s.address, o.clients, keepAlive, o.time/4); err != nil {
		return sample{}, err
	}
	processes := treeOf(s.cmd.Process.Pid)
	before := processes.cpu()
	l, err := run(s.address, o.clients, keepAlive, o.time)
	if err != nil {
		return sample{}, err
	}
	n := len(l.latencies)
	return sample{
		rate: float64(n) / l.took.Seconds(), p50: l.at(0.50), p99: l.at(0.99),
		cpu: (processes.cpu() - before) / time.Duration(max(n, 1)), memory: processes.memory(),
	}, nil
}

// succession is the time without anybody who serves: it kills the only worker again and again and measures from the kill
// to the first answer of the next one.
func succession(kind string, times int, env ...string) (l load, err error) {
	s, err := start(kind, 1, env...)
	if err != nil {
		return l, err
	}
	defer s.stop()
	for range times {
		old, err := once(s.address)
		if err != nil {
			return l, err
		}
		p, err := os.FindProcess(old)
		if err != nil {
			return l, err
		}
		begin := time.Now()
		if err := p.Kill(); err != nil {
			return l, err
		}
		p.Release()
		if err := s.answeredBy(old); err != nil {
			return l, err
		}
		l.latencies = append(l.latencies, time.Since(begin))
		time.Sleep(20 * time.Millisecond) // the next one is at rest when it is killed
	}
	return l, nil
}

// answeredBy asks until another process than the old one answers. One request
// does, unless the old one took it in the moment of its death.
func (s *instance) answeredBy(old int) error {
	var failed error
	for begin := time.Now(); time.Since(begin) < patience; {
		pid, err := once(s.address)
		if err == nil && pid != old {
			return nil
		}
		failed = err
	}
	return fmt.Errorf("no successor of %d: %w", old, failed)
}
