// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package theft

import (
	"errors"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/seed-cb702d51/tfork-go/tfork"
)

// Ending is how a child ended.
type Ending struct {
	Code   int            // if Signal is 0
	Signal syscall.Signal // 0: it exited by itself
}

// Child is a command whose ending is known beforehand.
type Child struct {
	Args []string
	Want Ending
}

// Children returns n children. Nine of ten exit, with all codes from 0 to 255
// in turn; each tenth ends by a signal, of those that are not ignored here: under
// nohup(1) or behind a shell's & they would be in the children, too.
func Children(n int) []Child {
	signals := slices.DeleteFunc([]syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL},
		func(s syscall.Signal) bool { return signal.Ignored(s) })
	children := make([]Child, n)
	for i := range children {
		want, script := Ending{Code: i % 256}, "exit "+strconv.Itoa(i%256)
		if i%10 == 9 {
			want = Ending{Signal: signals[i/10%len(signals)]}
			script = "kill -" + strconv.Itoa(int(want.Signal)) + " $$"
		}
		children[i] = Child{Args: []string{"/bin/sh", "-c", script}, Want: want}
	}
	return children
}

// Starter is one way to run a child.
type Starter struct {
	// Name is what it is called in a table.
	Name string
	run  func(args []string) answer
}

// answer is what a Starter tells about one child.
type answer struct {
	ending    Ending
	lost      error // nobody can tell the ending
	failed    error // it was not started
	unguarded bool  // the starter made no promise
}

// OSExec is the standard library.
func OSExec() Starter {
	return Starter{Name: "os/exec", run: func(args []string) answer {
		cmd := exec.Command(args[0], args[1:]...)
		if err := cmd.Start(); err != nil {
			return answer{failed: err}
		}
		err := cmd.Wait()
		if cmd.ProcessState == nil {
			cmd.Process.Release() // after an error Wait keeps its pidfd
			return answer{lost: err}
		}
		ws, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
		return answer{ending: endingOf(ws)}
	}}
}

// Tfork is this project, with one of its strategies.
func Tfork(s tfork.Strategy) Starter {
	return Starter{Name: "tfork, strategy " + s.String(), run: func(args []string) answer {
		cmd := tfork.Command(args[0], args[1:]...)
		cmd.Strategy = s
		if err := cmd.Start(); err != nil {
			return answer{failed: err}
		}
		a := answer{unguarded: !cmd.Process.Guarded()}
		cmd.Wait() // tells of copies, too; the status is what counts
		st, err := cmd.Process.Status(true)
		a.ending, a.lost = endingOf(st.WaitStatus()), err
		return a
	}}
}

func endingOf(ws syscall.WaitStatus) Ending {
	if ws.Signaled() {
		return Ending{Signal: ws.Signal()}
	}
	return Ending{Code: ws.ExitStatus()}
}

// Score counts what a Starter told about its children.
type Score struct {
	Name                          string
	True, Lost, Wrong, NotStarted int
	// Unguarded says that the starter made no promise here.
	Unguarded bool
	// Err is an error of the kind that it lost statuses with, or did not start
	// with; nil if there was none.
	Err error
	// Taken is how many statuses were taken meanwhile, -1 if nobody knows.
	Taken int
	Took  time.Duration
}

// Children is how many endings should have been told.
func (s *Score) Children() int { return s.True + s.Lost + s.Wrong }

// Add adds other's counts, and its Err if there was none.
func (s *Score) Add(other Score) {
	s.True += other.True
	s.Lost += other.Lost
	s.Wrong += other.Wrong
	s.NotStarted += other.NotStarted
	if s.Err == nil {
		s.Err = other.Err
	}
}

// parallel is how many children run at a time.
const parallel = 8

// Play runs all children, in surroundings that have been entered, and compares.
func (s Starter) Play(children []Child, in Surroundings) Score {
	if in.Taken == nil {
		score := s.play(children)
		score.Taken = -1
		return score
	}
	before := in.Taken()
	score := s.play(children)
	score.Taken = in.Taken() - before
	return score
}

func (s Starter) play(children []Child) Score {
	score := Score{Name: s.Name}
	begin := time.Now()
	var (
		mu    sync.Mutex
		procs sync.WaitGroup
		next  = make(chan Child)
	)
	for range parallel {
		procs.Go(func() {
			for c := range next {
				a := s.run(c.Args)
				mu.Lock()
				score.count(c.Want, a)
				mu.Unlock()
			}
		})
	}
	for _, c := range children {
		next <- c
	}
	close(next)
	procs.Wait()
	score.Took = time.Since(begin)
	return score
}

func (s *Score) count(want Ending, a answer) {
	s.Unguarded = s.Unguarded || a.unguarded
	switch {
	case a.failed != nil:
		s.NotStarted++
	case a.lost != nil:
		s.Lost++
	case a.ending == want:
		s.True++
	default:
		s.Wrong++
	}
	if err := errors.Join(a.failed, a.lost); err != nil && s.Err == nil {
		s.Err = err
	}
}
