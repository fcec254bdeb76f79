// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package cgroupfs

import (
	"runtime"

	"github.com/seed-cb702d51/tfork-go/internal/feature"
)

type noCgroups string

func (s noCgroups) Error() string { return string(s) + " has no cgroups" }

var errOther = &feature.Error{Name: "cgroup v2", Since: "Linux 4.5", Reason: noCgroups(runtime.GOOS)}

func check(int) error                { return errOther }
func explain(_ int, err error) error { return err }
func frozen(int) (bool, error)       { return false, errOther }
func move(int, int) error            { return errOther }
func read(int) (Counters, error)     { return Counters{}, errOther }
func readOOM(int) (Counters, error)  { return Counters{}, errOther }

func findMount() (Mount, error) { return Mount{}, errOther }
