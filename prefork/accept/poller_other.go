// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package accept

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

type poller struct{ addr net.Addr }

func newPoller(*os.File) (*poller, error) {
	return nil, fmt.Errorf("accept: EPOLLEXCLUSIVE: %w", errors.ErrUnsupported)
}

func (p *poller) wait(time.Duration) (bool, error) { return false, errors.ErrUnsupported }
func (p *poller) accept() (net.Conn, error)        { return nil, errors.ErrUnsupported }
func (p *poller) join() error                      { return errors.ErrUnsupported }
func (p *poller) leave()                           {}
func (p *poller) wake()                            {}
func (p *poller) close() error                     { return nil }

func again(error) bool    { return false }
func shortage(error) bool { return false }
