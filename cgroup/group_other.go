// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package cgroup

import (
	"context"
	"runtime"

	"github.com/seed-cb702d51/tfork-go/internal/feature"
)

type noCgroups string

func (s noCgroups) Error() string { return string(s) + " has no cgroups" }

var errOther = &feature.Error{Name: "cgroup v2", Since: "Linux 4.5", Reason: noCgroups(runtime.GOOS)}

func open(string) (*Group, error) { return nil, errOther }
func delegated() (*Group, error)  { return nil, errOther }

func probe() Host { return Host{Err: errOther} }

func (*Group) create(string, Limits) (*Group, error) { return nil, errOther }
func (*Group) set(Limits) error                      { return errOther }
func (*Group) kill() error                           { return errOther }
func (*Group) freeze(context.Context) error          { return errOther }
func (*Group) thaw() error                           { return errOther }
func (*Group) procs() ([]int, error)                 { return nil, errOther }
func (*Group) delete(context.Context) error          { return errOther }
func (*Group) enterLeaf() error                      { return errOther }
func (*Group) sample() (Sample, error)               { return Sample{}, errOther }
func (*Group) stat() (Stat, error)                   { return Stat{}, errOther }
func (*Group) waitEmpty(context.Context) error       { return errOther }
