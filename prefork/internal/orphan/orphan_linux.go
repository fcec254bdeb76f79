// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package orphan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/sys"
)

// needed asks the kernel: other code of the process may have made it a
// subreaper.
func needed() bool {
	var subreaper int32
	err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&subreaper)), 0, 0, 0)
	return os.Getpid() == 1 || err == nil && subreaper != 0
}

// possible is nil, or why nobody can be reaped here. It asks for what makes sure
// that the process that is reaped is the one that was looked at. What there is no
// room to ask may be there later.
func possible() error {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err == nil {
		defer unix.Close(fd)
		_, err = sys.WaitID(unix.P_PIDFD, fd, unix.WEXITED|unix.WNOHANG)
	}
	if err == nil || errors.Is(err, unix.ECHILD) || sys.Short(err) { // nobody is its own child
		return nil
	}
	return fmt.Errorf("waiting by pidfd (Linux 5.4): %w: %w", errors.ErrUnsupported, err)
}

// run looks at each SIGCHLD, and again while there is a zombie whose time has
// not come. Signals that come together are one look.
func run(ctx context.Context, keep func(int) bool, report func(Reaped)) error {
	if err := possible(); err != nil {
		return err
	}
	r := reaper{keep: keep, report: report, since: map[int]time.Time{}}
	news := make(chan os.Signal, 1)
	signal.Notify(news, unix.SIGCHLD)
	defer signal.Stop(news)
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-news:
		case <-again.C:
		}
		// Look again as long as a stranger's time has not come.
		if r.look(time.Now()) {
			again.Reset(Grace)
		}
	}
}

// reaper remembers since when it sees which zombie.
type reaper struct {
	keep   func(int) bool
	report func(Reaped)
	since  map[int]time.Time
}

// look reaps every stranger whose time has come, and tells whether there are
// others.
func (r *reaper) look(now time.Time) (more bool) {
	strangers := map[int]bool{}
	if anyZombie() {
		var found []int
		// Who is waited for now may be let go later, of which no signal tells.
		found, more = zombies()
		for _, pid := range found {
			strangers[pid] = r.keep == nil || !r.keep(pid)
		}
	}
	for pid := range r.since {
		if !strangers[pid] {
			delete(r.since, pid)
		}
	}
	for pid, stranger := range strangers {
		first, seen := r.since[pid]
		switch {
		case !stranger:
		case !seen:
			r.since[pid] = now
			more = true
		case now.Sub(first) < Grace:
			more = true
		default:
			delete(r.since, pid)
			r.reap(pid)
		}
	}
	return more
}

// anyZombie peeks: the zombie stays, for whoever waits for it.
func anyZombie() bool {
	w, err := sys.WaitID(unix.P_ALL, 0, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG)
	return err == nil && w.Pid != 0
}

// zombies returns the zombies among the first thread's children for which
// nobody here holds a pidfd, and whether there are others.
func zombies() (found []int, others bool) {
	list, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/children", os.Getpid()))
	if err != nil {
		return nil, false
	}
	for field := range strings.FieldsSeq(string(list)) {
		if pid, err := strconv.Atoi(field); err == nil && isZombie(pid) {
			found = append(found, pid)
		}
	}
	if len(found) == 0 {
		return nil, false
	}
	held := heldPidfds(-1)
	strangers := found[:0]
	for _, pid := range found {
		if !held[pid] {
			strangers = append(strangers, pid)
		}
	}
	return strangers, len(strangers) < len(found)
}

// isZombie reads the state from /proc/PID/stat: the field after the name in
// parentheses, which may itself hold anything.
func isZombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	end := bytes.LastIndexByte(stat, ')')
	return err == nil && end >= 0 && bytes.HasPrefix(stat[end+1:], []byte(" Z"))
}

// heldPidfds returns the pids for which this process holds a pidfd, the
// descriptor except left out.
func heldPidfds(except int) map[int]bool {
	held := map[int]bool{}
	infos, _ := filepath.Glob("/proc/self/fdinfo/*")
	for _, path := range infos {
		info, err := os.ReadFile(path)
		if err != nil || filepath.Base(path) == strconv.Itoa(except) {
			continue
		}
		if pid := pidOf(info); pid > 0 {
			held[pid] = true
		}
	}
	return held
}

// pidOf returns the pid of a pidfd's fdinfo, or 0.
func pidOf(info []byte) int {
	for line := range strings.Lines(string(info)) {
		if value, ok := strings.CutPrefix(line, "Pid:"); ok {
			pid, _ := strconv.Atoi(strings.TrimSpace(value))
			return pid
		}
	}
	return 0
}

// reap takes the status of exactly that process: between looking and waiting
// its number might have been given to a new child of ours.
func (r *reaper) reap(pid int) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	if !isZombie(pid) || heldPidfds(fd)[pid] {
		return
	}
	w, err := sys.WaitID(unix.P_PIDFD, fd, unix.WEXITED|unix.WNOHANG)
	if err == nil && w.Pid == pid && r.report != nil {
		r.report(Reaped{Pid: pid, Status: uint32(w.Status)})
	}
}
