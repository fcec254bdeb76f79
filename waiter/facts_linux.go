// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// facts are what the kernel says about a process, as far as a worker takes it
// over from the one that starts it. Equal facts, equal workers.
type facts struct {
	// kept are the lines of /proc/PID/status that execve leaves alone:
	// real and effective ids, groups, bounds, filters.
	kept []byte
	// rest are the other lines: what a set-up before execve may use (saved ids,
	// capabilities), the processors.
	rest []byte
	// ignored is the set of ignored signals, without SIGCHLD: workers start
	// with that at its default, whatever the caller does with it.
	ignored uint64

	pgid, sid        int
	rootDev, rootIno uint64
	nice             int
	limits           [rlimits]unix.Rlimit

	// umask is not compared: each worker gets the one of its moment.
	umask int
}

// rlimits is RLIM_NLIMITS.
const rlimits = 16

// equal tells whether two observations of the same process agree.
func (f *facts) equal(g *facts) bool {
	return bytes.Equal(f.kept, g.kept) && bytes.Equal(f.rest, g.rest) &&
		f.ignored == g.ignored && f.pgid == g.pgid && f.sid == g.sid && f.rootDev == g.rootDev && f.rootIno == g.rootIno &&
		f.nice == g.nice && f.limits == g.limits
}

// observe fills f with the facts about a process. What cannot be read stays
// zero: a difference shows as long as one of the two observations had it. buf
// is scratch space; the one to use next time is returned.
func (f *facts) observe(pid int, buf []byte) []byte {
	*f = facts{kept: f.kept[:0], rest: f.rest[:0], umask: -1}
	proc := "/proc/" + strconv.Itoa(pid)
	buf, err := readFile(proc+"/status", buf)
	if err == nil {
		f.status(buf)
	} else {
		f.capabilities(pid)
	}
	f.pgid, _ = unix.Getpgid(pid)
	f.sid, _ = unix.Getsid(pid)
	f.nice, _ = unix.Getpriority(unix.PRIO_PROCESS, pid)
	var root unix.Stat_t
	if unix.Stat(proc+"/root", &root) == nil {
		f.rootDev, f.rootIno = uint64(root.Dev), root.Ino
	}
	for i := range f.limits {
		unix.Prlimit(pid, i, nil, &f.limits[i])
	}
	return buf
}

// status takes the facts out of the text of /proc/PID/status.
func (f *facts) status(text []byte) {
	for line := range bytes.Lines(text) {
		key, value, _ := bytes.Cut(line, []byte(":\t"))
		switch string(key) {
		case "Uid", "Gid":
			// Real, effective, saved, file system: execve copies the second
			// over the last two.
			two := value
			if f := bytes.SplitN(value, []byte("\t"), 3); len(f) == 3 {
				two = value[:len(f[0])+1+len(f[1])]
			}
			f.kept = append(append(f.kept, two...), '\n')
			f.rest = append(f.rest, line...)
		case "Groups", "CapInh", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters":
			f.kept = append(f.kept, line...)
		case "CapPrm", "CapEff", "Cpus_allowed", "Mems_allowed":
			f.rest = append(f.rest, line...)
		case "SigIgn":
			set, _ := strconv.ParseUint(string(bytes.TrimSpace(value)), 16, 64)
			f.ignored = set &^ (1 << (unix.SIGCHLD - 1))
		case "Umask":
			if m, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 8, 16); err == nil {
				f.umask = int(m)
			}
		}
	}
}

// capabilities stand in for the status file where there is no /proc.
func (f *facts) capabilities(pid int) {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3, Pid: int32(pid)}
	var data [2]unix.CapUserData
	if unix.Capget(&head, &data[0]) != nil {
		return
	}
	for _, d := range data {
		for _, v := range [...]uint32{d.Effective, d.Permitted, d.Inheritable} {
			f.rest = append(strconv.AppendUint(f.rest, uint64(v), 16), ' ')
		}
	}
}

// readFile reads a whole file of /proc into buf, grown where needed. A read
// that does not fill the buffer has got all there is (proc(5) files are made
// at the first read).
func readFile(path string, buf []byte) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return buf, os.NewSyscallError("open", err)
	}
	defer unix.Close(fd)
	buf = buf[:0]
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, make([]byte, max(4096, len(buf)))...)[:len(buf)]
		}
		n, err := unix.Read(fd, buf[len(buf):cap(buf)])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return buf, os.NewSyscallError("read", err)
		}
		buf = buf[:len(buf)+n]
		if len(buf) < cap(buf) {
			return buf, nil
		}
	}
}
