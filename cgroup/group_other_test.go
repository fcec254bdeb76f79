// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package cgroup

import (
	"context"
	"errors"
	"testing"
)

func TestStubs_SayUnsupported(t *testing.T) {
	g := &Group{}
	_, openErr := Open("/")
	_, delegatedErr := Delegated()
	_, createErr := Create(g, "x", Limits{})
	_, procsErr := g.Procs()
	_, sampleErr := g.Sample()
	_, statErr := g.Stat()
	errs := []error{
		openErr, delegatedErr, Probe().Err, createErr, procsErr, sampleErr, statErr, g.Set(Limits{}), g.Kill(),
		g.Freeze(context.Background()), g.Thaw(), g.Delete(context.Background()), g.EnterLeaf(),
	}
	for _, err := range errs {
		if !errors.Is(err, errors.ErrUnsupported) || !errors.Is(err, ErrNotSupported) {
			t.Errorf("%v is not ErrUnsupported", err)
		}
	}
}
