// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package waiter

import (
	"os"
	"syscall"

	"github.com/seed-cb702d51/tfork-go/internal/feature"
	"github.com/seed-cb702d51/tfork-go/internal/role"
)

type conn struct{}

func (*conn) pid() int { return 0 }

func (*conn) signal(*Worker, syscall.Signal) error { return errNoWaiter }

var errNoWaiter = &feature.Error{Name: "waiter", Since: "Linux 4.x"}

func (*Pool) spawn(*Request) (*Worker, error) { return nil, errNoWaiter }

func (*Pool) closeIdle() {}

func closePidFD(int) {}

func serve(int) { os.Exit(role.ExitRefused) }
