// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package accept

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// poller is one process's place in the kernel's list of those who wait for a
// listening socket.
type poller struct {
	socket, epoll int
	addr          net.Addr
	// spare is given up for a moment when a connection was taken with the last
	// free descriptor: making a net.Conn of it takes one more.
	spare int
	// behind says that this process has had its turn, or has left the list, and is
	// to go to the end of it before it waits again. Who does not wait is not woken,
	// so that there is no hurry, and a queue that is never empty costs nothing.
	behind bool

	mu    sync.Mutex
	event int // eventfd that ends epoll_wait; -1 after close
}

// newPoller duplicates the socket and registers it.
func newPoller(f *os.File) (*poller, error) {
	addr, err := listenAddr(f)
	if err != nil {
		return nil, err
	}
	p := &poller{socket: -1, epoll: -1, event: -1, spare: -1, addr: addr}
	if err := p.open(f); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// listenAddr tells the address of a listening stream socket.
func listenAddr(f *os.File) (net.Addr, error) {
	ln, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("accept: %s is no stream socket: %w", f.Name(), err)
	}
	defer ln.Close()
	return ln.Addr(), nil
}

// open makes the three descriptors. What exists when it fails is closed by
// newPoller.
func (p *poller) open(f *os.File) (err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return fmt.Errorf("accept: socket: %w", err)
	}
	var dupErr error
	if err := raw.Control(func(fd uintptr) {
		p.socket, dupErr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 3)
	}); err != nil {
		return fmt.Errorf("accept: socket: %w", err)
	}
	if dupErr != nil {
		return os.NewSyscallError("fcntl", dupErr)
	}
	if !listens(p.socket) {
		return fmt.Errorf("accept: %s does not listen", f.Name())
	}
	if err := unix.SetNonblock(p.socket, true); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	if p.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if p.event, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	if err := p.keepSpare(); err != nil {
		return err
	}
	if err := p.add(p.event, unix.EPOLLIN); err != nil {
		return err
	}
	return p.join()
}

// listens tells whether a stream socket does. gVisor before 2024 denies it of every
// unix socket; but one that does not listen is connected, and can be written to, or
// is not, and has hung up.
func listens(fd int) bool {
	if on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err == nil && on != 0 {
		return true
	}
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	_, err := unix.Poll(fds, 0)
	return err == nil && fds[0].Revents == 0
}

// add registers a descriptor; its number comes back with the event.
func (p *poller) add(fd int, events uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(fd)}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &ev))
}

// join goes to the end of the kernel's list. If the queue is not empty, the
// next wait returns at once. If it fails the next wait tries again.
func (p *poller) join() error {
	err := p.add(p.socket, unix.EPOLLIN|unix.EPOLLEXCLUSIVE)
	if err == nil {
		p.behind = false
	}
	return err
}

// leave takes this process off the list. Until it joins again it hears of nothing.
func (p *poller) leave() {
	unix.EpollCtl(p.epoll, unix.EPOLL_CTL_DEL, p.socket, nil)
	p.behind = true
}

// wait returns ready if the queue is perhaps not empty. It returns neither
// ready nor an error when it was woken, or when left (if not negative) is over.
func (p *poller) wait(left time.Duration) (ready bool, err error) {
	// Those who can run go first: who blocks in a system call keeps the
	// scheduler's slot for a moment.
	ready, woken, err := p.look(0)
	if !ready && !woken && err == nil {
		runtime.Gosched()
		if err := p.toEnd(); err != nil {
			return false, err
		}
		ready, woken, err = p.look(milliseconds(left))
	}
	if ready || !woken {
		// A connection goes first, also when the listener is being closed: its
		// wake-up has been spent on us, and nobody else will come for it.
		return ready, err
	}
	p.drain()
	// It may be a [Listener.Poke]: registering anew looks at the queue.
	p.leave()
	return false, p.join()
}

// toEnd goes to the end of the list, if it is time.
func (p *poller) toEnd() error {
	if !p.behind {
		return nil
	}
	p.leave()
	return p.join()
}

// look is epoll_wait: whether the socket is ready, and whether somebody woke us.
func (p *poller) look(msec int) (ready, woken bool, err error) {
	var events [2]unix.EpollEvent
	n, err := unix.EpollWait(p.epoll, events[:], msec)
	if err == unix.EINTR {
		return false, false, nil
	}
	for _, ev := range events[:max(n, 0)] {
		ready = ready || int(ev.Fd) == p.socket
		woken = woken || int(ev.Fd) != p.socket
	}
	return ready, woken, os.NewSyscallError("epoll_wait", err)
}

// milliseconds rounds up, so that a deadline is never seen too early.
func milliseconds(d time.Duration) int {
	if d < 0 {
		return -1
	}
	return int(min((d+time.Millisecond-1)/time.Millisecond, 1<<30))
}

// accept takes one connection.
func (p *poller) accept() (net.Conn, error) {
	fd, _, err := unix.Accept4(p.socket, unix.SOCK_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("accept4", err)
	}
	p.behind = true
	return p.conn(os.NewFile(uintptr(fd), "connection"))
}

// conn makes a net.Conn and closes f.
func (p *poller) conn(f *os.File) (net.Conn, error) {
	c, err := net.FileConn(f)
	if errors.Is(err, unix.EMFILE) && p.spare >= 0 {
		unix.Close(p.spare)
		p.spare = -1
		c, err = net.FileConn(f)
	}
	f.Close()
	if p.spare < 0 {
		// Failing again means only that the next connection may be refused.
		p.keepSpare()
	}
	return c, err
}

// keepSpare holds a descriptor for the case that there is no other.
func (p *poller) keepSpare() (err error) {
	p.spare, err = unix.FcntlInt(uintptr(p.epoll), unix.F_DUPFD_CLOEXEC, 3)
	return os.NewSyscallError("fcntl", err)
}

// wake ends a wait, now or the next one.
func (p *poller) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.event >= 0 {
		unix.Write(p.event, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}

// drain forgets all wake-ups so far: they all mean the same.
func (p *poller) drain() {
	var count [8]byte
	unix.Read(p.event, count[:])
}

// close must be called when nobody waits. It may be called on a half-made one.
func (p *poller) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, fd := range []*int{&p.event, &p.spare, &p.epoll, &p.socket} {
		if *fd >= 0 {
			errs = append(errs, os.NewSyscallError("close", unix.Close(*fd)))
			*fd = -1
		}
	}
	return errors.Join(errs...)
}

// again tells errors that say nothing about the next attempt: another process
// was faster, a signal, or a client that has gone, with its network's reason
// (accept(2): "treat them like EAGAIN").
func again(err error) bool {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return false
	}
	switch errno {
	case unix.EAGAIN, unix.EINTR, unix.ECONNABORTED, unix.ENETDOWN, unix.EPROTO, unix.ENOPROTOOPT,
		unix.EHOSTDOWN, unix.ENONET, unix.EHOSTUNREACH, unix.EOPNOTSUPP, unix.ENETUNREACH:
		return true
	}
	return false
}

// shortage tells errors that go away when something is given back. ENOSPC is
// epoll's: too many registrations of one user.
func shortage(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) ||
		errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.ENOSPC)
}
