// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/seed-cb702d51/tfork-go/prefork/config"
)

// socket is one listening address. The supervisor opens it once and holds it
// until it stops: no other process's end closes a port.
type socket struct {
	Network string
	Address string
	// Files is one descriptor that all workers share, or (SO_REUSEPORT) one for
	// each worker.
	Files []*os.File `json:"-"`
	// Count is len(Files), for the process that gets them handed down.
	Count int
	// Own says that it is the latter, so that nobody else waits at the worker's.
	Own bool

	addr   net.Addr
	unlink string // path to remove at the end
}

// packet tells datagram sockets from streams.
func packet(network string) bool {
	switch network {
	case "udp", "udp4", "udp6", "unixgram":
		return true
	}
	return false
}

// openSockets opens all addresses of a service. passed are those of the service
// manager, by name.
func openSockets(st config.Settings, passed map[string][]*os.File) (opened []*socket, err error) {
	defer func() {
		if err != nil {
			closeSockets(opened)
		}
	}()
	for _, address := range st.Listen {
		network, rest, err := config.SplitListen(address)
		if err != nil {
			return opened, fmt.Errorf("listen %s: %w", address, err)
		}
		if network == "systemd" {
			found, err := fromManager(rest, passed)
			opened = append(opened, found...)
			if err != nil {
				return opened, err
			}
			continue
		}
		s, err := openSocket(network, rest, st)
		if err != nil {
			return opened, fmt.Errorf("listen %s: %w", address, err)
		}
		opened = append(opened, s)
	}
	return opened, nil
}

// fromManager takes the descriptors of one name.
func fromManager(name string, passed map[string][]*os.File) (found []*socket, err error) {
	if len(passed[name]) == 0 {
		return nil, fmt.Errorf("listen systemd:%s: the service manager passed no socket of that name (LISTEN_FDNAMES)", name)
	}
	for _, f := range passed[name] {
		addr, network, err := describe(f)
		if err != nil {
			return found, fmt.Errorf("listen systemd:%s: %w", name, err)
		}
		if f, err = unpolled(f); err != nil {
			return found, fmt.Errorf("listen systemd:%s: %w", name, err)
		}
		found = append(found, &socket{Network: network, Address: addr.String(), Files: []*os.File{f}, Count: 1, addr: addr})
	}
	delete(passed, name)
	return found, nil
}

// describe tells what an inherited socket is.
func describe(f *os.File) (net.Addr, string, error) {
	if ln, err := net.FileListener(f); err == nil {
		defer ln.Close()
		return ln.Addr(), ln.Addr().Network(), nil
	}
	pc, err := net.FilePacketConn(f)
	if err != nil {
		return nil, "", err
	}
	defer pc.Close()
	return pc.LocalAddr(), pc.LocalAddr().Network(), nil
}

// openSocket opens one address, as often as there are workers if each is to
// have its own.
func openSocket(network, address string, st config.Settings) (*socket, error) {
	s := &socket{Network: network, Address: address}
	unix := network == "unix" || network == "unixgram"
	s.Own = st.ReusePort && !unix
	count := 1
	if s.Own {
		count = max(1, st.Children)
	}
	if unix {
		removeStale(network, address)
	}
	for range count {
		if s.addr != nil {
			address = s.addr.String() // a free port was chosen by the first
		}
		f, addr, err := listen(network, address, s.Own)
		if err != nil {
			closeSockets([]*socket{s})
			return nil, err
		}
		s.Files = append(s.Files, f)
		s.addr = addr
	}
	if unix && !strings.HasPrefix(address, "@") {
		s.unlink = address // not before: what was in the way is somebody else's
	}
	s.Count = len(s.Files)
	return s, nil
}

// listen opens a socket and takes it out of this process's own poller, which
// would be woken for every connection.
func listen(network, address string, reusePort bool) (*os.File, net.Addr, error) {
	var lc net.ListenConfig
	if reusePort {
		lc.Control = func(_, _ string, raw syscall.RawConn) error { return setReusePort(raw) }
	}
	var filer interface{ File() (*os.File, error) }
	var addr net.Addr
	if packet(network) {
		pc, err := lc.ListenPacket(context.Background(), network, address)
		if err != nil {
			return nil, nil, err
		}
		defer pc.Close()
		filer, addr = pc.(interface{ File() (*os.File, error) }), pc.LocalAddr()
	} else {
		ln, err := lc.Listen(context.Background(), network, address)
		if err != nil {
			return nil, nil, err
		}
		defer ln.Close()
		if u, ok := ln.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false)
		}
		filer, addr = ln.(interface{ File() (*os.File, error) }), ln.Addr()
	}
	f, err := filer.File()
	if err == nil {
		f, err = unpolled(f)
	}
	return f, addr, err
}

// removeStale removes the path of a unix socket at which nobody listens.
func removeStale(network, path string) {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != os.ModeSocket {
		return
	}
	c, err := net.Dial(network, path)
	if err == nil {
		c.Close()
		return
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		os.Remove(path)
	}
}

// closeSockets gives sockets up, and the paths that were made for them. The second
// time it does nothing: by then a path may be somebody else's.
func closeSockets(list []*socket) {
	for _, s := range list {
		for _, f := range s.Files {
			f.Close()
		}
		if s.unlink != "" {
			os.Remove(s.unlink)
			s.unlink = ""
		}
	}
}

// closeSockets gives the server's sockets up. That comes with the stop, not when
// all have left: who connects meanwhile shall hear that nobody serves, and not
// wait for it. A service manager has its sockets still.
func (s *Server) closeSockets() {
	s.opening.Lock()
	defer s.opening.Unlock()
	for _, name := range slices.Sorted(maps.Keys(s.sockets)) {
		closeSockets(s.sockets[name])
	}
}

// openHere makes listeners of a service's sockets in this process, unless the
// server is to stop: then they may be closed.
func (s *Server) openHere(t *Task) (stopping bool, err error) {
	s.opening.Lock()
	defer s.opening.Unlock()
	select {
	case <-s.stopping:
		return true, nil
	default:
		return false, t.open(forInstance(s.sockets[t.service.Name], t.instance))
	}
}

// ownSockets returns how many workers there must be so that each socket which is
// a worker's own has one: the kernel goes on giving connections to all of them.
func ownSockets(list []*socket) (most int) {
	for _, s := range list {
		if s.Own {
			most = max(most, s.Count)
		}
	}
	return most
}

// flatten returns all descriptors in the order of the sockets.
func flatten(list []*socket) (files []*os.File) {
	for _, s := range list {
		files = append(files, s.Files...)
	}
	return files
}

// unflatten is its inverse in the process that got them.
func unflatten(list []*socket, files []*os.File) error {
	for i, s := range list {
		if s == nil || s.Count < 1 || s.Count > len(files) {
			return fmt.Errorf("socket %d does not have the descriptors that it says", i)
		}
		s.Files, files = files[:s.Count], files[s.Count:]
	}
	return nil
}

// unwatch makes sure that a process which was given the sockets does not watch
// them by that alone.
func unwatch(list []*socket) error {
	for _, s := range list {
		for i, f := range s.Files {
			var err error
			if s.Files[i], err = unpolled(f); err != nil {
				return fmt.Errorf("socket %s: %w", s.Address, err)
			}
		}
	}
	return nil
}

// forInstance picks the one descriptor of each socket that a worker gets.
func forInstance(list []*socket, instance int) (own []*socket) {
	for _, s := range list {
		one := *s
		one.Files = []*os.File{s.Files[instance%len(s.Files)]}
		one.Count = 1
		own = append(own, &one)
	}
	return own
}
