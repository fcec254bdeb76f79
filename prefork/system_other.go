// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package prefork

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/seed-cb702d51/tfork-go/prefork/config"
)

var errUnsupported = fmt.Errorf("prefork: %w", errors.ErrUnsupported)

func socketPair() (ours, theirs *os.File, err error) { return nil, nil, errUnsupported }
func sendNow(net.Conn, []byte, *os.File) int         { return 0 }
func setReusePort(syscall.RawConn) error             { return errUnsupported }
func setComm(string)                                 {}
func residentMemory() uint64                         { return 0 }
func applyLimits(config.Settings, int) error         { return errUnsupported }
func checkLimits(config.Settings) error              { return errUnsupported }
func killGroup(int)                                  {}
func killOwnGroup()                                  {}
func killCgroup(*os.File) bool                       { return false }
func cgroupPopulated(*os.File) bool                  { return false }
func catchSignals(string) caught                     { return caught{} }
func (w *worker) signals()                           {}
func (m *master) signals()                           {}
func notifySignals(chan os.Signal)                   {}
func (s *Server) onSignal(os.Signal)                 {}
func imagePath(f *os.File) string                    { return f.Name() }

func readWithFile(conn net.Conn, b []byte) (int, *os.File, error) {
	n, err := conn.Read(b)
	return n, nil, err
}

func attributes() *syscall.SysProcAttr { return nil }

const (
	sigabrt  = syscall.SIGABRT
	noSignal = syscall.Signal(0)
)
